/**
 * Reads bits, the most significant first, from a sliding buffer.
 *
 * Guarantees: `read` returns only bits of the input.
 */

/** Room for the unread bytes of one block and one more piece, large enough that moves are rare. */
export const usualCapacity = 4 * 2 ** 20;
/** Zeros or old bytes after the end, which a fast loop may read before it checks its position. */
const slack = 256;

/** Thrown when the input has too few bits. */
export class OutOfBits extends Error {}

/** The fields are public for one loop that is too hot for calls. */
export class BitReader {
  bytes = new Uint8Array(usualCapacity + slack);
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

  /** Of the next bit in the whole input. */
  get position(): number {
    return this.offset * 8 - this.count;
  }

  /** Number of bytes that can be appended. */
  get space(): number {
    return this.#capacity - this.available;
  }

  get #capacity(): number {
    return this.bytes.length - slack;
  }

  /** Makes room for so many unread bytes. */
  grow(capacity: number): void {
    if (capacity <= this.#capacity) return;
    const bytes = new Uint8Array(capacity + slack);
    this.#moveTo(bytes);
    this.bytes = bytes;
  }

  /** `piece` must not be longer than the space. */
  append(piece: Uint8Array): void {
    if (this.end + piece.length > this.#capacity) this.#moveTo(this.bytes);
    this.bytes.set(piece, this.end);
    this.end += piece.length;
  }

  /** Drops everything. */
  clear(): void {
    this.#dropped += this.end;
    this.at = 0;
    this.end = 0;
    this.count = 0;
  }

  /** Goes to a bit in the bytes that are here: later ones, or earlier ones if nothing was appended since. */
  seek(position: number): void {
    this.at = Math.floor(position / 8) - this.#dropped;
    this.count = 0;
    this.read(position % 8);
  }

  /** A copy of the bytes from `from` to `to`, which are offsets in the whole input, as far as they are here. */
  copy(from: number, to: number): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(from - this.#dropped, Math.min(to - this.#dropped, this.end));
  }

  /** The offset of `bytes[0]` in the whole input. */
  get start(): number {
    return this.#dropped;
  }

  /** Moves the unread bytes to the beginning. */
  #moveTo(bytes: Uint8Array): void {
    bytes.set(this.bytes.subarray(this.at, this.end));
    this.#dropped += this.at;
    this.end -= this.at;
    this.at = 0;
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
