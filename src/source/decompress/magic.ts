/**
 * Which compression a body has, told by its first bytes. Law: a name in the URL or a header of the answer says nothing; what
 * is not known here is not compressed.
 */
export type Compression = 'gzip' | 'zstd' | 'xz' | 'bzip2';

/** As many bytes as the longest signature has. */
export const magicBytes = 6;

/** In hexadecimal, as `xxd` shows them. */
const signatures: readonly [Compression, RegExp][] = [
  // The third byte is the method; there was never another than deflate.
  ['gzip', /^1f8b08/],
  // A frame, or one to be skipped: parallel compressors begin with such a frame.
  ['zstd', /^(?:28b52ffd|5.2a4d18)/],
  ['xz', /^fd377a585a00/],
  // `BZh` and the level.
  ['bzip2', /^425a683[1-9]/],
];

/** `head` is the beginning of the body, `magicBytes` long or all of it. */
export function detectCompression(head: Uint8Array): Compression | undefined {
  const digits = Buffer.from(head.subarray(0, magicBytes)).toString('hex');
  return signatures.find(([, signature]) => signature.test(digits))?.[0];
}
