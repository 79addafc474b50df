/**
 * Declarations that leave the digest to a publisher: what they mean now. The digest that was found first is pinned in
 * `status.source`; a newer one is a candidate until its image takes the place of the current one.
 *
 * Guarantees: an outage, an unusable list or an older one changes nothing that is pinned; with `update` absent nothing but an edit
 * does, once there is an image, or once a file was trusted at its first use.
 */

import { rfc3339 } from '../../api/conditions.ts';
import type { ContentSpec } from '../../api/content.ts';
import type { GlanceImage } from '../../api/glanceimage.ts';
import { compact } from '../../lib/compact.ts';
import { parseDuration } from '../../lib/duration.ts';
import { OperatorError, responseFieldsOf } from '../../lib/errors.ts';
import { valueHash } from '../../lib/hash.ts';
import type { Key } from '../../lib/key.ts';
import { askingSecrets, questionOf, resolvedContent } from '../../source/registry.ts';
import { whyOlder } from '../../source/resolve/evaluate.ts';
import type { Publishers, Reading } from '../../source/resolve/publishers.ts';
import type { Question, Resolution } from '../../source/resolve/question.ts';
import type { Known } from '../../source/resolve/resolve.ts';
import { isRequested } from '../model/due.ts';
import { candidateIn } from '../model/memory.ts';
import type { Candidates, PinnedSource, Rejected } from './candidates.ts';

/** `resource`: with the digest and the URL that count, so that nothing else has to know of publishers. `declared`: as it is written. */
export type Pinning = { resource: GlanceImage; declared: GlanceImage; nextMs?: number | undefined } & (
  | { kind: 'declared' }
  /** `trouble`: why nothing newer takes its place. `isRereading`: its file did not fit, and the list may be older than the file. */
  | {
      kind: 'pinned';
      url: string;
      source: PinnedSource;
      trouble?: OperatorError | undefined;
      isRereading?: boolean;
      /** Nothing is read again. */
      isFixed?: boolean;
    }
  /** `before` stays pinned until the image of `source` is the current one. */
  | { kind: 'candidate'; url: string; before: PinnedSource; source: PinnedSource }
  /** No digest is known. `url`: of the list or index. */
  | { kind: 'open'; url: string; error?: OperatorError | undefined }
);

/** What is known of publishers in this process. */
export interface Following {
  publishers: Publishers;
  candidates: Candidates;
}

/** Nothing is left to a publisher. */
export function declaredBy(resource: GlanceImage): Pinning {
  return { kind: 'declared', resource, declared: resource };
}

/** What the declaration means now. A list that was never read is read from now on. */
export function pin(key: Key, resource: GlanceImage, following: Following, now: Date): Pinning {
  return pinningOf(key, resource, following, now, (accepted) => accepted?.url !== undefined);
}

/** The same while an image may have the digest that was pinned before, so that nothing is read for the first time yet. */
export function pinBeforeSearch(key: Key, resource: GlanceImage, following: Following, now: Date): Pinning {
  return pinningOf(key, resource, following, now, () => true);
}

/** `isPinned`: whether what is pinned suffices until it is to be read again. */
function pinningOf(
  key: Key,
  resource: GlanceImage,
  following: Following,
  now: Date,
  isPinned: (accepted: PinnedSource | undefined) => boolean,
): Pinning {
  const { content } = resource.spec;
  const question = content && questionOf(content);
  if (content === undefined || question === undefined) {
    following.publishers.forget(key);
    following.candidates.forget(key);
    return declaredBy(resource);
  }
  const { url } = question;
  const accepted = acceptedIn(resource, question);
  const { imageID } = resource.status;
  // After a lost status, the image that had the digest is not verified again yet.
  const hasImage = imageID !== undefined || (accepted !== undefined && accepted.url === undefined);
  const isTrusted = question.looksFor.kind === 'firstUse';
  const isFixed = accepted?.url !== undefined && content.update === undefined && (hasImage || isTrusted);
  const isIdle = resource.metadata.deletionTimestamp !== undefined || resource.spec.suspend;
  const pinned = (source: PinnedSource): Extract<Pinning, { kind: 'pinned' }> => ({
    kind: 'pinned',
    url,
    source,
    resource: withSource(resource, content, source),
    declared: resource,
  });
  const open: Extract<Pinning, { kind: 'open' }> = { kind: 'open', url, resource, declared: resource };
  if (isFixed) return { ...pinned(accepted), isFixed };
  if (isIdle) return accepted === undefined ? open : pinned(accepted);

  const reading = readFor(key, resource, content, question, accepted, isPinned(accepted), following);
  if (accepted === undefined) return firstOf(reading, pinned, open, now, question);
  const { rejected, nextMs } = reading;
  const candidate = (source: PinnedSource): Pinning => {
    following.candidates.make(key, source);
    return { ...pinned(source), kind: 'candidate', before: accepted, nextMs };
  };
  const follows = content.update !== undefined && imageID !== undefined;
  const made = hasImage ? madeFor(key, resource, following, rejected) : undefined;
  const making = goingOn(made, accepted, reading, url);
  if (making !== undefined) return candidate(making);
  if (reading.kind === 'pending') return { ...pinned(accepted), nextMs, isRereading: rejected?.sinceMs !== undefined };
  if (reading.kind === 'failed') return { ...pinned(accepted), nextMs, trouble: reading.error };
  const older = whyOlder(url, reading.resolution, asResolution(accepted));
  if (older !== undefined) return { ...pinned(accepted), nextMs, trouble: older };
  const source = sourceFrom(reading.resolution, question, accepted, now);
  if (source.digest === accepted.digest || !hasImage || isGone(accepted, imageID, rejected))
    return { ...pinned(source), nextMs };
  // After a lost status, its image is made next to one that was not verified again yet.
  if (!follows && made?.digest !== source.digest) return { ...pinned(accepted), nextMs };
  const waiting = waitingFor(source, rejected);
  if (waiting === undefined) return candidate(source);
  return { ...pinned(accepted), nextMs: Math.min(nextMs ?? waiting.leftMs, waiting.leftMs), trouble: waiting.error };
}

