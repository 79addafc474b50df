/**
 * The digests of one transfer: of the bytes as served, and of those of the image.
 *
 * Guarantees: every expected digest is verified; each algorithm is computed once, also for both kinds of bytes if they are the
 * same.
 */
import { createHash } from 'node:crypto';
import { OperatorError } from '../lib/errors.ts';
import { createDigestVerifier, type Digest, type DigestAlgorithm } from '../source/digest.ts';
import type { Source } from '../source/source.ts';

export interface Expected {
  of: 'Served' | 'Image';
  digest: Digest;
}

export type MadeBy = 'decompressed' | 'unpacked' | 'converted' | undefined;

export interface Digests {
  served(chunk: Uint8Array): void;
  /** All of the file was served, before the first byte of the image. Throws DigestMismatch. */
  finishServed(): void;
  /** `madeBy`: how the bytes of the image are made of those that are served. It is the same for every chunk. */
  image(chunk: Uint8Array, madeBy: MadeBy): void;
  /** The digest of the image, in the requested algorithm. Throws DigestMismatch. Call it once. */
  finish(): Digest;
}

/** The algorithm in which a Glance hashes, if it is one of ours. Glance's default is sha512. */
export function algorithmOf(name: string | undefined): DigestAlgorithm {
  return known.find((each) => each === name) ?? 'sha512';
}

const known: readonly DigestAlgorithm[] = ['md5', 'sha1', 'sha256', 'sha384'];

interface Computation {
  algorithm: DigestAlgorithm;
  update(chunk: Uint8Array): void;
  finish(): Digest;
}

export function createDigests(
  expected: readonly Expected[],
  algorithm: DigestAlgorithm,
  source: Pick<Source, 'url' | 'isSpliced' | 'isPublic'>,
): Digests {
  const verifiers = (of: Expected['of']): Computation[] =>
    expected
      .filter((each) => each.of === of)
      .map(({ digest }) => ({
        algorithm: digest.algorithm,
        ...createDigestVerifier(digest, source),
      }));
  const ofServed = verifiers('Served');
  const ofImage = verifiers('Image');
  let own: Computation | undefined;
  let how: MadeBy;
  let served: Map<Computation, Digest> | undefined;

  /** The computation of the image's digest: one that is needed anyway, or an additional one. */
  function choose(): Computation {
    const there = [...ofImage, ...(how === undefined ? ofServed : [])].find((each) => each.algorithm === algorithm);
    if (there !== undefined) return there;
    const made = computation(algorithm);
    ofImage.push(made);
    return made;
  }

  /** The message of a mismatch names the kind of bytes if the two kinds differ. */
  function finishAll(computations: readonly Computation[], which: string): Map<Computation, Digest> {
    try {
      return new Map(computations.map((each) => [each, each.finish()]));
    } catch (error) {
      if (!(error instanceof OperatorError) || how === undefined) throw error;
      throw new OperatorError(`${which}, ${error.message}`, { code: error.code, cause: error });
    }
  }

  return {
    served(chunk) {
      for (const each of ofServed) each.update(chunk);
    },
    image(chunk, madeBy) {
      how = madeBy;
      own ??= choose();
      for (const each of ofImage) each.update(chunk);
    },
    finishServed() {
      how = 'converted';
      served = finishAll(ofServed, 'as served');
    },
    finish() {
      const results = [...(served ?? finishAll(ofServed, 'as served')), ...finishAll(ofImage, how ?? 'as served')];
      const digest = results.find(([each]) => each === own)?.[1];
      if (digest === undefined) throw new TypeError('an empty image has no digest');
      return digest;
    },
  };
}

function computation(algorithm: DigestAlgorithm): Computation {
  const hash = createHash(algorithm);
  return {
    algorithm,
    update: (chunk) => {
      hash.update(chunk);
    },
    finish: () => ({ algorithm, hex: hash.digest('hex') }),
  };
}
