/**
 * Reads bits, the most significant first, from a sliding buffer.
 *
 * Guarantees: `read` returns only bits of the input.
 */

/** Room for the unread bytes and one more piece, large enough that moves are rare. */
const capacity = 4 * 2 ** 20;
/** Zeros or old bytes after the end, which a fast loop may read before it checks its position. */
const slack = 256;

/** Thrown when the input has too few bits. */
export class OutOfBits extends Error {}

/** The fields are public for one loop that is too hot for calls. */
export class BitReader {
  readonly bytes = new Uint8Array(capacity + slack);
  /** Position of the next byte. */
  at = 0;
  /** End of the bytes of the input. */
  end = 0;
  /** Its low `count` bits were taken from `bytes` and not read yet. Higher bits have no meaning. */
  bits = 0;
  /** Less than 8 between two reads. */
  count = 0;
  /** Number of bytes that have left the buffer. */
  #dropped = 0;

  /** Number of whole bytes that can be read. */
  get available(): number {
    return this.end - this.at;
  }

  /** Of the next byte in the whole input. */
  get offset(): number {
    return this.#dropped + this.at;
  }

  /** `piece` must fit, which it does if less than 3 MiB are available and pieces are below 1 MiB. */
  append(piece: Uint8Array): void {
    if (this.end + piece.length > capacity) {
      this.bytes.copyWithin(0, this.at, this.end);
      this.#dropped += this.at;
      this.end -= this.at;
      this.at = 0;
    }
    this.bytes.set(piece, this.end);
    this.end += piece.length;
  }

  /** The next `count` bits, 24 at most. */
  read(count: number): number {
    while (this.count < count) {
      if (this.at === this.end) throw new OutOfBits();
      this.bits = (this.bits << 8) | (this.bytes[this.at++] ?? 0);
      this.count += 8;
    }
    this.count -= count;
    return (this.bits >>> this.count) & ((1 << count) - 1);
  }

  skipToByte(): void {
    this.count = 0;
  }
}
