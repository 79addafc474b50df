/** The transfer that a resource needs, as a plan in plain JSON, and what its state means for the resource. */
import { isDeepStrictEqual } from 'node:util';
import type { GlanceImage } from '../../api/glanceimage.ts';
import type { Image } from '../../glance/image.ts';
import { compact } from '../../lib/compact.ts';
import { OperatorError, responseFieldsOf } from '../../lib/errors.ts';
import { safeUrl } from '../../lib/secret.ts';
import { printable } from '../../lib/text.ts';
import type { TransferPlan, TransferResult } from '../../transfer/plan.ts';
import type { TransferState } from '../../transfer/scheduler.ts';
import { verificationOf } from '../../transfer/verify.ts';
import { cloudRefOf } from './cloud-ref.ts';
import { addressOf, type Content, contentOf, pinHolds, storesOf } from './content.ts';
import { bindingOf, contentMark, fingerprintOf, isDeclaredAlike, partsIn } from './fingerprint.ts';
import { markProperties, numberOf } from './identity.ts';
import { type Memory, withFinding, withImage } from './memory.ts';
import type { ActiveTransfer, VerifiedContent } from './report.ts';
import { hashOf, mismatchOf } from './verify.ts';

export interface TransferTerms {
  /** Origin of the image endpoint. */
  address: string;
  limits: TransferPlan['limits'];
}

/** Fills an empty image. */
export function fillPlan(
  resource: GlanceImage,
  imageID: string,
  content: Content,
  { address, limits }: TransferTerms,
): TransferPlan {
  const { source, digest, digestOf, decompress, member, convert, diskFormat, containerFormat, minDiskGiB, method } =
    content;
  return compact({
    imageID,
    cloud: compact({ ...cloudRefOf(resource), address }),
    source,
    digest,
    digestOf,
    decompress,
    member,
    convert,
    diskFormat,
    containerFormat,
    minDiskGiB,
    method: method === 'Stage' ? ('Stage' as const) : ('Upload' as const),
    stores: storesOf(resource),
    limits,
  });
}

/** Reads an active image back, and compares it with the declared digest. */
export function verifyPlan(
  resource: GlanceImage,
  imageID: string,
  content: Content,
  terms: TransferTerms,
): TransferPlan {
  const plan = { ...fillPlan(resource, imageID, content, terms), stores: { kind: 'default' as const } };
  return {
    ...verificationOf(plan, content.digest),
    fingerprint: content.fingerprint ?? bindingOf(content, resource.spec.cloud),
  };
}

/** The meaning of a transfer's state for the present declaration. */
export type TransferNews =
  | { kind: 'none' }
  /** It does what is not declared any more, or belongs to another object of this name. */
  | { kind: 'obsolete' }
  | { kind: 'active'; state: ActiveTransfer; memory: Memory }
  /** The image was verified, or found to be wrong. `image`: as the transfer left it, if that is recent. */
  | { kind: 'verified'; memory: Memory; content?: VerifiedContent | undefined; image?: Image | undefined }
  /** `looks`: the state of the image decides what the failure means. */
  | { kind: 'failed'; error: unknown; memory: Memory; looks: boolean };

export function readTransfer(
  resource: GlanceImage,
  state: TransferState | undefined,
  memory: Memory,
  now: Date,
): TransferNews {
  if (state === undefined) return { kind: 'none' };
  const { plan } = state;
  const isNamed = memory.images.includes(plan.imageID);
  const number = isNamed ? undefined : numberOf(memory.uid, plan.imageID, memory.next);
  // An older object of the same name has other images.
  if (number === undefined && !isNamed) return { kind: 'obsolete' };
  // Consumers may know an image with data of which the memory is lost.
  const isPublished = !isNamed && plan.method === 'Verify';
  const known = { ...withImage(memory, plan.imageID, isPublished), next: Math.max(memory.next, (number ?? -1) + 1) };
  switch (state.kind) {
    case 'succeeded':
      return verified(resource, plan, state.result, known, now);
    case 'queued':
    case 'running':
      return isStillWanted(plan, resource) ? { kind: 'active', state, memory: known } : { kind: 'obsolete' };
    case 'failed':
      if (!isStillWanted(plan, resource) || isAnswered(plan, resource, state.error)) return { kind: 'obsolete' };
      return plan.method === 'Verify'
        ? verificationFailed(resource, plan, state.error, known)
        : fillFailed(plan, state.error, known, now);
  }
}

