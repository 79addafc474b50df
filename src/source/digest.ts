/**
 * Digests in the form `sha256:<hex>`. Law: a digest is of the bytes as served, all of them, in order; a mismatch is known
 * before the last of them is let go.
 */
import { createHash } from 'node:crypto';
import { OperatorError, retry } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';

const hexLength = { sha256: 64, sha384: 96, sha512: 128 } as const;

export interface Digest {
  algorithm: keyof typeof hexLength;
  /** Lower case. */
  hex: string;
}

/** Throws InvalidSpec for anything but `sha256:`, `sha384:` or `sha512:` with a hexadecimal value of its length. */
export function parseDigest(text: string): Digest {
  const [, name, hex] = /^(\w+):([0-9a-f]+)$/i.exec(text) ?? [];
  for (const algorithm of ['sha256', 'sha384', 'sha512'] as const)
    if (name === algorithm && hex?.length === hexLength[algorithm]) return { algorithm, hex: hex.toLowerCase() };
  throw new OperatorError(`not a digest such as sha256:<64 hexadecimal digits>: ${text.slice(0, 150)}`, {
    code: 'InvalidSpec',
    retry: retry.change,
  });
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
 * two can be compared afterwards.
 */
export function createDigestVerifier(expected: Digest | undefined, url: string): DigestVerifier {
  const algorithm = expected?.algorithm ?? 'sha512';
  const hash = createHash(algorithm);
  return {
    update: (chunk) => {
      hash.update(chunk);
    },
    finish() {
      const got: Digest = { algorithm, hex: hash.digest('hex') };
      if (expected === undefined || got.hex === expected.hex) return got;
      throw new OperatorError(
        `${safeUrl(url)} has the digest ${formatDigest(got)}, declared is ${formatDigest(expected)}: ` +
          'an image with the right digest has to be declared, or the publisher has to correct the file',
        // Another download of the same wrong file helps nobody; a look once an hour still finds a corrected one.
        { code: 'DigestMismatch', retry: retry.change },
      );
    },
  };
}
