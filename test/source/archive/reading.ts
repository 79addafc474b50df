/** Reading the image out of an archive, and what may come of it. */
import assert from 'node:assert/strict';
import type { ErrorCode } from '../../../src/lib/error-codes.ts';
import { OperatorError } from '../../../src/lib/errors.ts';
import type { MemoryShare } from '../../../src/lib/memory-budget.ts';
import { unpack } from '../../../src/source/archive/index.ts';
import { decompress } from '../../../src/source/decompress/index.ts';
import { body, limits } from '../decompress/reading.ts';

export const url = 'https://user:secret@example.com/image.tar.xz?token=secret';

export interface Reading {
  member?: string;
  isPublic?: boolean;
  maxBytes?: number;
  /** Of the pieces in which the archive arrives. */
  lengths?: readonly number[];
  /** The image is not kept. */
  discards?: boolean;
  memory?: MemoryShare;
}

export interface Outcome {
  bytes: Buffer;
  length: number;
  archive: string | undefined;
  member: string | undefined;
  size: number | undefined;
  error: OperatorError | undefined;
}

export async function read(archive: Uint8Array | AsyncIterable<Uint8Array>, reading: Reading = {}): Promise<Outcome> {
  const { member, isPublic = true, maxBytes = limits.maxBytes, lengths = [65_536], discards = false, memory } = reading;
  const common = { url, limits: { ...limits, maxBytes }, memory };
  const source = archive instanceof Uint8Array ? body(archive, lengths) : archive;
  const decompressed = decompress(source, { ...common, mode: 'Auto' });
  const { compression } = decompressed;
  const unpacked = unpack(decompressed.body, {
    ...common,
    mode: 'Auto',
    member,
    compression,
    isPublic: () => isPublic,
  });
  const chunks: Uint8Array[] = [];
  let length = 0;
  let failure: OperatorError | undefined;
  try {
    for await (const chunk of unpacked.body) {
      length += chunk.length;
      if (!discards) chunks.push(Buffer.from(chunk));
    }
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    failure = error;
  }
  return {
    bytes: Buffer.concat(chunks),
    length,
    archive: unpacked.archive(),
    member: unpacked.member(),
    size: unpacked.size(),
    error: failure,
  };
}

/** Fails unless the archive is rejected, however it is split, with a message that `message` matches. */
export async function refuses(
  archive: Uint8Array,
  message: RegExp,
  { code = 'ArchiveInvalid', ...reading }: Reading & { code?: ErrorCode } = {},
): Promise<void> {
  for (const lengths of [[65_536], [1, 511, 3]]) {
    const { error } = await read(archive, { ...reading, lengths });
    assert.ok(error !== undefined, 'it was accepted');
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    assert.match(error.message, /https:\/\/example\.com\/image\.tar\.xz\?…/);
    assert.doesNotMatch(error.message, /secret/);
  }
}

/** Fails unless the archive has this image in it, however it is split. */
export async function gives(archive: Uint8Array, image: Uint8Array, reading: Reading = {}): Promise<Outcome> {
  let last: Outcome | undefined;
  for (const lengths of [[65_536], [1, 511, 3], [512]]) {
    last = await read(archive, { ...reading, lengths });
    if (last.error !== undefined) throw last.error;
    assert.ok(last.bytes.equals(image), `${last.bytes.length} of ${image.length} bytes, or others`);
  }
  return last ?? assert.fail();
}
