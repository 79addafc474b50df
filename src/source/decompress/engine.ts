/**
 * The decoders of node:zlib, one write at a time, and gzip, which needs nothing else.
 *
 * Guarantees: a write is complete when all of its output was read, so a decoder holds no more than its window and two chunks,
 * however far a piece expands; `close` frees it at any moment.
 *
 * Decoding runs on the thread pool of Node, which continues while the last chunk is in use.
 */
import type { Transform } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { describe, errorCode } from '../../lib/errors.ts';
import { cutOff, damagedStream, type Job } from './errors.ts';
import { type Input, pieceBytes } from './input.ts';

/**
 * Larger than the default of 16 KiB, which costs twice the CPU time, and no larger than one read from a connection: in the small
 * heap of the transfer thread larger buffers survive minor collections and cause major ones. At 256 KiB those doubled the cost of
 * a transfer.
 */
export const chunkSize = 64 * 1024;

/** Common to the decoders of node:zlib. `bytesWritten` counts the bytes that were used of the input. */
export interface ZlibDecoder extends Transform {
  readonly bytesWritten: number;
}

export class Engine {
  readonly #decoder: ZlibDecoder;
  #written = 0;
  #ended = false;
  #failure: Error | undefined;
  #wake = () => {};

  /** `explain` translates the errors of node:zlib. */
  constructor(decoder: ZlibDecoder, explain: (error: Error) => Error) {
    this.#decoder = decoder;
    decoder.on('readable', () => this.#wake());
    decoder.on('end', () => {
      this.#ended = true;
      this.#wake();
    });
    decoder.on('error', (error) => {
      this.#failure = explain(error);
      this.#wake();
    });
  }

  /** Number of bytes of the last write that the decoder did not use, because they follow the end of its data. */
  get unused(): number {
    return this.#written - this.#decoder.bytesWritten;
  }

  /** The output of `piece`. Do not call it again after some bytes were unused. */
  async *write(piece: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
    let taken = false;
    this.#written += piece.length;
    this.#decoder.write(piece, () => {
      taken = true;
      this.#wake();
    });
    yield* this.#outputs(() => taken);
  }

  /** The rest of the output at the end of the input. Throws if the input ends too early. */
  async *end(): AsyncGenerator<Uint8Array, void, undefined> {
    this.#decoder.end();
    yield* this.#outputs(() => false);
  }

  close(): void {
    this.#decoder.destroy();
  }

  async *#outputs(over: () => boolean): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const chunk: Buffer | null = this.#decoder.read();
      if (chunk !== null) yield chunk;
      else if (this.#failure !== undefined) throw this.#failure;
      else if (over() || this.#ended) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

/**
 * The first member begins with the right bytes, so this is about a later one. node:zlib takes whatever is not a zero for the
 * beginning of a member, and its error loses the end of the output before it. So such data cannot be dropped.
 */
const explanations: Partial<Record<string, string>> = {
  'incorrect header check': 'other data follows directly after the end of a gzip member, without zeros between them',
};

/**
 * Like `gzip -dc`, it decompresses all members and takes zeros after the last one for padding. Anything else after the
 * zeros is an error, unless the job permits it: firmware images have metadata there (https://github.com/openwrt/openwrt/issues/16553).
 */
export async function* gunzip(input: Input, job: Job): AsyncGenerator<Uint8Array, void, undefined> {
  const explain = (error: Error) =>
    errorCode(error) === 'Z_BUF_ERROR'
      ? cutOff(job, input.taken, error)
      : damagedStream(job, explanations[describe(error)] ?? describe(error), input.taken, error);
  const engine = new Engine(createGunzip({ chunkSize }), explain);
  try {
    for (;;) {
      const piece = await input.next(pieceBytes);
      if (piece === undefined) return yield* engine.end();
      yield* engine.write(piece);
      // node:zlib continues with the next member by itself, and stops at a zero.
      if (engine.unused > 0) return await padding(piece.subarray(piece.length - engine.unused), input, job);
    }
  } finally {
    engine.close();
  }
}

async function padding(first: Uint8Array, input: Input, job: Job): Promise<void> {
  for (let piece: Uint8Array | undefined = first; piece !== undefined; piece = await input.next(pieceBytes)) {
    const found = piece.findIndex((byte) => byte !== 0);
    if (found < 0) continue;
    const at = input.taken - piece.length + found;
    if (job.onTrailingData === undefined) throw damagedStream(job, 'there is something after its end', at);
    job.onTrailingData(at);
    // The rest belongs to the file as served, so it is read.
    while ((await input.next(pieceBytes)) !== undefined);
    return;
  }
}
