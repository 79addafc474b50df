/**
 * Parsers for data that arrives in pieces. A parser is a generator that requests bytes with `yield*` and pauses at the end of a
 * piece.
 *
 * Guarantees: a parser sees the same bytes however they are split, and sees them before the decoder does.
 */
/** A parser that yields whenever it needs the next piece. */
export type Parsing<T> = Generator<undefined, T, undefined>;

export class Cursor {
  #piece: Uint8Array = new Uint8Array(0);
  #at = 0;
  /** Offset of the piece in the input. */
  #start = 0;
  #incomplete = 0;

  /** Number of bytes that the parser has taken, of all pieces. */
  get offset(): number {
    return this.#start + this.#at;
  }

  /** Number of the last bytes that belong to a field whose other bytes are not here yet, so that the parser has not checked it. */
  get incomplete(): number {
    return this.#incomplete;
  }

  /** Number of bytes that the parser has taken of this piece. */
  get at(): number {
    return this.#at;
  }

  /** Call it when the parser has taken the whole piece before. */
  load(piece: Uint8Array): void {
    this.#start += this.#piece.length;
    this.#piece = piece;
    this.#at = 0;
  }

  *byte(): Parsing<number> {
    for (;;) {
      const byte = this.#piece[this.#at];
      if (byte !== undefined) {
        this.#at++;
        return byte;
      }
      yield;
    }
  }

  /** The next `bytes` bytes, copied: for small fields. */
  *take(bytes: number): Parsing<Buffer> {
    const taken = Buffer.alloc(bytes);
    for (let filled = 0; ; yield) {
      const part = this.#piece.subarray(this.#at, this.#at + bytes - filled);
      taken.set(part, filled);
      filled += part.length;
      this.#at += part.length;
      this.#incomplete = filled === bytes ? 0 : filled;
      if (filled === bytes) return taken;
    }
  }

  *skip(bytes: number): Parsing<void> {
    for (let left = bytes; ; yield) {
      const step = Math.min(left, this.#piece.length - this.#at);
      this.#at += step;
      left -= step;
      if (left === 0) return;
    }
  }
}