/** A bound on the disk that is raised or lifted only rejects less, so the transfer goes on. */
export function isStillWanted(plan: TransferPlan, resource: GlanceImage): boolean {
  const content = contentFor(plan, resource);
  if (content === undefined || (content.method === 'WebDownload' && plan.method !== 'Verify')) return false;
  const planOf = plan.method === 'Verify' ? verifyPlan : fillPlan;
  if (roomOf(content) < roomOf(plan)) return false;
  const wanted = planOf(resource, plan.imageID, content, { address: plan.cloud.address, limits: plan.limits });
  return isDeepStrictEqual({ ...wanted, minDiskGiB: 0 }, { ...plan, minDiskGiB: 0 });
}

/** What a transfer is for. Undefined: for nothing that is declared. While a pin names other data, only its image is read back. */
function contentFor({ method, fingerprint }: TransferPlan, resource: GlanceImage): Content | undefined {
  const content = contentOf(resource);
  const { pin } = resource.spec.revisions ?? {};
  if (content === undefined || pin === undefined || !pinHolds(pin, content)) return content;
  const parts = fingerprint === undefined ? undefined : partsIn(fingerprint);
  if (method !== 'Verify' || fingerprint === undefined || parts?.digest !== pin) return undefined;
  return { ...content, ...parts, fingerprint };
}

/** GiB that the disk may have. */
function roomOf({ minDiskGiB }: { minDiskGiB: number }): number {
  return minDiskGiB === 0 ? Number.POSITIVE_INFINITY : minDiskGiB;
}

/** A failure because of the declared disk is over once another one is declared. */
function isAnswered(plan: TransferPlan, resource: GlanceImage, error: unknown): boolean {
  if (!(error instanceof OperatorError) || error.code !== 'MinDiskTooSmall') return false;
  return contentOf(resource)?.minDiskGiB !== plan.minDiskGiB;
}

/** How long the result of a transfer is as good as a request to Glance. */
const freshMs = 30_000;

function verified(
  resource: GlanceImage,
  plan: TransferPlan,
  result: TransferResult,
  memory: Memory,
  now: Date,
): TransferNews {
  const { image, startedAt, durationMs } = result;
  const isRecent = now.getTime() - Date.parse(startedAt) - durationMs < freshMs;
  const fingerprint = plan.method === 'Verify' ? declaredFingerprint(resource, plan) : bindingOf(plan, plan.cloud);
  const hash = hashOf(image);
  const found = {
    imageID: image.id,
    verdict: 'right' as const,
    size: result.bytes,
    ...(hash === undefined ? {} : { hash }),
  };
  const injected = plan.method === 'Stage' ? injectedKeys(resource, image) : memory.injected;
  return {
    kind: 'verified',
    memory: {
      ...(fingerprint === undefined ? memory : withFinding(memory, { ...found, fingerprint })),
      ...(injected === undefined ? {} : { injected }),
    },
    content: contentIn(result, plan, resource),
    image: isRecent ? image : undefined,
  };
}

/** What a read back was for, if that is declared still. */
function declaredFingerprint(resource: GlanceImage, plan: TransferPlan): string | undefined {
  const content = contentFor(plan, resource);
  if (content === undefined || !isStillWanted(plan, resource)) return undefined;
  return content.fingerprint ?? bindingOf(content, resource.spec.cloud);
}

const mostInjected = 128;

/** Properties that import plugins of the cloud have set. They are kept, as the cloud may require them. */
function injectedKeys(resource: GlanceImage, { properties }: Image): string[] {
  const declared = Object.keys(resource.spec.image.properties ?? {});
  const known = new Set([...markProperties, ...declared]);
  return Object.keys(properties)
    .filter((key) => !known.has(key) && !key.startsWith('os_glance'))
    .slice(0, mostInjected);
}

