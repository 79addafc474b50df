/**
 * The versions of the pages. versions.json lies next to the folders of all versions, so that the pages of an old version
 * list the newer ones, too.
 */
import { useData, withBase } from 'vitepress';
import { computed, h, onMounted, ref } from 'vue';

/** Shared by the menus and the note of one page. */
const published = ref([]);
let asked = false;

function useVersions() {
  const { theme } = useData();
  onMounted(async () => {
    if (asked) return;
    asked = true;
    const response = await fetch(withBase('/../versions.json')).catch(() => undefined);
    if (response?.ok) published.value = await response.json();
  });
  const current = theme.value.version;
  const all = computed(() => [...new Set([...published.value, current])]);
  return { current, all };
}

const rootOf = (version) => withBase(`/../${version}/`);

export const VersionMenu = {
  setup() {
    const { current, all } = useVersions();
    const go = ({ target }) => location.assign(rootOf(target.value));
    const option = (version) => h('option', { value: version, selected: version === current }, version);
    return () =>
      h(
        'select',
        { class: 'version-menu', 'aria-label': 'Version of these pages', onChange: go },
        all.value.map(option),
      );
  },
};

export const VersionNote = {
  setup() {
    const { current } = useVersions();
    const newest = computed(() => published.value.find((version) => version !== 'main'));
    return () =>
      newest.value === undefined || newest.value === current
        ? undefined
        : h('p', { class: 'version-note' }, [
            current === 'main'
              ? 'These pages describe a version that is not released yet. '
              : `These pages describe ${current}. `,
            h('a', { href: rootOf(newest.value) }, `The newest release is ${newest.value}.`),
          ]);
  },
};
