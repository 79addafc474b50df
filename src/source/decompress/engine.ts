/**
 * The decoders of node:zlib, one write at a time. Law: a write is over when all that comes of it was read, so what a decoder
 * holds is bounded by its window and two chunks, however far a piece expands; and `close` frees it at any moment.
 *
 * Decoding itself runs on Node's thread pool, which goes on while the last chunk is being used.
 */
import type { Transform } from 'node:stream';

/**
 * Larger than the default of 16 KiB, which costs twice the CPU; no larger than what is read from a connection at once, for in
 * the small heap of the thread that moves bytes larger buffers outlive the minor collections, and V8 then collects all of
 * it for their sake: at 256 KiB that cost as much again as all the rest of a transfer.
 */
export const chunkSize = 64 * 1024;

/** What the decoders of node:zlib have in common. `bytesWritten` counts what they have used of their input. */
export interface ZlibDecoder extends Transform {
  readonly bytesWritten: number;
}

export class Engine {
  readonly #decoder: ZlibDecoder;
  #written = 0;
  #ended = false;
  #failure: Error | undefined;
  #wake = () => {};

  /** `explain` makes of what node:zlib throws what is thrown here. */
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

  /** How many bytes of the last write the decoder left: it does so after the end of what it decodes. */
  get unused(): number {
    return this.#written - this.#decoder.bytesWritten;
  }

  /** What comes of `piece`. Not to be called again once there is something unused. */
  async *write(piece: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
    let taken = false;
    this.#written += piece.length;
    this.#decoder.write(piece, () => {
      taken = true;
      this.#wake();
    });
    yield* this.#outputs(() => taken);
  }

  /** What is left at the end of the input; throws if that is too early. */
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
