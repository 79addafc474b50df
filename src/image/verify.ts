/**
 * Whether an active image has the declared data. What the operator streams is verified before the last byte, so here it only
 * has to be what was sent. What Glance fetches is verified here for the first time.
 *
 * Invariant: data that cannot be compared with the declaration is never called right.
 */
import type { GlanceImageStatus } from '../api/status.ts';
import type { Image } from '../glance/image.ts';
import type { ErrorCode } from '../lib/error-codes.ts';
import { unreachable } from '../lib/errors.ts';
import { sourceOf } from '../source/registry.ts';
import { type Content, digestInGlance } from './content.ts';

export type Verdict =
  | { kind: 'right' }
  /** Wrong, and it came on our behalf: it is deleted, and the failure is reported. */
  | { kind: 'ours'; reason: ErrorCode; message: string }
  /** Wrong or not verifiable, and never Ready: it is created again. */
  | { kind: 'unusable'; why: string }
  /** Wrong or not verifiable, and in use perhaps: it stays, and people decide. */
  | { kind: 'foreign'; reason: 'ContentMismatch' | 'NotVerifiable'; message: string };

/** What is known of the data of an image. */
export interface Known {
  /** What was verified and sent into this image. */
  sent: GlanceImageStatus['content'];
  /** Whether this image was Ready. */
  wasReady: boolean;
}

export function verify(content: Content | undefined, image: Image, { sent, wasReady }: Known): Verdict {
  if (content === undefined) return { kind: 'right' };
  if (sent !== undefined) return verifySent(content, image, sent, wasReady);
  if (content.method === 'WebDownload' && !wasReady) return verifyFetched(digestInGlance(content), digestOf(image));
  // Nothing was recorded: a crash came between the upload and the status, the declaration has changed, or another client uploaded.
  const problem = compare(content, image);
  switch (problem?.kind) {
    case undefined:
      return { kind: 'right' };
    case 'other':
      return wrong(
        image,
        wasReady,
        'ContentMismatch',
        `has ${problem.what}, and the status has no record of this data`,
      );
    case 'incomparable':
      return wrong(image, wasReady, 'NotVerifiable', `has data of which the status has no record, and ${problem.why}`);
    default:
      return unreachable(problem);
  }
}

function wrong(image: Image, wasReady: boolean, reason: 'ContentMismatch' | 'NotVerifiable', problem: string): Verdict {
  if (!wasReady) return { kind: 'unusable', why: `it ${problem}` };
  return { kind: 'foreign', reason, message: `image ${image.id} ${problem}. ${createdAgain(image)}` };
}

/** The declaration cannot follow the image: the API server refuses another content while Glance has data. */
function createdAgain({ id, protected: isProtected }: Image): string {
  const unprotect = isProtected ? `\`openstack image set --unprotected ${id}\`, then ` : '';
  return `To have the image created again from the declared content, run ${unprotect}\`openstack image delete ${id}\``;
}

type Problem = { kind: 'other'; what: string } | { kind: 'incomparable'; why: string };

/** What keeps the image from being called right when only the declaration and Glance's own digest are known. */
function compare(content: Content, image: Image): Problem | undefined {
  const { digest, diskFormat, containerFormat } = content;
  const found = digestOf(image);
  if (digest === undefined) {
    return { kind: 'incomparable', why: 'nothing shows that it is the data of the declared image' };
  }
  if (found === undefined || !sameAlgorithm(digest, found)) {
    const has = found === undefined ? 'no digest' : `a ${algorithmOf(found)} digest`;
    return {
      kind: 'incomparable',
      why: `Glance has ${has} to compare with the declared ${algorithmOf(digest)} digest`,
    };
  }
  const converted = isConverted(content, image);
  if (digest === found && (!converted || content.method === 'Stage')) return undefined;
  if (converted && content.method === 'Stage') {
    return { kind: 'incomparable', why: 'a plugin of the cloud has converted it since' };
  }
  if (converted) {
    const has = `the formats ${image.diskFormat} and ${image.containerFormat}`;
    return { kind: 'other', what: `${has}, not the declared ${diskFormat} and ${containerFormat}` };
  }
  const expected = digestInGlance(content);
  if (expected === undefined) {
    return { kind: 'incomparable', why: 'the declared digest is that of the file before its decompression' };
  }
  return { kind: 'other', what: `the digest ${found}, not the declared ${expected}` };
}

function verifySent(
  content: Content,
  image: Image,
  sent: Exclude<GlanceImageStatus['content'], undefined>,
  wasReady: boolean,
): Verdict {
  const other = otherContent(content, sent);
  if (other !== undefined && !wasReady) return { kind: 'unusable', why: `it has ${other}` };
  if (other !== undefined) {
    return {
      kind: 'foreign',
      reason: 'ContentMismatch',
      message: `image ${image.id} has ${other}, and the data of an image cannot change. ${createdAgain(image)}; or create another GlanceImage`,
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

/** What was sent, where that is not what is declared now. */
function otherContent(
  { digest, source }: Content,
  sent: Exclude<GlanceImageStatus['content'], undefined>,
): string | undefined {
  if (digest !== undefined)
    return digest === sent.digest ? undefined : `data with the digest ${sent.digest}, not ${digest}`;
  const declared = sourceOf(source).recordedURL();
  return declared === undefined || declared === sent.url ? undefined : `the data of ${sent.url}, not of ${declared}`;
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
  const has = found === undefined ? 'no digest' : `a digest of another kind (${algorithmOf(found)})`;
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
  return algorithmOf(a) === algorithmOf(b);
}

function algorithmOf(digest: string): string {
  return digest.split(':', 1)[0] ?? digest;
}
