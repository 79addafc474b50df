/** The configuration of VitePress. The pages, the menu and the version are in data.json, which site.ts writes next to it. */
import { readFileSync } from 'node:fs';

const data = JSON.parse(readFileSync(new URL('data.json', import.meta.url), 'utf8'));

/** As GitHub makes anchors of headings, because the pages are read there, too. */
export function slugify(title) {
  return title
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}

/**
 * Code in a sentence is text also where it has the braces of a Vue template. A long name of a field in it may break after each
 * of its points, so that the column of a table need not be as wide as it.
 */
function codeInSentences(md) {
  const plain = md.renderer.rules.code_inline;
  md.renderer.rules.code_inline = (...args) =>
    plain(...args)
      .replace(/^<code/, '<code v-pre')
      .replace(/>([\w-]+(?:\.[\w[\]-]+){2,})</, (_, name) => `>${name.replaceAll('.', '.<wbr>')}<`);
}

export default {
  title: 'glance-image-operator',
  description: data.description,
  lang: 'en',
  base: data.base,
  cleanUrls: false,
  lastUpdated: false,
  head: [['link', { rel: 'icon', type: 'image/svg+xml', href: `${data.base}icon.svg` }]],
  markdown: {
    anchor: { slugify },
    // GitHub does not know attributes in braces.
    attrs: { disable: true },
    config: codeInSentences,
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' },
    languageAlias: { console: 'shellsession' },
  },
  transformPageData: (page) => ({ filePath: page.frontmatter.source }),
  themeConfig: {
    logo: { src: '/icon.svg', alt: '' },
    nav: [
      { text: 'Quick start', link: '/quick-start' },
      { text: 'Contents', link: '/contents' },
      { text: 'Changes', link: '/changelog' },
    ],
    sidebar: data.menu,
    outline: { level: [2, 3], label: 'On this page' },
    search: {
      provider: 'local',
      options: { miniSearch: { searchOptions: { boost: { title: 4, titles: 2, text: 1 } } } },
    },
    socialLinks: [{ icon: 'github', link: data.repository }],
    editLink: { pattern: `${data.repository}/edit/main/:path`, text: 'Edit this page' },
    version: data.version,
    externalLinkIcon: false,
  },
};
