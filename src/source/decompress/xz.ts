/**
 * xz, by the decoder of @napi-rs/lzma, which runs on a thread of its own. Law: it gets each piece only after the structure
 * was found sound and within the limits, for it has no limit of memory itself.
 *
 * It reads ahead of what it gives: up to 16 pieces wait on its way in, and 16 chunks of 64 KiB on its way out. Both are
 * given up when whoever reads stops.
 */
import { describe } from '../../lib/errors.ts';
import { damagedStream, type Job, unsupported } from './errors.ts';
import type { Input } from './input.ts';
import { XzStructure } from './xz-structure.ts';

/** Small, for what waits inside the decoder was taken, but is not decompressed yet. */
const pieceBytes = 32 * 1024;

export async function* unxz(input: Input, job: Job): AsyncGenerator<Uint8Array, void, undefined> {
  const decompressStream = await loadDecoder(job);
  const compressed = new CheckedStream(input, job);
  const reader = decompressStream(compressed.stream).getReader();
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
    // The thread ends, and asks for nothing more.
    await reader.cancel().catch(() => {});
  }
}

/** The input as the decoder wants it. */
class CheckedStream {
  readonly stream: ReadableStream<Uint8Array>;
  /** What ended it before its end: what the body threw, or what is wrong with its structure. */
  failure: unknown;

  constructor(input: Input, job: Job) {
    const structure = new XzStructure(job);
    const pull = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
      try {
        const piece = await input.next(pieceBytes);
        if (piece === undefined) {
          structure.finish();
          controller.close();
        } else {
          structure.update(piece);
          controller.enqueue(piece);
        }
      } catch (error) {
        this.failure = error;
        controller.error(error);
      }
    };
    this.stream = new ReadableStream({ pull }, { highWaterMark: 0 });
  }
}

/** Native code, which a platform may lack: then only xz is missing, not the operator. */
async function loadDecoder(job: Job) {
  try {
    return (await import('@napi-rs/lzma/xz')).decompressStream;
  } catch (error) {
    throw unsupported(job, `no decoder for ${process.platform}-${process.arch} is installed with this operator`, error);
  }
}
