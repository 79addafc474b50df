/**
 * What has to be done, worked out from what is declared and what was seen. Laws: pure; nothing to do means no action, and
 * planning again after the actions were carried out gives none; a record is never patched while its data is on the way,
 * because Glance loses such a change when the upload ends.
 */
import type { Reason } from '../api/reasons.ts';
import type { TransferStatus } from '../api/status.ts';
import type { Image } from '../glance/image.ts';
import { diffImage, type JsonPatchOperation } from '../glance/patch.ts';
import type { WantedImage } from '../glance/translation.ts';
import { type Content, type Desired, keepsProperty } from './desired.ts';

/** What Glance was seen to hold for a resource. */
export type Observation =
  /** No image; the next one to make is this incarnation. */
  { kind: 'absent'; incarnation: number } | { kind: 'present'; incarnation: number; image: Image };

export type Action =
  | { kind: 'create'; incarnation: number; image: WantedImage }
  | { kind: 'patch'; image: Image; incarnation: number; operations: JsonPatchOperation[] }
  | { kind: 'transfer'; image: Image; content: Content }
  /** Delete a record that can never become what is declared, and go on with the next incarnation. */
  | { kind: 'replace'; image: Image; incarnation: number; why: string }
  /** Somebody else moves the data; look again after `ms`. */
  | { kind: 'wait'; image: Image; ms: number; why: string }
  /** Nothing the operator may do leads to what is declared. */
  | { kind: 'refuse'; reason: Reason; message: string };

/** What the status remembers and a plan depends on. */
export interface Memory {
  propertyKeys: readonly string[];
  transfer: TransferStatus | undefined;
}

/** How long an upload that is not ours may leave an image in `saving`: Glance notices a broken connection well within it. */
export const savingGraceMs = 20_000;
const savingPollMs = 2_000;
/** How often to look at an image whose data somebody else brings. */
const foreignUploadPollMs = 15_000;

export function plan(desired: Desired, observation: Observation, memory: Memory, now: Date): Action[] {
  if (observation.kind === 'absent') {
    return [{ kind: 'create', incarnation: observation.incarnation, image: desired.image }];
  }
  const { image, incarnation } = observation;
  switch (image.status) {
    case 'queued':
      if (desired.content === undefined) return patches(desired, image, incarnation, memory);
      if (isPoisoned(image)) return [{ kind: 'replace', image, incarnation, why: poisonedRecord }];
      return [...patches(desired, image, incarnation, memory), { kind: 'transfer', image, content: desired.content }];
    case 'saving':
    case 'uploading':
    case 'importing':
      if (desired.content === undefined) {
        return [{ kind: 'wait', image, ms: foreignUploadPollMs, why: `its data is being uploaded (${image.status})` }];
      }
      return [afterLostUpload(image, incarnation, memory, now)];
    case 'active':
      return holdsOtherContent(desired, image) ?? patches(desired, image, incarnation, memory);
    case 'deactivated':
      return [
        ...patches(desired, image, incarnation, memory),
        { kind: 'refuse', reason: 'Deactivated', message: deactivated(image) },
      ];
    case 'killed':
      return [{ kind: 'replace', image, incarnation, why: 'Glance gave its data up (killed)' }];
    default:
      return [{ kind: 'wait', image, ms: foreignUploadPollMs, why: `its status in Glance is ${image.status}` }];
  }
}

const poisonedRecord = 'an earlier upload left it in a state in which Glance accepts no data any more';

/** Glance refuses every later upload to a queued image that has digests already, left by an upload that failed late. */
function isPoisoned(image: Image): boolean {
  return image.checksum !== null || image.hash !== null;
}

/** An upload that nobody runs any more: Glance falls back to `queued` in a moment, or the record is stuck for good. */
function afterLostUpload(image: Image, incarnation: number, memory: Memory, now: Date): Action {
  const since = memory.transfer?.phase === 'Waiting' ? Date.parse(memory.transfer.startedAt) : now.getTime();
  if (now.getTime() - since >= savingGraceMs) {
    return { kind: 'replace', image, incarnation, why: `an interrupted upload left it in ${image.status}` };
  }
  return { kind: 'wait', image, ms: savingPollMs, why: 'Glance is giving up an interrupted upload' };
}

/** Where Glance's own digest is of the declared kind, it has to be the declared one. */
function holdsOtherContent(desired: Desired, image: Image): Action[] | undefined {
  const { content } = desired;
  if (content === undefined || image.hash === null) return undefined;
  const found = `${image.hash.algorithm}:${image.hash.value}`;
  if (!content.digest.startsWith(`${image.hash.algorithm}:`) || content.digest === found) return undefined;
  const message = `image ${image.id} holds data with the digest ${found}, not the declared ${content.digest}; somebody else uploaded it. Delete that image, or declare its digest`;
  return [{ kind: 'refuse', reason: 'ContentMismatch', message }];
}

function patches(desired: Desired, image: Image, incarnation: number, memory: Memory): Action[] {
  const { diskFormat: _, containerFormat: __, ...changeable } = desired.image;
  // Formats are fixed by the data: Glance refuses to change them later, and its import plugins may have set others.
  const wanted = image.status === 'queued' ? desired.image : changeable;
  const operations = diffImage(image, wanted, {
    purge: true,
    keep: (key) => keepsProperty(desired, memory.propertyKeys, key),
  });
  return operations.length === 0 ? [] : [{ kind: 'patch', image, incarnation, operations }];
}

function deactivated(image: Image): string {
  return `image ${image.id} was deactivated by an administrator of the cloud; it cannot be used until they reactivate it`;
}
