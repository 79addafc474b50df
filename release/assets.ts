/**
 * Makes the files of a release in a folder: `npm run package [FOLDER]`, by default dist/release.
 *
 * Invariant: all files of a release, except its container image, are made here, by the same programs on every machine,
 * so that they can be checked before the tag exists.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { globSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { chart, helm } from '../charts/helm.ts';
import { manifests } from '../charts/manifests.ts';
import packageJson from '../package.json' with { type: 'json' };
import { makeLibrary } from './library.ts';

const root = resolve(import.meta.dirname, '..');

/** Writes the chart, the library, the plain manifests, the definitions, the bill of materials, and the sums of them all. */
export async function makeAssets(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await packageChart(folder);
  const library = await packageLibrary(folder);
  const texts = {
    'install.yaml': await manifests(),
    'crds.yaml': await definitions(),
    'sbom.spdx.json': await billOfMaterials(),
  };
  for (const [name, text] of Object.entries(texts)) await writeFile(join(folder, name), text);
  const sums = await sumsOf(folder, [`${packageJson.name}-${packageJson.version}.tgz`, library, ...Object.keys(texts)]);
  await writeFile(join(folder, 'SHA256SUMS'), sums);
}

async function packageChart(folder: string): Promise<void> {
  for (const args of [
    ['lint', '--strict', chart],
    ['package', chart, '--destination', folder],
  ]) {
    const ended = await helm(...args);
    if (ended.kind === 'rejected') throw new Error(`helm ${args.join(' ')}:\n${ended.stderr}`);
  }
}

/** Returns the name of the file: not the one that npm gives it, which is that of the chart. */
async function packageLibrary(folder: string): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'library-'));
  await makeLibrary(join(made, 'package'));
  const { stdout } = await promisify(execFile)('npm', ['pack', '--silent', './package'], { cwd: made });
  const name = `${packageJson.name}-library-${packageJson.version}.tgz`;
  await copyFile(join(made, stdout.trim()), join(folder, name));
  await rm(made, { recursive: true });
  return name;
}

async function definitions(): Promise<string> {
  const files = globSync('crds/*.yaml', { cwd: root }).sort();
  const texts = await Promise.all(files.map((file) => readFile(join(root, file), 'utf8')));
  return texts.join('---\n');
}

/** Of what `package-lock.json` brings into the bundle, on any platform. */
async function billOfMaterials(): Promise<string> {
  const options = { cwd: root, maxBuffer: 2 ** 26, timeout: 60_000 };
  return (await promisify(execFile)('npm', ['run', '--silent', 'sbom'], options)).stdout;
}

/** As sha256sum writes them. */
async function sumsOf(folder: string, names: readonly string[]): Promise<string> {
  const lines = names.map(async (name) => {
    const hash = createHash('sha256').update(await readFile(join(folder, name)));
    return `${hash.digest('hex')}  ${name}\n`;
  });
  return (await Promise.all(lines)).join('');
}

if (import.meta.main) await makeAssets(process.argv[2] ?? 'dist/release');
