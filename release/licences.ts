/**
 * Writes dist/LICENSES: the packages in the programs and their licences. The last step of `npm run build`.
 *
 * Invariant: the list has the bundled packages, as reported by the bundler, not the installed ones, each with the text of its
 * licence. The folder release/notices adds missing texts, such as the notices of compiled code, each for one version of a
 * package. An unknown licence, a missing text, or notices for another version fail the build.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { z } from 'zod';

/** Licences that allow redistribution with their notice, in any program. */
const permissive: ReadonlySet<string> = new Set([
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'ISC',
  'MIT',
  'Unlicense',
]);

/** Licences that allow a program under another licence to load the package, as long as it can be replaced: it is not bundled. */
const replaceable: ReadonlySet<string> = new Set(['LGPL-3.0+']);

const metafileSchema = z.object({
  inputs: z.record(z.string(), z.unknown()),
  outputs: z.record(z.string(), z.object({ imports: z.array(z.object({ path: z.string() })) })),
});
const manifestSchema = z.object({ name: z.string(), version: z.string(), license: z.string() });

export interface UsedPackage {
  folder: string;
  /** A part of the programs. Otherwise they load it at run time. */
  isBundled: boolean;
}

/** The packages in a bundle, and those that it loads at run time. */
export function packagesOf(metafile: unknown): UsedPackage[] {
  const { inputs, outputs } = metafileSchema.parse(metafile);
  const imports = Object.values(outputs).flatMap((output) => output.imports.map(({ path }) => path));
  const loaded = imports
    .filter((path) => !isBuiltin(path) && !path.startsWith('.'))
    .map((path) => `node_modules/${path}/`);
  const bundled = new Set(foldersOf(Object.keys(inputs)));
  // Our own files are in no package, and some packages have optional imports that are not installed.
  return [...new Set([...bundled, ...foldersOf(loaded)])]
    .filter((folder) => existsSync(folder))
    .sort()
    .map((folder) => ({ folder, isBundled: bundled.has(folder) }));
}

function foldersOf(files: readonly string[]): string[] {
  return files.flatMap((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file)?.[0] ?? []);
}

/** Throws where the terms are not among those that are known. */
export function noticeOf({ folder, isBundled }: UsedPackage): string {
  const { name, version, license } = manifestSchema.parse(
    JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')),
  );
  if (!permissive.has(license) && (isBundled || !replaceable.has(license)))
    throw new Error(`${name} is under "${license}": see whether it may be passed on with ours`);
  const texts = readdirSync(folder).filter((file) => /^(licen[cs]e|notice)/i.test(file));
  const own = texts.sort().map((file) => readFileSync(join(folder, file), 'utf8').trim());
  const parts = [...own, ...addedNotice(name, version)];
  // The Unlicense asks for no notice.
  if (parts.length === 0 && license !== 'Unlicense')
    throw new Error(`${name} has no text of its licence: add one as ${noticeFile(name)}`);
  return [`${name} ${version} (${license})`, ...parts].join('\n\n');
}

function noticeFile(name: string): string {
  return join(import.meta.dirname, 'notices', `${name.replace('/', '+')}.txt`);
}

function addedNotice(name: string, version: string): string[] {
  const file = noticeFile(name);
  if (!existsSync(file)) return [];
  const text = readFileSync(file, 'utf8').trim();
  const [first = ''] = text.split('\n');
  if (!first.endsWith(` ${name} ${version}`))
    throw new Error(
      `${file} is not for ${name} ${version}: list the crates of this version, and name it in the first line`,
    );
  return [text];
}

export function noticesOf(packages: readonly UsedPackage[]): string {
  const line = `\n\n${'-'.repeat(80)}\n\n`;
  return `${packages.map(noticeOf).join(line)}\n`;
}

if (import.meta.main) {
  writeFileSync('dist/LICENSES', noticesOf(packagesOf(JSON.parse(readFileSync('dist/meta.json', 'utf8')))));
}
