/**
 * Whether an active image holds the data that was declared. Law: pure, and what cannot be compared is not called right when
 * the data was never seen by us.
 *
 * What the operator streams is verified before the last byte, so here it only has to be what went in; what Glance fetched
 * by itself is verified here for the first time.
 */
import type { Reason } from '../api/reasons.ts';
import type { GlanceImageStatus } from '../api/status.ts';
import type { Image } from '../glance/image.ts';
import { type Content, digestInGlance } from './content.ts';

export type Verdict =
  | { kind: 'right' }
  /** Wrong, and it was brought here on our behalf: the image goes. */
  | { kind: 'ours'; reason: Reason; message: string }
  /** Ours, but its end was lost in a crash, and what it was compressed with with it: it is brought anew. */
  | { kind: 'unknown' }
  /** Wrong, and somebody else's doing: it stays, and people decide. */
  | { kind: 'foreign'; message: string };

/** `sent` is the data that was verified and went into Glance, as the status remembers it. */
export function verify(content: Content | undefined, image: Image, sent: GlanceImageStatus['content']): Verdict {
  if (content === undefined) return { kind: 'right' };
  if (sent !== undefined) return verifySent(content, image, sent);
  const expected = digestInGlance(content);
  const found = digestOf(image);
  if (content.method === 'WebDownload') return verifyFetched(expected, found);
  // Nothing is remembered: a crash came between the upload and the status, or somebody else uploaded.
  const { digest } = content;
  if (digest === undefined || found === undefined || !sameAlgorithm(digest, found) || digest === found) {
    return { kind: 'right' };
  }
  if (content.method === 'Stage' && isConverted(content, image)) return { kind: 'right' };
  if (expected === undefined) return { kind: 'unknown' };
  return {
    kind: 'foreign',
    message: `image ${image.id} has data with the digest ${found}, not the declared ${expected}; another client uploaded it. Delete that image, or declare its digest`,
  };
}

function verifySent(content: Content, image: Image, sent: Exclude<GlanceImageStatus['content'], undefined>): Verdict {
  if (content.digest !== undefined && content.digest !== sent.digest) {
    return {
      kind: 'foreign',
      message: `image ${image.id} has data with the digest ${sent.digest}, and the data of an image cannot change; declare that digest again, or create another GlanceImage for ${content.digest}`,
    };
  }
  const found = digestOf(image);
  const { imageDigest, size } = sent;
  const ours = (what: string): Verdict => ({
    kind: 'ours',
    reason: 'ContentMismatch',
    message: `image ${image.id} has other data than was sent: ${what}`,
  });
  if (imageDigest !== undefined && found !== undefined && sameAlgorithm(imageDigest, found)) {
    return imageDigest === found ? { kind: 'right' } : ours(`the digest ${found}, sent was ${imageDigest}`);
  }
  // What was staged may have another size by now, because plugins of the cloud have rewritten it.
  const isOtherSize = content.method !== 'Stage' && size !== undefined && image.size !== null && image.size !== size;
  return isOtherSize ? ours(`${image.size} bytes, sent were ${size}`) : { kind: 'right' };
}

function verifyFetched(expected: string | undefined, found: string | undefined): Verdict {
  if (expected !== undefined && expected === found) return { kind: 'right' };
  if (expected !== undefined && found !== undefined && sameAlgorithm(expected, found)) {
    return {
      kind: 'ours',
      reason: 'DigestMismatch',
      message: `Glance imported a file with the digest ${found} instead of the declared ${expected}; the image was deleted`,
    };
  }
  const has = found === undefined ? 'no digest' : `a digest of another kind (${found.split(':', 1)[0]})`;
  return {
    kind: 'ours',
    reason: 'ContentMismatch',
    message: `the imported data cannot be verified, because this Glance reports ${has}; use method Upload`,
  };
}

/** By a plugin of the cloud: Glance itself keeps the formats that an image was made with. */
function isConverted({ diskFormat, containerFormat }: Content, image: Image): boolean {
  return image.diskFormat !== diskFormat || image.containerFormat !== containerFormat;
}

/** As Glance computed it. */
function digestOf({ hash }: Image): string | undefined {
  return hash === null ? undefined : `${hash.algorithm}:${hash.value}`;
}

function sameAlgorithm(a: string, b: string): boolean {
  return a.split(':', 1)[0] === b.split(':', 1)[0];
}
