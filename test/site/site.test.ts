/** The site as it is built: every page of the repository is on it, and every link leads somewhere. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pagesOf } from '../../release/site/pages.ts';
import { buildSite } from '../../release/site/site.ts';
import { base } from '../../release/site/versions.ts';
import { root } from '../docs/pages.ts';
import { fileOf } from './serve.ts';

let site: string;
let files: string[];
const read = (file: string) => readFileSync(join(site, file), 'utf8');
const plain = (text: string) => text.replaceAll('&amp;', '&').replaceAll('&quot;', '"');
const valuesOf = (text: string, attribute: string) =>
  [...text.matchAll(new RegExp(` ${attribute}="([^"]*)"`, 'g'))].map(([, value = '']) => plain(value));

describe('the site', () => {
  before(async () => {
    site = await mkdtemp(join(tmpdir(), 'built-site-'));
    await buildSite('main', site);
    files = globSync('**/*.html', { cwd: site }).sort();
  });

  after(() => rm(site, { recursive: true, force: true }));

  test('every page is on the site, and no other', () => {
    const pages = [...pagesOf(root).values()].map((page) => `main/${page.replace(/\.md$/, '.html')}`);
    assert.deepEqual(files, [...pages, 'main/404.html', 'index.html', '404.html'].sort());
  });

  test('every link, picture and script of the site leads to a file, and every anchor to an element', () => {
    const ids = new Map<string, Set<string>>();
    const idsOf = (file: string) => {
      const known = ids.get(file) ?? new Set(valuesOf(readFileSync(file, 'utf8'), 'id').map(encodeURIComponent));
      ids.set(file, known);
      return known;
    };
    const broken: string[] = [];
    let checked = 0;
    for (const page of files) {
      const from = new URL(`http://site${base}${page}`);
      for (const target of [...valuesOf(read(page), 'href'), ...valuesOf(read(page), 'src')]) {
        const to = new URL(target, from);
        if (to.host !== 'site') continue;
        checked += 1;
        const { file, status } = fileOf(site, to.pathname);
        const anchor = to.hash.slice(1);
        if (status === 404) broken.push(`${page}: ${target}`);
        else if (anchor !== '' && file.endsWith('.html') && !idsOf(file).has(anchor)) broken.push(`${page}: ${target}`);
      }
    }
    assert.deepEqual(broken, []);
    assert.ok(checked > 2000, `${checked}`);
  });

  test('links to files that are no pages lead to files of the repository, at the version of the pages', () => {
    const targets = files.flatMap((page) => valuesOf(read(page), 'href'));
    const inRepository =
      /^https:\/\/github\.com\/glance-image-operator\/glance-image-operator\/(?:blob|tree|edit)\/([^/]+)\/(.+?)(?:#.*)?$/;
    const found = targets.flatMap((target) => {
      const [, ref, file] = inRepository.exec(target) ?? [];
      return ref === undefined ? [] : [`${ref} ${file}`];
    });
    assert.ok(found.includes('main test/image/plan.test.ts'));
    for (const one of new Set(found)) {
      const [ref, file = ''] = one.split(' ');
      assert.equal(ref, 'main');
      assert.equal(globSync(file, { cwd: root }).length, 1, file);
    }
  });

  test('no page loads anything from another host', () => {
    for (const page of files) {
      const text = read(page);
      const loaded = [
        ...text.matchAll(/<(?:script|img|iframe|link rel="(?:stylesheet|preload|modulepreload|icon)")[^>]*/g),
      ];
      for (const [tag = ''] of loaded) assert.doesNotMatch(tag, /(?:src|href)="(?:https?:)?\/\//, page);
    }
  });

  test('the search index has the text of the pages', () => {
    const [index = ''] = globSync('main/assets/chunks/@localSearchIndex*.js', { cwd: site });
    assert.match(read(index), /digestmismatch/);
  });
});