/** There is no image to use, and the file that is pinned can give none, because the publisher has replaced it. */
function isGone({ digest }: PinnedSource, imageID: string | undefined, rejected: Rejected | undefined): boolean {
  return imageID === undefined && rejected?.digest === digest;
}

/** The failure of this file, until it is tried again. */
function waitingFor({ digest }: PinnedSource, rejected: Rejected | undefined): Rejected | undefined {
  return rejected?.digest === digest && rejected.leftMs > 0 ? rejected : undefined;
}

/** The file whose image is being made, by this process or one before. */
function madeFor(
  key: Key,
  resource: GlanceImage,
  { candidates }: Following,
  rejected: Rejected | undefined,
): PinnedSource | undefined {
  if (resource.spec.content?.update === undefined) return undefined;
  return candidates.current(key) ?? (rejected === undefined ? candidateIn(resource) : undefined);
}

/** The file whose image is being made. The publisher had it, and another list does not change it unless that is newer. */
function goingOn(
  making: PinnedSource | undefined,
  accepted: PinnedSource,
  reading: Reading,
  url: string,
): PinnedSource | undefined {
  if (making === undefined || making.declaration !== accepted.declaration || making.digest === accepted.digest)
    return undefined;
  const isNewer = reading.kind === 'resolved' && whyOlder(url, reading.resolution, asResolution(making)) === undefined;
  return isNewer ? undefined : making;
}

function readFor(
  key: Key,
  resource: GlanceImage,
  content: ContentSpec,
  question: Question,
  accepted: PinnedSource | undefined,
  isPinned: boolean,
  { publishers, candidates }: Following,
): Reading & { nextMs: number | undefined; rejected: Rejected | undefined } {
  const rejected = candidates.get(key);
  const sinceMs = isRequested(resource) ? Number.POSITIVE_INFINITY : rejected?.sinceMs;
  const intervalMs = content.update && parseDuration(content.update.interval);
  const asked = { question, secrets: askingSecrets(content), declaredFor: originOf(question) };
  const known = accepted && knownOf(asResolution(accepted));
  const demand = { intervalMs, isPinned, sinceMs, known };
  const { reading, nextMs } = publishers.read(key, asked, demand);
  if (reading.kind !== 'pending') candidates.reread(key);
  return { ...reading, nextMs, rejected };
}

function firstOf(
  reading: ReturnType<typeof readFor>,
  pinned: (source: PinnedSource) => Extract<Pinning, { kind: 'pinned' }>,
  open: Extract<Pinning, { kind: 'open' }>,
  now: Date,
  question: Question,
): Pinning {
  switch (reading.kind) {
    case 'pending':
      return open;
    case 'failed':
      return { ...open, error: reading.error };
    case 'resolved':
      return { ...pinned(sourceFrom(reading.resolution, question, undefined, now)), nextMs: reading.nextMs };
  }
}

/** Whether the digest is that of the file that came first, and stays. */
export function isOfFirstUse({ kind, declared }: Pinning): boolean {
  const { content } = declared.spec;
  if (kind !== 'pinned' || content === undefined || content.update !== undefined) return false;
  return questionOf(content)?.looksFor.kind === 'firstUse';
}

/** Why a transfer fails whose file has changed since its first use. */
export function ofFirstUse(error: OperatorError, digest: string): OperatorError {
  if (error.code === 'SourceNotFound') return error;
  return new OperatorError(
    `the file has changed since its first use, when its digest ${digest} was recorded (${error.message}): declare content.update to accept the present file, or declare the digest that you expect`,
    { code: error.code, cause: error, ...responseFieldsOf(error) },
  );
}

