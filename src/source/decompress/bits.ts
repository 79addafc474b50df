/**
 * Bits, the most significant first, from a buffer through which the input slides. Law: nobody gets a bit that is not there.
 */

/** Enough for what the reader keeps and a piece more, with room to move seldom. */
const capacity = 4 * 2 ** 20;
/** Zeros or old bytes behind the end, which a decoder in a hurry may touch before it looks where it is. */
const slack = 256;

/** Thrown when the bits that are there do not suffice. */
export class OutOfBits extends Error {}

/** The fields are open for the one loop that cannot afford calls. */
export class BitReader {
  readonly bytes = new Uint8Array(capacity + slack);
  /** Where the next byte comes from. */
  at = 0;
  /** Where the bytes that are there end. */
  end = 0;
  /** Its low `count` bits were taken from `bytes`, but not read yet; those above have no meaning. */
  bits = 0;
  /** Less than 8 between two reads. */
  count = 0;
  /** How many bytes have slid out. */
  #dropped = 0;

  /** How many whole bytes can still be read. */
  get available(): number {
    return this.end - this.at;
  }

  /** Of the next byte in all of the input. */
  get offset(): number {
    return this.#dropped + this.at;
  }

  /** `piece` must fit: it does as long as less than 3 MiB are available and pieces are below 1 MiB. */
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
