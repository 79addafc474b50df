/**
 * Digests in the form `sha256:<hex>`.
 *
 * Guarantees: a digest covers all bytes as served, in order; a mismatch is known before the last of them is passed on.
 */
import { createHash } from 'node:crypto';
import { OperatorError } from '../lib/errors.ts';
import { isLocal, safeUrl } from '../lib/secret.ts';
import type { Source } from './source.ts';

const hexLength = { md5: 32, sha1: 40, sha256: 64, sha384: 96, sha512: 128 } as const;

export type DigestAlgorithm = keyof typeof hexLength;

export interface Digest {
  algorithm: DigestAlgorithm;
  /** Lower case. */
  hex: string;
}

/** Throws InvalidSpec for anything but the name of an algorithm, a colon and a hexadecimal value of its length. */
export function parseDigest(text: string): Digest {
  const [, name = '', hex = ''] = /^(\w+):([0-9a-f]+)$/i.exec(text) ?? [];
  const digest = digestOf(name, hex);
  if (digest !== undefined) return digest;
  throw new OperatorError(`not a digest such as sha256:<64 hexadecimal digits>: ${text.slice(0, 150)}`, {
    code: 'InvalidSpec',
  });
}

/** Undefined if the algorithm is unknown or the value does not fit it. */
export function digestOf(name: string, hex: string): Digest | undefined {
  if (!isAlgorithm(name) || hex.length !== hexLength[name] || !/^[0-9a-f]+$/i.test(hex)) return undefined;
  return { algorithm: name, hex: hex.toLowerCase() };
}

function isAlgorithm(name: string): name is DigestAlgorithm {
  return Object.hasOwn(hexLength, name);
}

/**
 * Whether two files with the same digest can be constructed. Such a digest still detects accidental corruption, and some publishers
 * offer nothing better. It does not prove who made the file.
 */
export function isWeak(algorithm: DigestAlgorithm): boolean {
  return algorithm === 'md5' || algorithm === 'sha1';
}

/** Undefined for a digest that proves what the file is. */
export function weaknessOf(algorithm: DigestAlgorithm): string | undefined {
  if (!isWeak(algorithm)) return undefined;
  return `${algorithm} detects accidental corruption, but not a deliberate change of the file: declare a sha256 or sha512 digest if the publisher provides one`;
}

export function formatDigest({ algorithm, hex }: Digest): string {
  return `${algorithm}:${hex}`;
}

export interface DigestVerifier {
  update(chunk: Uint8Array): void;
  /** The digest of all bytes. Throws DigestMismatch if another was expected. Call it once. */
  finish(): Digest;
}

/**
 * Without an expected digest it computes sha512, which Glance computes by default, so that the two can be compared afterwards.
 * `source` is read at the end. The computed digest is in the message only if the source is public: declared next, it would make
 * any file of this network acceptable.
 */
export function createDigestVerifier(
  expected: Digest | undefined,
  source: Pick<Source, 'url' | 'isSpliced' | 'isPublic'>,
): DigestVerifier {
  const algorithm = expected?.algorithm ?? 'sha512';
  const hash = createHash(algorithm);
  return {
    update: (chunk) => {
      hash.update(chunk);
    },
    finish() {
      const got: Digest = { algorithm, hex: hash.digest('hex') };
      if (expected === undefined || got.hex === expected.hex) return got;
      const declared = formatDigest(expected);
      const facts =
        source.isPublic === true
          ? `${safeUrl(source.url)} has the digest ${formatDigest(got)}, declared is ${declared}`
          : `${safeUrl(source.url)} does not have the declared digest ${declared} (the digest found is shown for public addresses only)`;
      if (source.isSpliced === true)
        throw new OperatorError(
          `${facts}: the download was interrupted and resumed at another server, perhaps with another version of the file`,
          { code: 'SplicedDigestMismatch' },
        );
      const again = isLocal(source.url) ? 'get the file again' : 'have the publisher correct the file';
      throw new OperatorError(`${facts}: declare the right digest, or ${again}`, { code: 'DigestMismatch' });
    },
  };
}
