/**
 * Decompresses a body while it streams.
 *
 * Guarantees: memory does not depend on the file; nothing is read before it is requested; a reader that stops, at any byte, frees
 * everything; the output does not depend on how the input is split; the checksums of the format detect damage before the body
 * ends.
 *
 * Caveat: no format detects a cut exactly between two members (gzip), frames (zstd), or streams (xz, bzip2). Lengths and digests
 * do.
 */
import type { MemoryShare } from '../../lib/memory-budget.ts';
import { safeUrl } from '../../lib/secret.ts';
import { checkDictionary, checkSize, memoryGranted } from './bounds.ts';
import { bunzip2 } from './bzip2.ts';
import { gunzip } from './engine.ts';
import type { DecompressLimits, Helpers, Job } from './errors.ts';
import { type Input, readBy } from './input.ts';
import { type Compression, detectCompression, magicBytes } from './magic.ts';
import { unxz } from './xz.ts';
import { unzstd } from './zstd.ts';

export type { DecompressLimits, Helpers } from './errors.ts';
export type { Compression } from './magic.ts';

/**
 * Decompresses `input`. Throws the errors of the body, and CompressionError for its bytes. The pieces are small enough for a check
 * of the limits between them.
 */
export type Codec = (input: Input, job: Job) => AsyncGenerator<Uint8Array, void, undefined>;

const codecs: Record<Compression, Codec> = { gzip: gunzip, zstd: unzstd, xz: unxz, bzip2: bunzip2 };

export interface DecompressOptions {
  /** `Auto` decompresses a body that begins like a compressed file and passes on any other unchanged. `None` never decompresses. */
  mode: 'Auto' | 'None';
  /** Source of the body, for messages. Credentials in it are not shown. */
  url: string;
  limits: DecompressLimits;
  /** A digest of the body as served is compared: then the data may be followed by other data, which is dropped. */
  allowTrailingData?: boolean;
  /** The memory that the decoder may use. It is returned when the decoder has ended. Absent: only the limits apply. */
  memory?: MemoryShare | undefined;
  /** Further threads that the decoder may use. Default: none. */
  helpers?: Helpers | undefined;
}

export interface Decompressed {
  /** Can be read once. Reading it throws the errors of the original body, CompressionInvalid, or CompressionBomb. */
  readonly body: AsyncIterable<Uint8Array>;
  /** The detected compression, after the first bytes were read; undefined for a body that passes unchanged. */
  compression(): Compression | undefined;
  /** What users should know, complete at the end of the body. */
  warnings(): readonly string[];
}

export function decompress(body: AsyncIterable<Uint8Array>, options: DecompressOptions): Decompressed {
  if (options.mode === 'None') return { body, compression: () => undefined, warnings: () => [] };
  const { url, limits, allowTrailingData = false, memory, helpers } = options;
  let trailing: number | undefined;
  const onTrailingData = (at: number) => {
    trailing ??= at;
  };
  let found: Compression | undefined;
  const decompressed = readBy(
    body,
    async (input) => {
      found = detectCompression(await input.peek(magicBytes));
      return found === undefined
        ? undefined
        : bounded(input, {
            url,
            limits,
            compression: found,
            memory,
            helpers,
            onTrailingData: allowTrailingData ? onTrailingData : undefined,
          });
    },
    // The decoder has ended, and Glance may need hours to complete the image. A body that passes unchanged may be a zip archive.
    () => {
      if (found !== undefined) memory?.[Symbol.dispose]();
    },
  );
  const warnings = () =>
    trailing === undefined
      ? []
      : [
          `${safeUrl(url)} has other data after its ${found} data, from byte ${trailing} on, which is not part of the image`,
        ];
  return { body: decompressed, compression: () => found, warnings };
}

async function* bounded(
  input: Input,
  job: Job & { compression: Compression },
): AsyncGenerator<Uint8Array, void, undefined> {
  // The headers of xz and zstd say how much more they need.
  if (job.compression === 'gzip' || job.compression === 'bzip2') checkDictionary(job, 0);
  await memoryGranted(job);
  let delivered = 0;
  for await (const chunk of codecs[job.compression](input, job)) {
    if (chunk.length === 0) continue;
    delivered += chunk.length;
    checkSize(job, delivered, input.taken);
    yield chunk;
  }
}
