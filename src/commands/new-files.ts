/**
 * Writes several files into a folder, all of them or none.
 *
 * Guarantees: no file that exists is changed; no file has a part of its text; after a failure or an abort, no file that was written is left.
 */
import { existsSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describeFileError } from '../lib/errors.ts';
import { UsageError } from './config.ts';

export interface NewFile {
  name: string;
  text: string;
}

/** Throws a UsageError, or the signal's reason. */
export async function writeFiles(folder: string, files: readonly NewFile[], signal: AbortSignal): Promise<void> {
  const existing = files.map(({ name }) => join(folder, name)).find((path) => existsSync(path));
  if (existing !== undefined) throw new UsageError(`${existing} exists: nothing was written. Name an empty folder`);
  const written: string[] = [];
  try {
    await mkdir(folder, { recursive: true });
    for (const { name, text } of files) {
      signal.throwIfAborted();
      const path = join(folder, name);
      await writeWhole(path, text);
      written.push(path);
    }
  } catch (error) {
    for (const path of written) await rm(path, { force: true });
    signal.throwIfAborted();
    throw new UsageError(`cannot write to ${folder}: ${describeFileError(error)}`);
  }
}

async function writeWhole(path: string, text: string): Promise<void> {
  const partial = `${path}.partial`;
  // A file of this name that exists already is not ours to remove.
  const file = await open(partial, 'wx');
  try {
    await file.writeFile(text).finally(() => file.close());
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}
