/**
 * Writes dist/LICENSES: whose work is in the programs, and under which terms. The last step of `npm run build`. Law: it is about what
 * was bundled, as the bundler tells it, and not about what is installed; a package under terms that are not known here ends the build.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { z } from 'zod';

/** Terms that let anybody pass a work on with its notice, in any programme. */
const permissive: ReadonlySet<string> = new Set([
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'ISC',
  'MIT',
  'Unlicense',
]);

const metafileSchema = z.object({
  inputs: z.record(z.string(), z.unknown()),
  outputs: z.record(z.string(), z.object({ imports: z.array(z.object({ path: z.string() })) })),
});
const manifestSchema = z.object({ name: z.string(), version: z.string(), license: z.string() });

/** The folders of the packages in a bundle, and of those that it loads at run time. */
export function packagesOf(metafile: unknown): string[] {
  const { inputs, outputs } = metafileSchema.parse(metafile);
  const imports = Object.values(outputs).flatMap((output) => output.imports.map(({ path }) => path));
  const loaded = imports
    .filter((path) => !isBuiltin(path) && !path.startsWith('.'))
    .map((path) => `node_modules/${path}/`);
  const files = [...Object.keys(inputs), ...loaded];
  const folders = files.map((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file)?.[0] ?? '');
  // What is ours lies in no package, and some packages try to load others that nobody has asked for.
  return [...new Set(folders)].filter((folder) => folder !== '' && existsSync(folder)).sort();
}

/** Throws where the terms are not among those that are known. */
export function noticeOf(folder: string): string {
  const { name, version, license } = manifestSchema.parse(
    JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')),
  );
  if (!permissive.has(license))
    throw new Error(`${name} is under "${license}": see whether it may be passed on with ours`);
  const texts = readdirSync(folder).filter((file) => /^(licen[cs]e|notice)/i.test(file));
  const parts = texts.sort().map((file) => readFileSync(join(folder, file), 'utf8').trim());
  return [`${name} ${version} (${license})`, ...parts].join('\n\n');
}

if (import.meta.main) {
  const folders = packagesOf(JSON.parse(readFileSync('dist/meta.json', 'utf8')));
  const line = `\n\n${'-'.repeat(80)}\n\n`;
  writeFileSync('dist/LICENSES', `${folders.map(noticeOf).join(line)}\n`);
}
