/**
 * The images that Glance holds for one resource, and the state of each: what its data is worth for the present declaration.
 *
 * Invariant: pure; an image whose data is not known to be the declared data is never `right`.
 */
import type { Image } from '../../glance/image.ts';
import { importState } from '../../glance/import-state.ts';
import type { ErrorCode } from '../../lib/error-codes.ts';
import type { OperatorError } from '../../lib/errors.ts';
import type { Desired } from './desired.ts';
import { fingerprintOn } from './fingerprint.ts';
import { ownerProperty } from './identity.ts';
import { findingOf, isRetired, type Memory, msSince, verifiedAs } from './memory.ts';
import type { Ownership } from './ownership.ts';
import { type Verdict, verify } from './verify.ts';

/** One project with which an image is shared. */
export interface Member {
  project: string;
  /** pending, accepted or rejected. */
  status: string;
}

/** A ConfigMap as it was read. */
export type Publication =
  | { kind: 'absent' }
  /** It belongs to the resource. `isMarked`: with the labels and the owner that it should have. */
  | { kind: 'own'; data: PublishedData; isMarked: boolean }
  | { kind: 'foreign'; why: string }
  | { kind: 'unreadable'; error: OperatorError };

export type PublishedData = Readonly<Record<string, string>>;

export interface Revision {
  number: number;
  image: Image;
  ownership: Ownership;
  /** Absent where they were not read. */
  members?: readonly Member[] | undefined;
}

/** What Glance was seen to hold. Foreign images are in it only if the memory names them. */
export interface Observed {
  revisions: readonly Revision[];
  /** Whether Glance was asked for all images with the mark, not only for the known ones. */
  listed: boolean;
  /** Names of the stores that accept data, where the declaration asks for all of them. */
  storeNames?: readonly string[] | undefined;
  /** The ConfigMaps that are, or were, declared, by name. */
  configMaps?: ReadonlyMap<string, Publication> | undefined;
}

export type Stage =
  /** It needs no data, or has the declared data. */
  | { kind: 'right' }
  /** Active, with data that has to be read back. */
  | { kind: 'unread' }
  /** Active, with data that Glance downloaded itself and that has to be inspected. */
  | { kind: 'uninspected' }
  /** Although that is not declared. */
  | { kind: 'deactivated'; isRight: boolean }
  /** It accepts data. */
  | { kind: 'empty' }
  /** Glance, or another client, moves data. */
  | { kind: 'moving'; phase: 'Importing' | 'Waiting'; why: string; ms: number }
  /** The import that the operator asked for has failed. */
  | { kind: 'importFailed' }
  /** It never becomes what is declared. `byUs`: the data came on behalf of this declaration. */
  | { kind: 'useless'; why: string; code?: ErrorCode | undefined; byUs: boolean };

/** How long an upload that is known to be cut short may leave an image in `saving`: Glance detects a broken connection well within it. */
export const cutUploadMs = 20_000;
/** How long Glance may take to complete an upload of which it may have all bytes. */
export const longestSavingMs = 3_600_000;
/** An import whose worker has died keeps its lock. Glance accepts another import an hour after the first. */
export const longestImportMs = 2 * 3_600_000;
const shortestPollMs = 1_000;
const longestPollMs = 30_000;
/** How often to look at an image whose data another client brings. */
const foreignUploadPollMs = 15_000;

export function stageOf(image: Image, desired: Desired, memory: Memory, now: Date): Stage {
  const { content } = desired;
  const lock = lockOf(image, memory, now);
  switch (image.status) {
    case 'queued':
      if (lock.kind === 'held' && content !== undefined && !isMadeFor(image, desired, memory))
        return useless('Glance imports the data of an earlier declaration into it');
      if (lock.kind === 'held') return importing(image, lock.elapsedMs);
      if (content === undefined) return { kind: 'right' };
      if (isPoisoned(image))
        return useless('an earlier upload left it in a state in which Glance accepts no more data');
      if (lock.kind === 'none' && askedFor(image, memory)) return { kind: 'importFailed' };
      return { kind: 'empty' };
    case 'saving':
    case 'uploading':
    case 'importing':
      return whileMoving(image, desired, memory, now, lock);
    case 'active':
      return whenActive(image, desired, memory);
    case 'deactivated': {
      const stage = whenActive(image, desired, memory);
      if (stage.kind === 'right') return desired.active === false ? stage : { kind: 'deactivated', isRight: true };
      // Data that was checked before the deactivation is not read again.
      const isChecked = findingOf(memory, image.id, desired.binding) !== undefined;
      if (stage.kind === 'useless' && (isChecked || stage.byUs)) return stage;
      if (isMadeFor(image, desired, memory)) return { kind: 'deactivated', isRight: false };
      return useless('an administrator deactivated it, and it was made for another declaration');
    }
    case 'killed':
      return useless('its upload failed in Glance (killed)');
    default:
      return waiting(`its status in Glance is ${image.status}`, foreignUploadPollMs);
  }
}