function contentIn(result: TransferResult, plan: TransferPlan, resource: GlanceImage): VerifiedContent {
  const { url, digest, imageDigest, bytes, compression, member, virtualSize, warnings, image } = result;
  const content = contentOf(resource);
  const isReadBack = plan.method === 'Verify' && content !== undefined;
  return compact({
    imageID: image.id,
    url: isReadBack ? safeUrl(addressOf(content)) : url,
    digest,
    imageDigest,
    size: bytes,
    compression,
    member: member === undefined ? undefined : printable(member, 255),
    virtualSize,
    warnings: warnings?.map((text) => printable(text, 1000)),
  });
}

/** The data has been read, and is not what is declared. */
const faults: ReadonlySet<string> = new Set(['DigestMismatch', 'FormatMismatch', 'UnsafeImage', 'EmptySource']);
/** The data cannot be read with these credentials. */
const unreadable: ReadonlySet<string> = new Set(['SourceForbidden']);
/** The image is not active any more. What it is now decides. */
const changedMeanwhile: ReadonlySet<string> = new Set(['SourceNotFound', 'ImageGone', 'SourceDeactivated']);

function verificationFailed(resource: GlanceImage, plan: TransferPlan, error: unknown, memory: Memory): TransferNews {
  const fingerprint = declaredFingerprint(resource, plan);
  const content = contentFor(plan, resource);
  if (!(error instanceof OperatorError) || fingerprint === undefined || content === undefined)
    return { kind: 'failed', error, memory, looks: false };
  const base = { imageID: plan.imageID, fingerprint, why: error.message, code: error.code };
  if (unreadable.has(error.code) && isOnlyTakenOver(resource, plan, memory)) {
    const declared = content.fingerprint ?? fingerprintOf(content);
    const { declaration } = resource.status.source ?? {};
    const { adoptedContent = contentMark(declared, declaration) } = memory;
    // The right to read it may come, and no other image takes its place meanwhile.
    if (isDeclaredAlike(adoptedContent, declared, declaration))
      return { kind: 'failed', error: notReadable(plan, error), memory: { ...memory, adoptedContent }, looks: false };
  }
  if (unreadable.has(error.code))
    return { kind: 'verified', memory: withFinding(memory, { ...base, verdict: 'unverifiable' }) };
  if (!faults.has(error.code)) return { kind: 'failed', error, memory, looks: changedMeanwhile.has(error.code) };
  const verdict = error.code === 'DigestMismatch' ? mismatchOf(content, error.message).kind : 'wrong';
  const isWrong = verdict === 'wrong';
  return { kind: 'verified', memory: withFinding(memory, { ...base, verdict: isWrong ? 'wrong' : 'unverifiable' }) };
}

/** It existed before, and no other image of the resource does. */
function isOnlyTakenOver({ spec }: GlanceImage, { imageID }: TransferPlan, { images }: Memory): boolean {
  return spec.import?.id === imageID && images.every((id) => id === imageID);
}

function notReadable({ imageID }: TransferPlan, error: OperatorError): OperatorError {
  return new OperatorError(
    `the data of image ${imageID} cannot be read and compared with the declared content, and it is left as it is: ${error.message}`,
    { code: 'NotVerifiable', cause: error, ...responseFieldsOf(error) },
  );
}

/** Glance may hold more than the failure says: the image may be filled, or Glance may be storing its data. */
const undecided: ReadonlySet<string> = new Set([
  'UploadMismatch',
  'Conflict',
  'ImageGone',
  'GlanceUnreachable',
  'GlanceUnavailable',
]);

function fillFailed(plan: TransferPlan, error: unknown, memory: Memory, now: Date): TransferNews {
  const isUndecided = error instanceof OperatorError && undecided.has(error.code);
  const { interrupted } = memory;
  const isCut = !isUndecided;
  const isKnown = interrupted?.imageID === plan.imageID && interrupted.isCut === isCut;
  const noted = isKnown ? interrupted : { imageID: plan.imageID, at: now.toISOString(), isCut };
  return { kind: 'failed', error, memory: { ...memory, interrupted: noted }, looks: isUndecided };
}
