/** The theme of VitePress with a menu of the versions, and a note on pages that do not describe the newest release. */
import DefaultTheme from 'vitepress/theme';
import { h } from 'vue';
import './style.css';
import { VersionMenu, VersionNote } from './versions.mjs';

export default {
  extends: DefaultTheme,
  Layout: () =>
    h(DefaultTheme.Layout, null, {
      'nav-bar-content-after': () => h(VersionMenu),
      'nav-screen-content-after': () => h(VersionMenu),
      'doc-before': () => h(VersionNote),
    }),
};
