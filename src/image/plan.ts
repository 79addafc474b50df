/**
 * What has to be done, worked out from what is declared and what was seen. Laws: pure; nothing to do means no action, and
 * planning again after the actions were carried out gives none; a record is never patched while its data is on the way,
 * because Glance loses such a change when the upload ends; data that is not what was declared never counts as done.
 */
import type { TransferStatus } from '../api/status.ts';
import type { ImportRequest } from '../glance/client/index.ts';
import type { Image } from '../glance/image.ts';
import { importState } from '../glance/import-state.ts';
import { diffImage, type JsonPatchOperation } from '../glance/patch.ts';
import type { WantedImage } from '../glance/translation.ts';
import type { ErrorCode } from '../lib/error-codes.ts';
import { sourceOf } from '../source/registry.ts';
import type { Content } from './content.ts';
import { type Desired, imageBefore, keepsProperty } from './desired.ts';
import type { Transferred } from './facts.ts';
import { type Move, storeMove } from './stores.ts';
import { type Known, verify } from './verify.ts';

/** What Glance was seen to hold for a resource. */
export type Observation =
  /** No image; the next one to make is this incarnation. */
  | { kind: 'absent'; incarnation: number }
  | { kind: 'present'; incarnation: number; image: Image }
  /** Our image, which somebody gave to another project. It is foreign now. */
  | { kind: 'takenOver'; image: Image };

export type Action =
  | { kind: 'create'; incarnation: number; image: WantedImage }
  | { kind: 'patch'; image: Image; incarnation: number; operations: JsonPatchOperation[] }
  | { kind: 'transfer'; image: Image; content: Content }
  /** Have Glance fetch the data, or copy it to another store. */
  | { kind: 'import'; image: Image; incarnation: number; request: ImportRequest }
  /** Remove the copy in one store. */
  | { kind: 'uncopy'; image: Image; incarnation: number; store: string }
  /** Delete a record that can never become what is declared, and go on with the next incarnation. */
  | { kind: 'replace'; image: Image; incarnation: number; why: string }
  /** Delete an image that holds the wrong data, and say so. */
  | { kind: 'reject'; image: Image; incarnation: number; reason: ErrorCode; message: string }
  /** An import that was ours has failed: ask Glance why, and say so. */
  | { kind: 'importFailed'; image: Image; what: string }
  /** Somebody else moves the data; look again after `ms`. */
  | { kind: 'wait'; image: Image; ms: number; phase: 'Importing' | 'Waiting'; why: string }
  /** Nothing the operator may do leads to what is declared. */
  | { kind: 'refuse'; reason: ErrorCode; message: string };

/** What the status remembers and a plan depends on. */
export interface Memory {
  propertyKeys: readonly string[];
  transfer: TransferStatus | undefined;
  /** The data that was verified and went into an image. */
  sent: Transferred | undefined;
  /** The image that was Ready last. */
  readyImageID: string | undefined;
  /** All stores of the cloud, where the declaration asks for all of them. */
  storeNames: readonly string[] | undefined;
}

/** How long an upload that is not ours may leave an image in `saving`: Glance notices a broken connection well within it. */
export const savingGraceMs = 20_000;
const savingPollMs = 2_000;
/** How often to look at an image whose data somebody else brings. */
const foreignUploadPollMs = 15_000;
/** An import is looked at often at first, and then after a tenth of the time that it has taken. */
const importPollMs = { shortest: 1_000, longest: 30_000 };

interface Scene {
  desired: Desired;
  image: Image;
  incarnation: number;
  memory: Memory;
  now: Date;
}

export function plan(desired: Desired, observation: Observation, memory: Memory, now: Date): Action[] {
  if (observation.kind === 'absent') {
    return [{ kind: 'create', incarnation: observation.incarnation, image: imageBefore(desired, false) }];
  }
  if (observation.kind === 'takenOver') {
    return [{ kind: 'refuse', reason: 'TakenOver', message: takenOver(desired, observation.image) }];
  }
  const { image, incarnation } = observation;
  const scene: Scene = { desired, image, incarnation, memory, now };
  switch (image.status) {
    case 'queued':
      return whileQueued(scene);
    case 'saving':
    case 'uploading':
    case 'importing':
      return [whileMoving(scene)];
    case 'active':
      return whileActive(scene);
    case 'deactivated':
      return [...patches(scene), { kind: 'refuse', reason: 'Deactivated', message: deactivated(image) }];
    case 'killed':
      return [{ kind: 'replace', image, incarnation, why: 'its upload failed in Glance (killed)' }];
    default:
      return [wait(scene, foreignUploadPollMs, `its status in Glance is ${image.status}`)];
  }
}

function whileQueued(scene: Scene): Action[] {
  const { desired, image, incarnation, memory } = scene;
  const { content } = desired;
  if (isImporting(image)) return [importing(scene)];
  if (content === undefined) return patches(scene);
  if (isPoisoned(image)) return [{ kind: 'replace', image, incarnation, why: poisonedRecord }];
  if (memory.transfer?.phase === 'Importing') return [{ kind: 'importFailed', image, what: 'the data' }];
  return [...patches(scene), filling(scene, content)];
}

