/**
 * Compares the bytes of a download with Glance's record.
 *
 * Invariant: the last chunk is held back until all bytes are verified, so a reader never takes a corrupted image for a
 * complete one.
 */
import { createHash, type Hash } from 'node:crypto';
import { ImageCorrupted } from '../glance/errors.ts';
import type { Image } from '../glance/image.ts';
import { holdBack } from '../http/body.ts';

/** What an image is checked against. */
export interface DigestCheck {
  /** As Glance calls it: `sha512`, `md5`, … */
  algorithm: string;
  /** In hex. */
  value: string;
}

/** The best digest on record that can be computed here; undefined where there is none. */
export function recordedDigest({ hash, checksum }: Pick<Image, 'hash' | 'checksum'>): DigestCheck | undefined {
  if (hash !== null && hasherFor(hash.algorithm) !== undefined) return hash;
  return checksum !== null && hasherFor('md5') !== undefined ? { algorithm: 'md5', value: checksum } : undefined;
}

interface Expected {
  id: string;
  /** Bytes; null if Glance does not report it. */
  size: number | null;
  check: DigestCheck | undefined;
}

/** The same bytes. Throws ImageCorrupted before the last of them if they are not the expected ones. */
export function verified(body: AsyncIterable<Uint8Array>, expected: Expected): AsyncIterable<Uint8Array> {
  const { id, size, check } = expected;
  const hasher = check === undefined ? undefined : hasherFor(check.algorithm);
  let seen = 0;
  return holdBack(body, {
    update(chunk) {
      seen += chunk.byteLength;
      if (size !== null && seen > size)
        throw new ImageCorrupted(`image ${id} has more than the ${size} bytes on record`);
      hasher?.update(chunk);
    },
    finish() {
      if (size !== null && seen < size) {
        throw new ImageCorrupted(`image ${id} ended after ${seen} of the ${size} bytes on record`);
      }
      const digest = hasher?.digest('hex');
      if (check !== undefined && digest !== check.value.toLowerCase()) {
        const { algorithm, value } = check;
        throw new ImageCorrupted(
          `image ${id} has the ${algorithm} digest ${digest} instead of the one on record, ${value}`,
        );
      }
    },
  });
}

/** Glance names algorithms as Python does. */
const names: ReadonlyMap<string, string> = new Map([
  ['blake2b', 'blake2b512'],
  ['blake2s', 'blake2s256'],
]);

function hasherFor(algorithm: string): Hash | undefined {
  try {
    return createHash(names.get(algorithm) ?? algorithm.replaceAll('_', '-'));
  } catch {
    return undefined;
  }
}
