/**
 * Which Markdown files are pages of the site, where they lie on it, and where their links lead.
 *
 * Invariant: the Markdown files work on GitHub as they are; on the site, a link to another page leads to that page, and a
 * link to any other file leads to that file in the repository, at the version that the pages describe.
 */
import { globSync } from 'node:fs';
import { posix } from 'node:path';

/** Pages outside of docs/, and where they lie on the site. */
const elsewhere: Readonly<Record<string, string>> = {
  'README.md': 'index.md',
  'docs/README.md': 'contents.md',
  'CHANGELOG.md': 'changelog.md',
  'CONTRIBUTING.md': 'contributing.md',
  'SECURITY.md': 'security.md',
  'charts/glance-image-operator/README.md': 'reference/chart.md',
  'examples/README.md': 'examples.md',
  'src/library/README.md': 'reference/library.md',
};

/** File of the repository → file on the site. */
export type Pages = ReadonlyMap<string, string>;

export function pagesOf(root: string): Pages {
  const docs = globSync('docs/**/*.md', { cwd: root }).sort();
  const inDocs = docs.map((file): [string, string] => [file, file.replace(/^docs\//, '')]);
  return new Map([...inDocs, ...Object.entries(elsewhere)]);
}

/** Pictures are copied to the site, next to the pages that show them. */
export const isPicture = (file: string): boolean => /\.(?:svg|png)$/.test(file);

export interface Repository {
  /** Such as `https://github.com/owner/name`. */
  address: string;
  /** The branch or the tag that the pages describe. */
  ref: string;
  isDirectory: (file: string) => boolean;
}

/** Where the link `target` in the page `file` leads on the site. */
export function linkOf(file: string, target: string, pages: Pages, repository: Repository): string {
  if (/^(?:[a-z]+:|#)/.test(target)) return target;
  const [path = '', anchor] = target.split('#');
  const to = posix.join(posix.dirname(file), path).replace(/\/$/, '');
  const hash = anchor === undefined ? '' : `#${anchor}`;
  const page = pages.get(to);
  const from = pages.get(file);
  if (page !== undefined && from !== undefined) {
    const relative = posix.relative(posix.dirname(from), page);
    return `${relative.startsWith('.') ? relative : `./${relative}`}${hash}`;
  }
  if (isPicture(to)) return `/${to}`;
  return `${repository.address}/${repository.isDirectory(to) ? 'tree' : 'blob'}/${repository.ref}/${to}${hash}`;
}

/** Applies `change` to each part of a text outside of its fenced blocks. */
function outsideOfBlocks(text: string, change: (part: string) => string): string {
  const blocks = /^(\s*)(`{3,}|~{3,})[^\n]*\n[\s\S]*?^\s*\2\s*$/gm;
  let end = 0;
  const parts: string[] = [];
  for (const { index, 0: block } of text.matchAll(blocks)) {
    parts.push(change(text.slice(end, index)), block);
    end = index + block.length;
  }
  return [...parts, change(text.slice(end))].join('');
}

/** Such a table needs the room that the outline takes. */
const hasWideTable = (text: string): boolean => /^\|(?: *:?-+:? *\|){4,}$/m.test(text);

/** The first paragraph after the heading, as plain text: what search engines show. */
export function descriptionOf(text: string): string {
  const [, paragraph = ''] = /^# .+\n+(?!#|-|\||```|<|!)((?:.+\n)+)/m.exec(text) ?? [];
  const plain = paragraph.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/[`*]/g, '');
  return plain.replace(/\s+/g, ' ').trim();
}

/** The page as the generator reads it: with the links of the site, and with the file that it comes from. */
export function pageOnSite(file: string, text: string, pages: Pages, repository: Repository): string {
  const body = outsideOfBlocks(text, (part) =>
    part.replace(/(\]\()([^)\s]+)/g, (_, open: string, target: string) => {
      return `${open}${linkOf(file, target, pages, repository)}`;
    }),
  );
  const description = descriptionOf(text);
  const front = { source: file, aside: !hasWideTable(text), ...(description === '' ? {} : { description }) };
  return `---\n${JSON.stringify(front)}\n---\n\n${body}`;
}

/** The first heading of a page, without marks. */
export const titleOf = (text: string): string => /^# (.+)$/m.exec(text)?.[1]?.replaceAll('`', '') ?? '';

export interface Section {
  text: string;
  items: { text: string; link: string }[];
}

/** The menu: the sections of the index with the pages that they link to, each page once. */
export function menuOf(index: string, pages: Pages, title: (file: string) => string): Section[] {
  const listed = new Set<string>();
  const sections = index.split(/^## /m).slice(1);
  return sections.map((section) => {
    const files = [...section.matchAll(/\]\(([^)#\s]+)/g)].map(([, target = '']) => posix.join('docs', target));
    const items = files.flatMap((file) => {
      const page = pages.get(file);
      if (page === undefined || listed.has(file)) return [];
      listed.add(file);
      return [{ text: title(file), link: `/${page.replace(/(?:index)?\.md$/, '')}` }];
    });
    return { text: section.split('\n')[0] ?? '', items };
  });
}
