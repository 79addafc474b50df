/** The pages as the generator of the site reads them, and the list of versions. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { descriptionOf, linkOf, menuOf, pageOnSite, pagesOf } from '../../release/site/pages.ts';
import { isVersion, publish, versionsWith } from '../../release/site/versions.ts';
import { readPages, root, withoutBlocks } from '../docs/pages.ts';

const pages = pagesOf(root);
const repository = {
  address: 'https://example.com/repo',
  ref: 'v1.2.3',
  isDirectory: (file: string) => file === 'examples/glance',
};

describe('a page on the site', () => {
  const links: [string, string, string][] = [
    ['docs/README.md', 'how-to/flux.md', './how-to/flux.md'],
    ['docs/README.md', '../examples/README.md', './examples.md'],
    ['README.md', 'docs/README.md', './contents.md'],
    ['README.md', 'examples/glance', 'https://example.com/repo/tree/v1.2.3/examples/glance'],
    ['README.md', 'LICENSE', 'https://example.com/repo/blob/v1.2.3/LICENSE'],
    ['README.md', 'docs/demo.svg', '/docs/demo.svg'],
    ['charts/glance-image-operator/README.md', '../../README.md#why', '../index.md#why'],
    ['docs/how-to/flux.md', '../../charts/glance-image-operator/README.md#network', '../reference/chart.md#network'],
    [
      'docs/how-to/flux.md',
      '../../test/image/plan.test.ts',
      'https://example.com/repo/blob/v1.2.3/test/image/plan.test.ts',
    ],
    ['docs/how-to/flux.md', '#waiting', '#waiting'],
    ['docs/how-to/flux.md', 'https://fluxcd.io/', 'https://fluxcd.io/'],
  ];
  for (const [file, target, expected] of links)
    test(`the link ${target} in ${file} leads to ${expected}`, () => {
      assert.equal(linkOf(file, target, pages, repository), expected);
    });

  test('links in blocks stay as they are', () => {
    const text = '[a](b.sh)\n\n  ```md\n  [a](b.sh)\n  ```\n\n[a](b.sh)\n';
    const body = pageOnSite('README.md', text, pages, repository);
    assert.equal(body.match(/\]\(b\.sh\)/g)?.length, 1);
    assert.equal(body.match(/\]\(https:\/\/example\.com\/repo\/blob\/v1\.2\.3\/b\.sh\)/g)?.length, 2);
  });

  test('the description of a page is its first paragraph without marks, if it begins with one', () => {
    const text = '# A\n\nThe `first` [part](b.md),\nin **two** lines.\n\nMore.\n';
    assert.equal(descriptionOf(text), 'The first part, in two lines.');
    assert.equal(descriptionOf('# A\n\n## B\n\nText.\n'), '');
    assert.match(pageOnSite('README.md', text, pages, repository), /"description":"The first part, in two lines\."/);
  });

  test('the menu has each page of the index once, with the title of the page', () => {
    const index =
      '# Documentation\n\n## Start\n\n- [Now](quick-start.md): and [limits](explanation/limits.md)\n\n## How to\n\n- [Again](quick-start.md)\n';
    assert.deepEqual(
      menuOf(index, pages, (file) => file),
      [
        {
          text: 'Start',
          items: [
            { text: 'docs/quick-start.md', link: '/quick-start' },
            { text: 'docs/explanation/limits.md', link: '/explanation/limits' },
          ],
        },
        { text: 'How to', items: [] },
      ],
    );
  });

  for (const { file, text } of readPages())
    test(`${file}: the only HTML outside of code are anchors, line breaks and comments, and there is no Vue template`, () => {
      const prose = withoutBlocks(text).replace(/`[^`]*`/g, '');
      assert.doesNotMatch(prose, /\{\{/);
      for (const [tag] of prose.matchAll(/<[a-zA-Z/!][^>]*>?/g)) assert.match(tag, /^<(?:a id="[\w-]+">|\/a>|br>|!--)/);
    });
});

describe('the versions of the site', () => {
  test('the newest release is first, and the main branch is last', () => {
    const versions = ['v0.2.0', 'main', 'v0.10.0', 'v0.2.11', 'v1.0.0'].reduce<string[]>(versionsWith, []);
    assert.deepEqual(versions, ['v1.0.0', 'v0.10.0', 'v0.2.11', 'v0.2.0', 'main']);
    assert.deepEqual(versionsWith(versions, 'v0.2.0'), versions);
  });

  test('only a release or the main branch is a version', () => {
    assert.deepEqual(['main', 'v0.1.0', '0.1.0', 'v0.1', '../x', 'v0.1.0-rc.1', ''].filter(isVersion), [
      'main',
      'v0.1.0',
    ]);
  });

  test('publishing a version leaves the pages of the others as they are, and leads to the newest one', async () => {
    const made = await mkdtemp(join(tmpdir(), 'made-'));
    const site = await mkdtemp(join(tmpdir(), 'published-'));
    for (const version of ['main', 'v0.1.0', 'v0.2.0', 'v0.1.0']) {
      await writeFile(join(made, 'index.html'), version);
      await publish(made, site, version);
    }
    const names = ['.nojekyll', '404.html', 'index.html', 'main', 'v0.1.0', 'v0.2.0', 'versions.json'];
    assert.deepEqual((await readdir(site)).sort(), names);
    assert.equal(await readFile(join(site, 'v0.2.0', 'index.html'), 'utf8'), 'v0.2.0');
    assert.equal(await readFile(join(site, 'versions.json'), 'utf8'), '["v0.2.0","v0.1.0","main"]\n');
    assert.match(await readFile(join(site, 'index.html'), 'utf8'), /url=v0\.2\.0\//);
    await Promise.all([made, site].map((folder) => rm(folder, { recursive: true })));
  });
});