/** The digest that an image of ours bears, after the status was lost: it was pinned then. */
export function recovered(resource: GlanceImage, digest: string, now: Date): Pinning | undefined {
  const { content } = resource.spec;
  const question = content && questionOf(content);
  if (content === undefined || question === undefined) return undefined;
  // Of a file that is read itself, the URL is known too.
  const url = question.looksFor.kind === 'firstUse' ? { url: question.looksFor.file } : {};
  const source = { ...url, digest, resolvedAt: rfc3339(now), declaration: hashOfQuestion(question) };
  return {
    kind: 'pinned',
    url: question.url,
    resource: withSource(resource, content, source),
    declared: resource,
    source,
  };
}

/** The newer file of an image that was found next to that of what is pinned. `made`: as it was known before the status was lost. */
export function recoveredCandidate(
  pinning: Pinning,
  digest: string,
  made: PinnedSource | undefined,
  now: Date,
): Extract<Pinning, { kind: 'candidate' }> | undefined {
  const { content } = pinning.declared.spec;
  const question = content && questionOf(content);
  if (pinning.kind !== 'pinned' || content?.update === undefined || question === undefined) return undefined;
  const declaration = hashOfQuestion(question);
  const isKnown = made?.digest === digest && made.declaration === declaration;
  // An index says where its file is, and was not read again yet.
  if (!isKnown && fileOf(question) === undefined) return undefined;
  const source = isKnown ? made : { digest, resolvedAt: rfc3339(now), declaration };
  const { url, declared, source: before } = pinning;
  return { kind: 'candidate', url, before, source, declared, resource: withSource(declared, content, source) };
}

/** What counts for the image to use, while that of a newer file is made. */
export function withoutCandidate({ url, before, declared }: Extract<Pinning, { kind: 'candidate' }>): Pinning {
  const { content } = declared.spec;
  const resource = content === undefined ? declared : withSource(declared, content, before);
  return { kind: 'pinned', url, source: before, resource, declared };
}

/** For which declaration the digest of the wanted image was found; undefined where it is declared itself, or is not known. */
export function declarationOf(pinning: Pinning): string | undefined {
  return pinning.kind === 'pinned' || pinning.kind === 'candidate' ? pinning.source.declaration : undefined;
}

/** What is pinned, if it was found for the present declaration. */
function acceptedIn({ status: { source } }: GlanceImage, question: Question): PinnedSource | undefined {
  return source !== undefined && source.declaration === hashOfQuestion(question) ? source : undefined;
}

/**
 * Other keys, or another place of the signature, are no other question: the result is compared with the pinned one. Whether there must
 * be a signature is, because a digest that was found without one does not count then.
 */
function hashOfQuestion({ url, looksFor, isSigned }: Question): string {
  const asked = isSigned ? { url, looksFor, isSigned } : { url, looksFor };
  return valueHash(asked, 16);
}

function withSource(resource: GlanceImage, content: ContentSpec, source: PinnedSource): GlanceImage {
  const resolution = { ...asResolution(source), url: source.url ?? fileIn(content) };
  return { ...resource, spec: { ...resource.spec, content: resolvedContent(content, resolution) } };
}

/** Where the file may be, as long as no list was read. */
function fileIn(content: ContentSpec): string {
  const question = questionOf(content);
  return question === undefined ? '' : (fileOf(question) ?? question.url);
}

function fileOf({ looksFor }: Question): string | undefined {
  return looksFor.kind === 'pointers' ? undefined : looksFor.file;
}

function originOf(question: Question): string | undefined {
  const file = fileOf(question);
  return file === undefined ? undefined : URL.parse(file)?.origin;
}

function asResolution(source: PinnedSource): Resolution {
  const { url = '', digest, version, signedBy, signedAt, etag, lastModified } = source;
  const hasValidator = etag !== undefined || lastModified !== undefined;
  const validators = hasValidator ? compact({ etag, lastModified }) : undefined;
  return compact({ url, digest, version, signedBy, signedAt, validators });
}

/** A file is read again only if it is another one by its validators. */
function knownOf(resolution: Resolution): Known | undefined {
  const { validators } = resolution;
  return validators && { resolution, validators };
}

/** The time is that of the digest: that a list was read again and is the same is no change. */
function sourceFrom(
  { url, digest, version, signedBy, signedAt, validators }: Resolution,
  question: Question,
  accepted: PinnedSource | undefined,
  now: Date,
): PinnedSource {
  const resolvedAt = accepted?.digest === digest ? accepted.resolvedAt : rfc3339(now);
  const declaration = hashOfQuestion(question);
  return compact({ url, digest, version, resolvedAt, signedBy, signedAt, declaration, ...validators });
}
