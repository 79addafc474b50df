/**
 * Finds where blocks of bzip2 may begin: a signature of 48 bits at any bit.
 *
 * Caveat: compressed data can hold the signature by chance. Only the end of the block before says where the next one begins.
 */
export const blockSignature = '314159265359';

const bits = BigInt(`0x${blockSignature}`);

/** By the number of bits that precede the signature in its first byte: the rest of that byte, five whole bytes, and the last bits. */
const patterns = Array.from({ length: 8 }, (_, shift) => ({
  shift,
  first: Number(bits >> BigInt(40 + shift)),
  whole: Buffer.from(((bits >> BigInt(shift)) & 0xffffffffffn).toString(16).padStart(10, '0'), 'hex'),
  last: Number(bits & ((1n << BigInt(shift)) - 1n)),
}));

/** Bytes that a signature can touch. */
export const signatureBytes = 7;

/** The bits at which signatures begin in the first byte of `bytes` or later, in order, at most `most`. */
export function findSignatures(bytes: Uint8Array, most: number): number[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const found: number[] = [];
  for (const { shift, first, whole, last } of patterns) {
    let hits = 0;
    for (let at = buffer.indexOf(whole, 1); at > 0 && hits < most; at = buffer.indexOf(whole, at + 1)) {
      const before = (buffer[at - 1] ?? 0) & (0xff >> shift);
      const after = (buffer[at + whole.length] ?? 0) >> (8 - shift);
      if (before !== first || after !== last) continue;
      found.push((at - 1) * 8 + shift);
      hits++;
    }
  }
  return found.sort((a, b) => a - b).slice(0, most);
}
