/** The decoder of zstd in node:zlib, which runs in a thread of Node's pool, and the bounds on what it makes. */
import { constants, createZstdDecompress } from 'node:zlib';
import { describe } from '../../lib/errors.ts';
import { checkParts, checkSize } from './bounds.ts';
import { chunkSize, Engine } from './engine.ts';
import { damagedStream, type Job } from './errors.ts';
import type { FramePart, FramePlace } from './zstd-frames.ts';

/** Decodes the parts of frames in their order. */
export interface ZstdDecoder {
  /** The data of a part. Throws if it is damaged. */
  decode(part: FramePart): AsyncGenerator<Uint8Array, void, undefined>;
  /** The rest. Throws if a frame is not complete. */
  end(): AsyncGenerator<Uint8Array, void, undefined>;
  close(): void;
}

/** `chunkBytes`: the length of its output buffers. */
export function startZstd(job: Job, chunkBytes = chunkSize): ZstdDecoder {
  const params = { [constants.ZSTD_d_windowLogMax]: windowLog(job.limits.maxDictionaryBytes) };
  let at = 0;
  let isEmpty = true;
  const engine = new Engine(createZstdDecompress({ chunkSize: chunkBytes, params }), (error) =>
    damagedStream(job, describe(error), at, error),
  );
  return {
    async *decode(part) {
      if (part.bytes.length === 0) return;
      isEmpty = false;
      ({ at } = part);
      yield* engine.write(part.bytes);
      if (engine.unused > 0) throw damagedStream(job, 'a frame ends before its blocks do', at - engine.unused);
    },
    async *end() {
      if (!isEmpty) yield* engine.end();
    },
    close: () => engine.close(),
  };
}

/** The limit of the decoder itself is a power of two. It must not be below ours. */
function windowLog(bytes: number): number {
  return Math.min(Math.max(Math.ceil(Math.log2(bytes)), 10), 31);
}

/** Counts the data of a file, and throws CompressionBomb where a limit is exceeded. */
export class ZstdOutput {
  readonly #job: Job;
  #bytes = 0;

  constructor(job: Job) {
    this.#job = job;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Call it before the data of each part. */
  begin({ count, at }: FramePlace): void {
    checkParts(this.#job, count, at, this.#bytes);
  }

  /** Returns the chunk. By the position of its part, because more may have been read ahead. */
  count(chunk: Uint8Array, { at }: FramePlace): Uint8Array {
    this.#bytes += chunk.length;
    checkSize(this.#job, this.#bytes, at);
    return chunk;
  }
}
