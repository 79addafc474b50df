/**
 * Files that are named on the command line, and standard input.
 *
 * Guarantees: a read is bounded and ends with the signal; only regular files are opened, because others may have no end, or wait for a
 * writer. An error that a user has to fix is a UsageError.
 */
import { createReadStream, type Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { addAbortSignal, type Readable } from 'node:stream';
import { readBounded } from '../http/body.ts';
import { attempt, describeFileError } from '../lib/errors.ts';
import { UsageError } from './config.ts';

/** Of manifests and keys. */
const largest = 16 * 2 ** 20;

/** Throws an Error for anything but a regular file. */
export async function statFile(path: string): Promise<Stats> {
  const found = await stat(path);
  if (!found.isFile()) throw new Error('it is not a regular file');
  return found;
}

export function readFileOf(path: string, signal: AbortSignal): Promise<Buffer> {
  return usable(path, signal, async () => {
    await statFile(path);
    return readWhole(createReadStream(path), signal);
  });
}

export function readInputOf(input: Readable, signal: AbortSignal): Promise<string> {
  return usable('standard input', signal, async () => (await readWhole(input, signal)).toString('utf8'));
}

async function readWhole(input: Readable, signal: AbortSignal): Promise<Buffer> {
  const result = await readBounded(addAbortSignal(signal, input), largest);
  switch (result.end) {
    case 'complete':
      return result.bytes;
    case 'limit':
      throw new Error(`it has more than ${largest} bytes`);
    case 'failed':
      throw result.error;
  }
}

async function usable<T>(what: string, signal: AbortSignal, read: () => Promise<T>): Promise<T> {
  const done = await attempt(signal, read);
  if (done.ok) return done.value;
  throw new UsageError(`cannot read ${what}: ${describeFileError(done.error)}`);
}
