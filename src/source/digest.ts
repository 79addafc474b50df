/**
 * Digests in the form `sha256:<hex>`. Law: a digest is of the bytes as served, all of them, in order; a mismatch is known
 * before the last of them is let go.
 */
import { createHash } from 'node:crypto';
import { OperatorError, retry } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';
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
    retry: retry.change,
  });
}

/** The digest of an algorithm that is known by name; undefined when it is not, or when the value does not fit it. */
export function digestOf(name: string, hex: string): Digest | undefined {
  if (!isAlgorithm(name) || hex.length !== hexLength[name] || !/^[0-9a-f]+$/i.test(hex)) return undefined;
  return { algorithm: name, hex: hex.toLowerCase() };
}

function isAlgorithm(name: string): name is DigestAlgorithm {
  return Object.hasOwn(hexLength, name);
}

/**
 * Whether two files with the same digest can be made on purpose. It still finds every accident of transport, and some
 * publishers offer nothing better; it does not show who made the file.
 */
export function isWeak(algorithm: DigestAlgorithm): boolean {
  return algorithm === 'md5' || algorithm === 'sha1';
}

export function formatDigest({ algorithm, hex }: Digest): string {
  return `${algorithm}:${hex}`;
}

export interface DigestVerifier {
  update(chunk: Uint8Array): void;
  /** The digest of everything. Throws DigestMismatch if another was expected. To be called once. */
  finish(): Digest;
}

/**
 * Without an expected digest nothing can mismatch, and sha512 is computed, which is what Glance computes by default: so the
 * two can be compared afterwards. What `source` says is read at the end. The digest that was found is in the message only if the
 * source is public: declared next, it would let any file of this network through.
 */
export function createDigestVerifier(
  expected: Digest | undefined,
  source: Pick<Source, 'url' | 'isPatchwork' | 'isPublic'>,
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
      if (source.isPatchwork === true)
        throw new OperatorError(
          `${facts}: the download broke and went on elsewhere, perhaps with another version of the file`,
          { code: 'DigestMismatch', retry: retry.backoff },
        );
      throw new OperatorError(
        `${facts}: an image with the right digest has to be declared, or the publisher has to correct the file`,
        // Another download of the same wrong file helps nobody; a look once an hour still finds a corrected one.
        { code: 'DigestMismatch', retry: retry.change },
      );
    },
  };
}
