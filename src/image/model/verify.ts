/**
 * Whether an active image has the declared data.
 *
 * Invariant: "cannot be compared" is never "right". An image is right if its data was verified for the present declaration and
 * Glance still reports the same hash, or if the declared digest is comparable with Glance's hash and equal. Everything else is
 * read back, or cannot be verified.
 */
import type { Image } from '../../glance/image.ts';
import type { ErrorCode } from '../../lib/error-codes.ts';
import { type Content, digestInGlance } from './content.ts';
import { decompressionIn, digestIn, fingerprintOn, partsIn } from './fingerprint.ts';
import type { DataFinding } from './memory.ts';

export type Verdict =
  | { kind: 'right' }
  /** `code`: of the failure that showed it. */
  | { kind: 'wrong'; why: string; code?: ErrorCode | undefined }
  /** The operator has to read the data, because nothing that is known can be compared. */
  | { kind: 'unread' }
  /** Glance downloaded the right bytes itself, and the operator has not inspected their format. */
  | { kind: 'uninspected' }
  | { kind: 'unverifiable'; why: string; code?: ErrorCode | undefined };

/**
 * `found`: what the operator found out about this image before. `fingerprint`: `bindingOf` the content. `isMarkProof`: whether the
 * fingerprint on the image, if it is another one, shows that the data is other data.
 */
export function verify(
  content: Content | undefined,
  fingerprint: string | undefined,
  image: Image,
  found: DataFinding | undefined,
  isMarkProof = true,
): Verdict {
  if (content === undefined) return { kind: 'right' };
  if (found !== undefined && found.fingerprint === fingerprint) return remembered(image, found, content);
  const mark = fingerprintOn(image);
  // The digests are compared elsewhere.
  const isOther = mark !== undefined && decompressionIn(mark) !== decompressionIn(fingerprint ?? '');
  return compared(content, image, isOther) ?? unread(content, image, isOther, isMarkProof);
}

/** Verified data is right for as long as Glance reports the same hash. */
function remembered(image: Image, { verdict, hash, size, why = '', code }: DataFinding, { method }: Content): Verdict {
  if (verdict !== 'right') return { kind: verdict, why, code };
  const now = hashOf(image);
  if (hash !== undefined && now !== undefined && algorithmOf(hash) === algorithmOf(now)) {
    return hash === now ? { kind: 'right' } : { kind: 'wrong', why: `it has the digest ${now}, verified was ${hash}` };
  }
  // Plugins of the cloud may rewrite what was staged.
  const isOther = method !== 'Stage' && size !== undefined && image.size !== null && image.size !== size;
  return isOther ? { kind: 'wrong', why: `it has ${image.size} bytes, verified were ${size}` } : { kind: 'right' };
}

/** By the hash that Glance reports; undefined if that and the declared digest are of different algorithms. */
function compared(content: Content, image: Image, isOther: boolean): Verdict | undefined {
  const { digest, method } = content;
  const found = hashOf(image);
  if (digest === undefined || found === undefined || algorithmOf(digest) !== algorithmOf(found)) return undefined;
  const formats = otherFormats(content, image);
  if (digest === found) {
    if (content.member !== undefined && digestInGlance(content) === undefined)
      return { kind: 'wrong', why: 'it has the digest of the archive, so it is not the declared file of it' };
    if (content.convert !== undefined && digestInGlance(content) === undefined)
      return { kind: 'wrong', why: 'it has the digest of the file before its conversion' };
    if (isOther && digestInGlance(content) === undefined) return maybeCompressed;
    if (method === 'WebDownload') return { kind: 'uninspected' };
    return formats === undefined || mayHaveOtherFormats(content, image)
      ? { kind: 'right' }
      : { kind: 'wrong', why: formats };
  }
  if (formats !== undefined && method === 'Stage') return converted;
  if (formats !== undefined) return { kind: 'wrong', why: formats };
  const expected = digestInGlance(content);
  if (expected === undefined) return maybeDecompressed(content, found);
  return { kind: 'wrong', why: `it has the digest ${found}, not the declared ${expected}` };
}

function unread(content: Content, image: Image, isOther: boolean, isMarkProof: boolean): Verdict {
  const { digest, method } = content;
  const formats = otherFormats(content, image);
  if (formats !== undefined) return method === 'Stage' ? converted : { kind: 'wrong', why: formats };
  if (digest === undefined)
    return { kind: 'unverifiable', why: 'no digest is declared, and nothing shows that it is the declared data' };
  const marked = fingerprintOn(image);
  const markedDigest = marked && digestIn(marked);
  if (
    isMarkProof &&
    markedDigest !== undefined &&
    markedDigest !== digest &&
    algorithmOf(markedDigest) === algorithmOf(digest)
  )
    return { kind: 'wrong', why: `it was made for the digest ${markedDigest}, declared is ${digest}` };
  // To read it would not help.
  if (content.convert !== undefined && digestInGlance(content) === undefined) return beforeConversion;
  if (isOther && digestInGlance(content) === undefined) return maybeCompressed;
  return { kind: 'unread' };
}

const converted: Verdict = {
  kind: 'unverifiable',
  why: 'an import plugin of the cloud has converted its data, which cannot be compared with the declared digest',
};

const beforeConversion: Verdict = {
  kind: 'unverifiable',
  why: 'the declared digest is that of the file before its conversion',
};

/** The file as it is served would have the declared digest, and it should have been decompressed. */
const maybeCompressed: Verdict = {
  kind: 'unverifiable',
  why: 'it was made for another declaration, and its data may be the file before its decompression',
};

/** The verdict on an image whose data, read back, does not have the declared digest. */
export function mismatchOf(content: Content, found: string): Verdict {
  return digestInGlance(content) === undefined ? maybeDecompressed(content, found) : { kind: 'wrong', why: found };
}

function maybeDecompressed({ convert }: Content, found: string): Verdict {
  if (convert !== undefined) return beforeConversion;
  return {
    kind: 'unverifiable',
    why: `the declared digest may be that of the file before its decompression (the image: ${found})`,
  };
}

function otherFormats({ diskFormat, containerFormat }: Content, image: Image): string | undefined {
  if (image.diskFormat === diskFormat && image.containerFormat === containerFormat) return undefined;
  return `it has the formats ${image.diskFormat} and ${image.containerFormat}, not the declared ${diskFormat} and ${containerFormat}`;
}

/** Plugins of the cloud may set other formats than the declared ones, for which the image was made. */
function mayHaveOtherFormats({ method, diskFormat, containerFormat }: Content, image: Image): boolean {
  const mark = fingerprintOn(image);
  const made = mark === undefined ? undefined : partsIn(mark);
  const isForOthers =
    made !== undefined && (made.diskFormat !== diskFormat || made.containerFormat !== containerFormat);
  return method === 'Stage' && !isForOthers;
}

/** `<algorithm>:<hex>` as Glance computed it. */
export function hashOf({ hash }: Pick<Image, 'hash'>): string | undefined {
  return hash === null ? undefined : `${hash.algorithm}:${hash.value}`;
}

/** Hashes of different algorithms cannot be compared, so they are not different. */
export function isSameHash(one: string | undefined, other: string | undefined): boolean {
  if (one === undefined || other === undefined) return true;
  return one === other || algorithmOf(one) !== algorithmOf(other);
}

function algorithmOf(digest: string): string {
  return digest.split(':', 1)[0] ?? digest;
}
