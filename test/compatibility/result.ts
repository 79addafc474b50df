/**
 * The results of combinations: one file each in the cache while a run goes on, and those that are published in `results.json`.
 *
 * Invariant: a result in the cache counts only for the sources that it was made with.
 */
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { cache, folders, root } from '../env/parts.mjs';
import type { Combination } from './combinations.ts';

export const resultSchema = z.object({
  kubernetes: z.string(),
  openstack: z.string(),
  store: z.enum(['file', 's3']),
  /** The day of the run. */
  ran: z.string(),
  outcome: z.discriminatedUnion('is', [
    z.object({
      is: z.literal('run'),
      keystone: z.string(),
      glance: z.string(),
      passed: z.number(),
      /** The names of the tests that failed. */
      failed: z.array(z.string()),
    }),
    /** The servers could not be made or started, with the error. */
    z.object({ is: z.literal('not run'), error: z.string() }),
  ]),
});
export type Result = z.infer<typeof resultSchema>;

const cachedSchema = resultSchema.extend({ sources: z.string() });
export const publishedFile = join(import.meta.dirname, 'results.json');

/** Of everything that decides a result, except the results. */
export function hashOfSources(): string {
  const hash = createHash('sha256');
  for (const pattern of ['src/**/*', 'charts/**/*', 'crds/*', 'test/**/*', 'package-lock.json'])
    for (const entry of globSync(pattern, { cwd: root, withFileTypes: true }).filter((each) => each.isFile())) {
      const file = join(entry.parentPath, entry.name);
      if (file !== publishedFile) hash.update(file.slice(root.length)).update(readFileSync(file));
    }
  return hash.digest('hex').slice(0, 16);
}

const fileOf = (name: string) => join(cache, 'compatibility', `${name}.json`);

/** The result of an earlier run with the same sources and releases. */
export function cachedResult(
  name: string,
  { kubernetes, openstack }: Combination,
  sources: string,
): Result | undefined {
  if (!existsSync(fileOf(name))) return undefined;
  const read = cachedSchema.safeParse(JSON.parse(readFileSync(fileOf(name), 'utf8')));
  if (!read.success) return undefined;
  const { sources: of, ...result } = read.data;
  return of === sources && result.kubernetes === kubernetes && result.openstack === openstack ? result : undefined;
}

export function keepResult(name: string, result: Result, sources: string): void {
  mkdirSync(join(cache, 'compatibility'), { recursive: true });
  writeFileSync(fileOf(name), JSON.stringify({ ...result, sources }));
}

export const publishedResults = (): readonly Result[] =>
  existsSync(publishedFile) ? z.array(resultSchema).parse(JSON.parse(readFileSync(publishedFile, 'utf8'))) : [];

/** The lines of what was printed that say what went wrong. A file of this machine is named without its folder. */
export function causeIn(tail: string): string {
  const lines = tail.split('\n').map((line) => line.trim());
  const errors = lines.filter((line) => /\b\w*Error\b|\berror:|could not be made/i.test(line));
  const cause = (errors.length > 0 ? errors : lines.slice(-3)).join('\n');
  const ofMachine = [root, cache, dirname(folders.postgres), tmpdir()];
  return cause
    .replaceAll(/[^\s:'"]+/g, (word) =>
      ofMachine.some((folder) => word.startsWith(`${folder}/`)) ? basename(word) : word,
    )
    .slice(-600);
}
