/**
 * Decompression of a body on its way. Laws: one pass, in memory that does not depend on the file; nothing is read before it
 * is asked for; whoever stops, at whatever byte, frees everything; the bytes that come out do not depend on how those that
 * went in were cut; and damage is found by the checksums of the format before the body ends. What no format shows is a cut
 * exactly between two members (gzip), frames (zstd), or streams (xz, bzip2): for that there are lengths and digests.
 */
import { checkSize } from './bounds.ts';
import { bunzip2 } from './bzip2.ts';
import type { DecompressLimits, Job } from './errors.ts';
import { Input } from './input.ts';
import { type Compression, detectCompression, magicBytes } from './magic.ts';
import { unxz } from './xz.ts';
import { gunzip, unzstd } from './zlib.ts';

export type { DecompressLimits } from './errors.ts';
export type { Compression } from './magic.ts';

/**
 * All that `input` holds, decompressed. Throws what the body throws, and CompressionError for what its bytes are. Each piece
 * that it yields is small enough for the limits to be checked in between.
 */
export type Codec = (input: Input, job: Job) => AsyncGenerator<Uint8Array, void, undefined>;

const codecs: Record<Compression, Codec> = { gzip: gunzip, zstd: unzstd, xz: unxz, bzip2: bunzip2 };

export interface DecompressOptions {
  /** `Auto` decompresses what begins like a compressed file, and hands on everything else as it is. `None` never does. */
  mode: 'Auto' | 'None';
  /** Where the body comes from, for messages; it may hold credentials, they are not shown. */
  url: string;
  limits: DecompressLimits;
}

export interface Decompressed {
  /** To be read once. Reading it throws what the original body throws, CompressionInvalid, or CompressionBomb. */
  readonly body: AsyncIterable<Uint8Array>;
  /** What was found, once the first bytes were read; undefined for a body that goes through as it is. */
  compression(): Compression | undefined;
}

export function decompress(body: AsyncIterable<Uint8Array>, options: DecompressOptions): Decompressed {
  if (options.mode === 'None') return { body, compression: () => undefined };
  let found: Compression | undefined;
  async function* decompressed(): AsyncGenerator<Uint8Array, void, undefined> {
    const input = new Input(body);
    try {
      found = detectCompression(await input.peek(magicBytes));
      yield* found === undefined ? rest(input) : bounded(input, { ...options, compression: found });
    } finally {
      await input.close();
    }
  }
  return { body: decompressed(), compression: () => found };
}

async function* rest(input: Input): AsyncGenerator<Uint8Array, void, undefined> {
  for (;;) {
    const chunk = await input.next(Number.POSITIVE_INFINITY);
    if (chunk === undefined) return;
    yield chunk;
  }
}

async function* bounded(input: Input, job: Job): AsyncGenerator<Uint8Array, void, undefined> {
  let given = 0;
  for await (const chunk of codecs[job.compression](input, job)) {
    if (chunk.length === 0) continue;
    given += chunk.length;
    checkSize(job, given, input.taken);
    yield chunk;
  }
}