function filling({ desired, image, incarnation }: Scene, content: Content): Action {
  const { webDownloadURL } = sourceOf(content.source);
  if (content.method !== 'WebDownload' || webDownloadURL === undefined) return { kind: 'transfer', image, content };
  const { stores } = desired;
  const request: ImportRequest = {
    method: { name: 'web-download', uri: webDownloadURL },
    ...(stores.kind === 'some' ? { stores: stores.names } : {}),
    ...(stores.kind === 'all' ? { allStores: true } : {}),
  };
  return { kind: 'import', image, incarnation, request };
}

function whileMoving(scene: Scene): Action {
  const { desired, image, incarnation, memory, now } = scene;
  if (desired.content === undefined) {
    return wait(scene, foreignUploadPollMs, `its data is being uploaded (${image.status})`);
  }
  if (isImporting(image)) return importing(scene);
  // Nobody moves it any more: Glance falls back to `queued` in a moment, or the record is stuck for good.
  const since = memory.transfer?.phase === 'Waiting' ? Date.parse(memory.transfer.startedAt) : now.getTime();
  if (now.getTime() - since >= savingGraceMs) {
    return { kind: 'replace', image, incarnation, why: `an interrupted upload left it in ${image.status}` };
  }
  return wait(scene, savingPollMs, 'Glance is cleaning up an interrupted upload');
}

function whileActive(scene: Scene): Action[] {
  const { desired, image, incarnation, memory } = scene;
  if (isImporting(image)) return [importing(scene)];
  const verdict = verify(desired.content, image, knownOf(image, memory));
  switch (verdict.kind) {
    case 'right':
      break;
    case 'ours':
      return [{ kind: 'reject', image, incarnation, reason: verdict.reason, message: verdict.message }];
    case 'unusable':
      return [{ kind: 'replace', image, incarnation, why: verdict.why }];
    case 'foreign':
      return [{ kind: 'refuse', reason: verdict.reason, message: verdict.message }];
  }
  const move = storeMove(desired.stores, image, memory.storeNames, memory.transfer?.phase === 'Importing');
  return [...patches(scene), ...moves(move, image, incarnation)];
}

/** What is recorded of another image says nothing about this one. */
function knownOf({ id }: Image, { sent, readyImageID }: Memory): Known {
  return { sent: sent?.imageID === id ? sent.content : undefined, wasReady: readyImageID === id };
}

function moves(move: Move, image: Image, incarnation: number): Action[] {
  switch (move.kind) {
    case 'none':
      return [];
    case 'copy':
      return [{ kind: 'import', image, incarnation, request: { method: { name: 'copy-image' }, stores: move.stores } }];
    case 'remove':
      return [{ kind: 'uncopy', image, incarnation, store: move.store }];
    case 'failed':
      return [{ kind: 'importFailed', image, what: `a copy in store ${move.stores.join(', ')}` }];
    case 'impossible':
      return [{ kind: 'refuse', reason: 'InvalidSpec', message: move.message }];
  }
}

const poisonedRecord = 'an earlier upload left it in a state in which Glance accepts no more data';

/** Glance refuses every later upload to a queued image that has digests already, left by an upload that failed late. */
function isPoisoned(image: Image): boolean {
  return image.checksum !== null || image.hash !== null;
}

/** Whether Glance itself says that it works on an import; what is merely `saving` may be left alone by everybody. */
function isImporting(image: Image): boolean {
  const state = importState(image);
  return state.kind === 'running' && state.task !== undefined;
}

function importing(scene: Scene): Action {
  const { image, memory, now } = scene;
  const elapsed = memory.transfer?.phase === 'Importing' ? now.getTime() - Date.parse(memory.transfer.startedAt) : 0;
  const ms = Math.min(Math.max(elapsed / 10, importPollMs.shortest), importPollMs.longest);
  return { kind: 'wait', image, ms, phase: 'Importing', why: `Glance is importing its data (${image.status})` };
}

function wait({ image }: Scene, ms: number, why: string): Action {
  return { kind: 'wait', image, ms, phase: 'Waiting', why };
}

function patches({ desired, image, incarnation, memory }: Scene): Action[] {
  const { diskFormat: _, containerFormat: __, ...changeable } = desired.image;
  // Formats are fixed by the data: Glance refuses to change them later, and its import plugins may have set others.
  const wanted = image.status === 'queued' ? imageBefore(desired, false) : changeable;
  const operations = diffImage(image, wanted, {
    purge: true,
    keep: (key) => keepsProperty(desired, memory.propertyKeys, key),
  });
  return operations.length === 0 ? [] : [{ kind: 'patch', image, incarnation, operations }];
}

function takenOver({ image: { owner } }: Desired, image: Image): string {
  return (
    `image ${image.id} belongs to project ${image.owner} now, and is left as it is. To take it back, run ` +
    `\`openstack image set --project ${owner} ${image.id}\` as an administrator of the cloud. To keep it there, declare ` +
    `spec.image.owner: ${image.owner}. To get another image, delete this GlanceImage and create it again`
  );
}

function deactivated(image: Image): string {
  return `image ${image.id} was deactivated by an administrator of the cloud; only an administrator can reactivate it`;
}