/** Whether it may stay the image to use: its data is right, or what was verified for an earlier declaration. */
export function isUsable(image: Image, desired: Desired, memory: Memory, now: Date): boolean {
  const { content } = desired;
  if (content === undefined) return image.status !== 'killed';
  const stage = stageOf(image, desired, memory, now);
  if (stage.kind === 'right' || (stage.kind === 'deactivated' && stage.isRight)) return true;
  const found = verifiedAs(memory, image.id);
  const isStored = image.status === 'active' || image.status === 'deactivated';
  return isStored && found !== undefined && verify(content, found.fingerprint, image, found).kind === 'right';
}

/**
 * An image that is to be taken over, and was not yet, may bear the fingerprint of an earlier resource that declared the same data by
 * another digest, such as that of the compressed file. It is read back before it is called different.
 */
export function verdictOn(image: Image, { content, binding, adopts }: Desired, memory: Memory): Verdict {
  const isTaken = image.properties[ownerProperty] !== undefined || memory.adopted === image.id;
  const isMarkProof = adopts !== image.id || isTaken;
  return verify(content, binding, image, findingOf(memory, image.id, binding), isMarkProof);
}

function whenActive(image: Image, desired: Desired, memory: Memory): Stage {
  const verdict = verdictOn(image, desired, memory);
  switch (verdict.kind) {
    case 'right':
      return verdict;
    case 'unread':
    case 'uninspected':
      // Otherwise each edit would read back all images that were ever replaced.
      if (isRetired(memory, image.id) && !isMadeFor(image, desired, memory))
        return useless('another revision has replaced it, and it was made for another declaration');
      return verdict;
    case 'wrong':
      return { kind: 'useless', why: verdict.why, code: verdict.code, byUs: isMadeFor(image, desired, memory) };
    case 'unverifiable':
      return useless(`nothing shows that it has the declared data: ${verdict.why}`);
  }
}

function whileMoving(image: Image, desired: Desired, memory: Memory, now: Date, lock: Lock): Stage {
  const { status } = image;
  if (desired.content === undefined) return waiting(`its data is being uploaded (${status})`, foreignUploadPollMs);
  if (!isMadeFor(image, desired, memory)) return useless('its data is for an earlier declaration');
  if (lock.kind === 'held') return importing(image, lock.elapsedMs);
  if (lock.kind === 'stale') return useless('its import did not end');
  // Nothing continues a staged upload or half an import. An image that is `saving` may have all of its data, which Glance stores.
  const { interrupted } = memory;
  const isKnown = interrupted?.imageID === image.id;
  const elapsedMs = isKnown ? msSince(interrupted.at, now) : 0;
  const isCut = status !== 'saving' || (isKnown && interrupted.isCut);
  if (elapsedMs >= (isCut ? cutUploadMs : longestSavingMs))
    return useless(`an interrupted upload left it in ${status}`);
  const why = isCut ? 'Glance is cleaning up an interrupted upload' : `Glance is storing its data (${status})`;
  return waiting(why, pollMs(elapsedMs));
}

type Lock = { kind: 'none' } | { kind: 'held'; elapsedMs: number } | { kind: 'stale' };

/** Whether Glance works on an import of this image. */
export function lockOf(image: Image, { import: running }: Memory, now: Date): Lock {
  const state = importState(image);
  if (state.kind !== 'running' || state.task === undefined) return { kind: 'none' };
  const elapsedMs = running?.imageID === image.id ? msSince(running.at, now) : 0;
  return elapsedMs < longestImportMs ? { kind: 'held', elapsedMs } : { kind: 'stale' };
}

export function importing({ status }: Image, elapsedMs: number): Extract<Stage, { kind: 'moving' }> {
  return { kind: 'moving', phase: 'Importing', why: `Glance is importing its data (${status})`, ms: pollMs(elapsedMs) };
}

/** Often at first, and then after a tenth of the time that has passed. */
function pollMs(elapsedMs: number): number {
  return Math.min(Math.max(elapsedMs / 10, shortestPollMs), longestPollMs);
}

function waiting(why: string, ms: number): Stage {
  return { kind: 'moving', phase: 'Waiting', why, ms };
}

function useless(why: string): Stage {
  return { kind: 'useless', why, byUs: false };
}

function askedFor({ id }: Image, { import: running }: Memory): boolean {
  return running?.imageID === id && running.kind === 'fetch';
}

/** Whether its data, present or coming, is that of the present declaration. */
function isMadeFor(image: Image, { fingerprint, binding }: Desired, memory: Memory): boolean {
  return fingerprintOn(image) === fingerprint || findingOf(memory, image.id, binding) !== undefined;
}

/** Glance rejects each later upload to a queued image that has digests already, left by an upload that failed late. */
function isPoisoned({ checksum, hash }: Image): boolean {
  return checksum !== null || hash !== null;
}
