/**
 * The published site: a folder for each version, versions.json with the list of them, and a page that leads to the newest.
 *
 * Invariant: publishing one version changes no page of another one.
 */
import { existsSync } from 'node:fs';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import packageJson from '../../package.json' with { type: 'json' };

/** GitHub Pages serves the site of a repository below its name. */
export const base = `/${packageJson.name}/`;

/** The version of the main branch. */
export const development = 'main';

const release = /^v(\d+)\.(\d+)\.(\d+)$/;
export const isVersion = (version: string): boolean => version === development || release.test(version);

/** Newest first, and the development version last. */
function compare(a: string, b: string): number {
  const numbers = (version: string) => release.exec(version)?.slice(1).map(Number) ?? [-1];
  const [left, right] = [numbers(a), numbers(b)];
  const at = left.findIndex((number, index) => number !== right[index]);
  return at < 0 ? 0 : (right[at] ?? 0) - (left[at] ?? 0);
}

export function versionsWith(versions: readonly string[], version: string): string[] {
  return [...new Set([...versions, version])].sort(compare);
}

/** Leads to the newest version, or says what is missing, without a script. */
export function entryPages(versions: readonly string[]): { 'index.html': string; '404.html': string } {
  const [newest = development] = versions;
  const head =
    '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">\n';
  const title = '<title>glance-image-operator</title>\n<meta name="color-scheme" content="light dark">\n';
  return {
    'index.html': `${head}${title}<meta http-equiv="refresh" content="0; url=${newest}/">\n<p><a href="${newest}/">The documentation of glance-image-operator</a></p>\n`,
    '404.html': `${head}${title}<h1>There is no such page in this version</h1>\n<p><a href="${base}${newest}/">The documentation of glance-image-operator</a></p>\n`,
  };
}

const listOf = z.array(z.string().refine(isVersion));

/** Puts the pages of one version, in the folder `made`, into the folder of the whole site. */
export async function publish(made: string, site: string, version: string): Promise<void> {
  const list = join(site, 'versions.json');
  const before = existsSync(list) ? listOf.parse(JSON.parse(await readFile(list, 'utf8'))) : [];
  const versions = versionsWith(before, version);
  await rm(join(site, version), { recursive: true, force: true });
  await cp(made, join(site, version), { recursive: true });
  for (const [name, text] of Object.entries(entryPages(versions))) await writeFile(join(site, name), text);
  await writeFile(list, `${JSON.stringify(versions)}\n`);
  // GitHub Pages would leave out files whose names begin with an underscore.
  await writeFile(join(site, '.nojekyll'), '');
}

if (import.meta.main) {
  const [made = '', site = '', version = ''] = process.argv.slice(2);
  if (!isVersion(version)) throw new Error(`${version} is no version: it is ${development}, or like v0.1.0`);
  await publish(made, site, version);
}
