/**
 * xz, by the decoder of @napi-rs/lzma, which runs on a thread of its own.
 *
 * Guarantees: the decoder is started only when its memory is granted, and gets each byte only after its structure was found valid and
 * within the limits, because it has no memory limit itself. So what is wrong with a header, or between streams, is always reported by
 * the check of the structure, whatever the decoder has read by then.
 *
 * It reads ahead: up to 16 pieces wait at its input, and 16 chunks of 64 KiB at its output. Both are dropped when the reader stops.
 */
import { describe } from '../../lib/errors.ts';
import { memoryGranted } from './bounds.ts';
import { damagedStream, type Job, unsupported } from './errors.ts';
import type { Input } from './input.ts';
import { formXzTeam, unxzBlocks, type XzDecoder } from './xz-blocks.ts';
import { XzStructure } from './xz-structure.ts';

/** Small, because pieces that wait in the decoder count as taken, but are not decompressed yet. */
const pieceBytes = 32 * 1024;

export async function* unxz(input: Input, job: Job): AsyncGenerator<Uint8Array, void, undefined> {
  const decoder = await loadDecoder(job);
  const team = await formXzTeam(input, job);
  if (team !== undefined) return yield* unxzBlocks(input, job, decoder, team);
  const compressed = new CheckedStream(input, job);
  await compressed.begin();
  const reader = decoder.decompressStream(compressed.stream).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        throw compressed.failure ?? damagedStream(job, describe(error), input.taken, error);
      });
      if (compressed.failure !== undefined) throw compressed.failure;
      if (done) return;
      yield value;
    }
  } finally {
    // Ends the thread, which then reads no more input.
    await reader.cancel().catch(() => {});
  }
}

/** The input as a stream for the decoder. */
export class CheckedStream {
  readonly stream: ReadableStream<Uint8Array>;
  /** The error that ended it early: an error of the body, or of its structure. */
  failure: unknown;
  readonly #input: Input;
  readonly #job: Job;
  readonly #structure: XzStructure;
  /** Checked, and not yet taken by the decoder. */
  #first: Uint8Array | undefined;
  /** The beginning of a field, which is checked when it is complete. */
  #unchecked: Uint8Array = new Uint8Array(0);

  constructor(input: Input, job: Job) {
    this.#input = input;
    this.#job = job;
    this.#structure = new XzStructure(job);
    const pull = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
      try {
        const piece = this.#first ?? (await this.#next());
        this.#first = undefined;
        if (piece === undefined) controller.close();
        else controller.enqueue(piece);
      } catch (error) {
        this.failure = error;
        controller.error(error);
      }
    };
    this.stream = new ReadableStream({ pull }, { highWaterMark: 0 });
  }

  /** Resolves when the memory of the decoder is granted: a decoder that waits for it holds memory already. */
  async begin(): Promise<void> {
    this.#first = await this.#next();
  }

  async #next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const piece = await this.#input.next(pieceBytes);
      if (piece === undefined) {
        this.#structure.finish();
        return undefined;
      }
      this.#structure.update(piece);
      await memoryGranted(this.#job);
      const bytes = this.#unchecked.length === 0 ? piece : Buffer.concat([this.#unchecked, piece]);
      const checked = bytes.length - this.#structure.unchecked;
      this.#unchecked = bytes.subarray(checked);
      if (checked > 0) return bytes.subarray(0, checked);
    }
  }
}

/** Native code may be missing on a platform. Then only xz is unavailable. */
async function loadDecoder(job: Job): Promise<XzDecoder> {
  try {
    return await import('@napi-rs/lzma/xz');
  } catch (error) {
    throw unsupported(job, `no decoder for ${process.platform}-${process.arch} is installed with this operator`, error);
  }
}
