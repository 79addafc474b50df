/**
 * Parsers of what comes in pieces, written as if all of it were there: a parser is a generator that asks for bytes with
 * `yield*`, and stands still where a piece ends. Law: it sees the same bytes however they were cut, and looks at them before
 * anyone else does.
 */

/** A parser that yields whenever it needs the next piece. */
export type Parsing<T> = Generator<undefined, T, undefined>;

export class Cursor {
  #piece: Uint8Array = new Uint8Array(0);
  #at = 0;
  /** Offset of the piece in the whole. */
  #start = 0;

  /** How many bytes the parser has taken, of all pieces. */
  get offset(): number {
    return this.#start + this.#at;
  }

  /** How many of them are of this piece. */
  get at(): number {
    return this.#at;
  }

  /** To be called when the parser has taken all of the piece before. */
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

  /** The next `bytes` bytes, for what is small: they may be copied. */
  *take(bytes: number): Parsing<Buffer> {
    const taken = Buffer.alloc(bytes);
    for (let filled = 0; ; yield) {
      const part = this.#piece.subarray(this.#at, this.#at + bytes - filled);
      taken.set(part, filled);
      filled += part.length;
      this.#at += part.length;
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
