/** Every page of the built site in headless Chromium, narrow and wide, light and dark. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { buildSite } from '../../release/site/site.ts';
import { type Browser, startBrowser, type Tab, type View } from './browser.ts';
import { serveSite } from './serve.ts';

const look = readFileSync(join(import.meta.dirname, 'look.mjs'), 'utf8').replace(/^export /gm, '');
const views: View[] = [360, 1280].flatMap((width): View[] => [
  { width, scheme: 'light' },
  { width, scheme: 'dark' },
]);
/** The folder in which pictures of the pages are kept, for a person who wants to look at them. */
const pictures = process.env['GLANCE_IMAGE_OPERATOR_PICTURES'];

let folder: string;
let server: Awaited<ReturnType<typeof serveSite>>;
let browser: Browser;
let tab: Tab;
let pages: string[];

const nameOf = ({ width, scheme }: View) => `${width} px, ${scheme}`;
const faults = async (part = 'body') =>
  z.array(z.string()).parse(await tab.evaluate(`${look}\nfaultsOfPage('${part}')`));

/** Opens the search, and has the addresses of what it finds as value. */
const search = (text: string) => `(async () => {
  const until = async (find) => {
    for (;;) {
      const found = find();
      if (found) return found;
      await new Promise((done) => requestAnimationFrame(done));
    }
  };
  document.querySelector('.DocSearch-Button').click();
  const input = await until(() => document.querySelector('.VPLocalSearchBox input'));
  input.value = '${text}';
  input.dispatchEvent(new Event('input', { bubbles: true }));
  await until(() => document.querySelector('.VPLocalSearchBox .result'));
  return [...document.querySelectorAll('.VPLocalSearchBox .result')].map(({ href }) => href);
})()`;

async function keepPicture(page: string, view: View, height = 2400): Promise<void> {
  if (pictures === undefined) return;
  await mkdir(pictures, { recursive: true });
  const name = `${page.replace('.html', '').replaceAll('/', '-')}-${view.width}-${view.scheme}.png`;
  await writeFile(join(pictures, name), await tab.picture(view, height));
}

describe('the pages of the site in a browser', () => {
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'look-'));
    await buildSite('main', folder);
    pages = globSync('**/*.html', { cwd: join(folder, 'main') }).sort();
    server = await serveSite(folder);
    browser = await startBrowser();
    tab = await browser.tab();
  });

  after(async () => {
    await browser?.stop();
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  test('no page scrolls sideways, has texts that overlap or are faint, or reports an error, narrow and wide, light and dark', async () => {
    const found: string[] = [];
    for (const page of pages) {
      await tab.show({ width: 1280, scheme: 'light' });
      await tab.open(`${server.address}main/${page}`);
      for (const view of views) {
        await tab.show(view);
        found.push(...(await faults()).map((fault) => `${page} at ${nameOf(view)}: ${fault}`));
        await keepPicture(page, view);
      }
      found.push(...tab.takeErrors().map((error) => `${page}: ${error}`));
    }
    assert.deepEqual(found, []);
    assert.ok(pages.length > 40);
  });

  test('the open menus of a narrow screen and the open search have no such faults, light and dark', async () => {
    const click = (button: string) => `document.querySelector('${button}').click()`;
    const parts: [open: string, opened: string][] = [
      [click('.VPNavBarHamburger'), '.VPNavScreen'],
      [click('.VPLocalNav .menu'), '.VPSidebar'],
      [search('digest'), '.VPLocalSearchBox .shell'],
    ];
    const found: string[] = [];
    for (const [open, opened] of parts)
      for (const view of views.filter(({ width }) => width === 360)) {
        await tab.show(view);
        await tab.open(`${server.address}main/reference/reasons.html`);
        await tab.evaluate(open);
        await tab.evaluate(`(async () => {
          while (!document.querySelector('${opened}')?.checkVisibility({ opacityProperty: true, visibilityProperty: true }))
            await new Promise((done) => requestAnimationFrame(done));
        })()`);
        await tab.show(view);
        found.push(...(await faults(opened)).map((fault) => `${opened} at ${nameOf(view)}: ${fault}`));
        await keepPicture(`${opened.slice(1)}.html`, view, 900);
      }
    assert.deepEqual(found, []);
    assert.deepEqual(tab.takeErrors(), []);
  });

  test('each fault of a page is found', async () => {
    await tab.open(`${server.address}main/index.html`);
    await tab.show({ width: 360, scheme: 'light' });
    const broken: [string, RegExp][] = [
      ['document.querySelector("h1").style.width = "700px"', /^it scrolls sideways/],
      ['document.querySelector("h1").style.cssText = "position: relative; top: 60px; width: auto"', /overlap$/],
      ['document.querySelector("h1").style.cssText = "color: #bbb"', /has a contrast of 1\.9/],
    ];
    for (const [change, fault] of broken) {
      await tab.evaluate(`void (${change})`);
      assert.match((await faults()).join('\n'), new RegExp(fault, 'm'));
    }
    await tab.evaluate('console.error("broken")');
    assert.match(tab.takeErrors().join(), /broken/);
  });

  test('the search of the site finds a reason and leads to its page', async () => {
    await tab.show({ width: 1280, scheme: 'light' });
    await tab.open(`${server.address}main/index.html`);
    const hits = await tab.evaluate(search('DigestMismatch'));
    assert.match(String(hits), /reference\/reasons\.html/);
    assert.deepEqual(tab.takeErrors(), []);
  });

  test('the menu of versions leads to the pages of another version, and old pages name the newest release', async () => {
    await writeFile(join(folder, 'versions.json'), '["v0.2.0","v0.1.0","main"]');
    await tab.open(`${server.address}main/index.html`);
    const listed = await tab.evaluate(`(async () => {
      const options = () => [...document.querySelector('.version-menu').options].map(({ value }) => value);
      while (options().length < 3) await new Promise((done) => requestAnimationFrame(done));
      return { options: options(), selected: document.querySelector('.version-menu').value,
        note: document.querySelector('.version-note').textContent, to: document.querySelector('.version-note a').href };
    })()`);
    assert.deepEqual(listed, {
      options: ['v0.2.0', 'v0.1.0', 'main'],
      selected: 'main',
      note: 'These pages describe a version that is not released yet. The newest release is v0.2.0.',
      to: `${server.address}v0.2.0/`,
    });
  });
});
