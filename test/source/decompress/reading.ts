/** Reading a decompressed body, and what may come of it. */
import assert from 'node:assert/strict';
import { CompressionError } from '../../../src/source/decompress/errors.ts';
import {
  type Compression,
  type DecompressLimits,
  decompress,
  type Helpers,
} from '../../../src/source/decompress/index.ts';

export const url = 'https://user:secret@example.com/image.raw.xz?token=secret';
export const limits: DecompressLimits = { maxBytes: 2 ** 30, maxRatio: 100, maxDictionaryBytes: 128 * 2 ** 20 };

/** The bytes cut into pieces of these lengths, over and over; all in one without lengths. */
export function* pieces(bytes: Uint8Array, lengths: readonly number[] = []): Generator<Uint8Array, void, undefined> {
  let at = 0;
  for (let index = 0; at < bytes.length; index++) {
    const length = lengths[index % lengths.length] ?? bytes.length;
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

export async function* body(
  bytes: Uint8Array,
  lengths: readonly number[] = [],
): AsyncGenerator<Uint8Array, void, undefined> {
  yield* pieces(bytes, lengths);
}

export interface Outcome {
  bytes: Buffer;
  compression: Compression | undefined;
  error: CompressionError | undefined;
  warnings: readonly string[];
}

/** What comes out in `Auto` mode, up to an error of the compression; any other error is thrown. */
export async function outcome(
  source: AsyncIterable<Uint8Array>,
  changed: Partial<DecompressLimits> = {},
  allowTrailingData = false,
  helpers?: Helpers,
): Promise<Outcome> {
  const decompressed = decompress(source, {
    mode: 'Auto',
    url,
    limits: { ...limits, ...changed },
    allowTrailingData,
    helpers,
  });
  const chunks: Uint8Array[] = [];
  let failure: CompressionError | undefined;
  try {
    for await (const chunk of decompressed.body) chunks.push(chunk);
  } catch (error) {
    if (!(error instanceof CompressionError)) throw error;
    failure = error;
  }
  const warnings = decompressed.warnings();
  return { bytes: Buffer.concat(chunks), compression: decompressed.compression(), error: failure, warnings };
}

/** The output of a valid file. */
export async function unpacked(bytes: Uint8Array, lengths: readonly number[] = []): Promise<Buffer> {
  const { bytes: out, error } = await outcome(body(bytes, lengths));
  if (error !== undefined) throw error;
  return out;
}

/** Fails unless the file is rejected as damaged or cut off with a message that `message` matches. */
export async function refuses(bytes: Uint8Array, message: RegExp, lengths: readonly number[] = []): Promise<void> {
  const { error } = await outcome(body(bytes, lengths));
  assert.ok(error !== undefined, 'it was accepted');
  assert.match(error.code, /^Compression(?:Invalid|CutOff)$/);
  assert.match(error.message, message);
  assert.match(error.message, /https:\/\/example\.com\/image\.raw\.xz\?…/);
  assert.doesNotMatch(error.message, /secret/);
}

/**
 * Fails unless the file is rejected as CompressionBomb with a message that `message` matches; returns the output
 * before.
 */
export async function explodes(
  bytes: Uint8Array,
  message: RegExp,
  changed: Partial<DecompressLimits> = {},
): Promise<number> {
  const decompressed = decompress(body(bytes, [65_536]), { mode: 'Auto', url, limits: { ...limits, ...changed } });
  let given = 0;
  await assert.rejects(
    async () => {
      for await (const chunk of decompressed.body) given += chunk.length;
    },
    (error) => {
      assert.ok(error instanceof CompressionError);
      assert.equal(error.code, 'CompressionBomb');
      assert.equal(error.retry.kind, 'change');
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    },
  );
  return given;
}
