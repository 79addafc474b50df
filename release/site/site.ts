/**
 * Builds the site from the Markdown files: `npm run site [-- --version v0.1.0] [--into FOLDER]`, by default the pages of the
 * main branch into dist/site. `--into` names a checkout of the published site, which keeps its other versions.
 *
 * Invariant: no Markdown file is changed for the site, and nothing is fetched while it is built.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import { copyFile, cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import packageJson from '../../package.json' with { type: 'json' };
import { folders } from '../../test/env/parts.mjs';
import { menuOf, pageOnSite, pagesOf, titleOf } from './pages.ts';
import { base, development, isVersion, publish } from './versions.ts';

const root = resolve(import.meta.dirname, '../..');
const repository = packageJson.homepage;

/** Writes what the generator reads into `stage`: the pages, the pictures and the configuration. */
async function stageInto(stage: string, version: string): Promise<void> {
  const pages = pagesOf(root);
  const read = (file: string) => readFileSync(join(root, file), 'utf8');
  const isDirectory = (file: string) => statSync(join(root, file)).isDirectory();
  const source = { address: repository, ref: version, isDirectory };
  for (const [file, to] of pages) {
    await mkdir(dirname(join(stage, to)), { recursive: true });
    await writeFile(join(stage, to), pageOnSite(file, read(file), pages, source));
  }
  await cp(join(root, 'docs'), join(stage, 'public', 'docs'), {
    recursive: true,
    filter: (from) => statSync(from).isDirectory() || from.endsWith('.svg'),
  });
  await copyFile(join(root, 'docs', 'icon.svg'), join(stage, 'public', 'icon.svg'));
  const config = join(stage, '.vitepress');
  await cp(join(import.meta.dirname, 'vitepress'), config, { recursive: true });
  const menu = menuOf(read('docs/README.md'), pages, (file) => titleOf(read(file)));
  const { description } = packageJson;
  const data = { version, base: `${base}${version}/`, repository, description, menu };
  await writeFile(join(config, 'data.json'), JSON.stringify(data));
  await symlink(join(folders.site, 'node_modules'), join(stage, 'node_modules'));
}

/** Throws with the output of the generator if it fails, for example for a link to a page that does not exist. */
async function generate(stage: string, made: string): Promise<void> {
  const program = join(stage, 'node_modules', 'vitepress', 'bin', 'vitepress.js');
  const child = spawn(process.execPath, [program, 'build', stage, '--outDir', made], {
    cwd: stage,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const [code]: (number | null)[] = await once(child, 'close');
  if (code !== 0) throw new Error(`the site cannot be built:\n${output}`);
}

export async function buildSite(version: string, into: string): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), 'site-'));
  try {
    const stage = join(work, 'stage');
    await stageInto(stage, version);
    await generate(stage, join(work, 'made'));
    await mkdir(into, { recursive: true });
    await publish(join(work, 'made'), into, version);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const options = {
    version: { type: 'string', default: development },
    into: { type: 'string', default: 'dist/site' },
  } as const;
  const { version, into } = parseArgs({ options }).values;
  if (!isVersion(version)) throw new Error(`${version} is no version: it is ${development}, or like v0.1.0`);
  await buildSite(version, resolve(into));
}
