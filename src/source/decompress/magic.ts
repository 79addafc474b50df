/**
 * Detects compression by the first bytes, not by a name or a header.
 *
 * Invariant: a file with an unknown signature counts as not compressed.
 */
export type Compression = 'gzip' | 'zstd' | 'xz' | 'bzip2';

/** Length of the longest signature. */
export const magicBytes = 6;

/** In hexadecimal, as in the output of `xxd`. */
const signatures: readonly [Compression, RegExp][] = [
  // The third byte is the method: deflate is the only one.
  ['gzip', /^1f8b08/],
  // A frame, or a skippable frame, with which parallel compressors begin.
  ['zstd', /^(?:28b52ffd|5.2a4d18)/],
  ['xz', /^fd377a585a00/],
  // `BZh` and the level.
  ['bzip2', /^425a683[1-9]/],
];

/** `head`: the first `magicBytes` bytes of the body, or all if there are fewer. */
export function detectCompression(head: Uint8Array): Compression | undefined {
  const digits = Buffer.from(head.subarray(0, magicBytes)).toString('hex');
  return signatures.find(([, signature]) => signature.test(digits))?.[0];
}
