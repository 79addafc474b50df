/**
 * Bytes of any size that take no memory.
 *
 * Invariant: each byte is a function of the seed and its offset, so any range can be made again, and the data does not
 * compress.
 */
import { createCipheriv, createHash } from 'node:crypto';

export interface Content {
  readonly size: number;
  /** The bytes from `start` up to, not including, `end`. */
  slice(start: number, end: number): Buffer;
}

const block = 16;

/** `size` pseudo-random bytes: AES in counter mode, which can start anywhere. */
export function generated(size: number, seed = 'glance-image-operator'): Content {
  const key = createHash('sha256').update(seed).digest();
  return {
    size,
    slice(start, end) {
      const to = Math.min(end, size);
      if (to <= start) return Buffer.alloc(0);
      const counter = Buffer.alloc(block);
      counter.writeBigUInt64BE(BigInt(Math.floor(start / block)), 8);
      const skip = start % block;
      const bytes = createCipheriv('aes-256-ctr', key, counter).update(Buffer.alloc(skip + to - start));
      return bytes.subarray(skip);
    },
  };
}

export function contentOf(body: Buffer | Content): Content {
  if (!Buffer.isBuffer(body)) return body;
  return { size: body.length, slice: (start, end) => body.subarray(start, end) };
}

/** The content in pieces of `piece` bytes. */
export function* pieces(content: Content, start = 0, end = content.size, piece = 256 * 1024): Generator<Buffer> {
  for (let at = start; at < end; at += piece) yield content.slice(at, Math.min(at + piece, end));
}

/** Its digest in hex: `sha256`, `sha512`, `md5`. */
export function digestOf(body: Buffer | Content, algorithm: 'sha256' | 'sha512' | 'md5' = 'sha256'): string {
  const hash = createHash(algorithm);
  for (const piece of pieces(contentOf(body))) hash.update(piece);
  return hash.digest('hex');
}
