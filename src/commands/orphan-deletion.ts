/**
 * Deletes orphans one after the other, through the gate of the operator.
 *
 * Guarantees: an image is deleted only if it is an orphan still, and a protected one only if that is asked for. A signal ends the work
 * between two images, not within one. An image that stays is reported with the reason, and so is one of which it is not known whether it
 * is deleted. An image that stays is as protected as before, or the report says that it is not.
 */
import type { Image } from '../glance/image.ts';
import type { Cloud } from '../image/access/clouds.ts';
import { clusterProperty, ownerProperty } from '../image/model/identity.ts';
import { blankMemory } from '../image/model/memory.ts';
import type { PlanStep } from '../image/model/step.ts';
import { createMemberReadings } from '../image/observe/member-readings.ts';
import { claimOf, find, type Owner, revisionOf } from '../image/observe/observe.ts';
import { type Performed, perform } from '../image/perform/perform.ts';
import { neverAborted } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { attempt, describe } from '../lib/errors.ts';
import { unappliedUID } from './manifests.ts';
import { shown } from './output.ts';
import type { Screen } from './progress.ts';

export interface Orphan {
  image: Image;
  cloud: Pick<Cloud, 'images' | 'servers' | 'recent' | 'projectID'>;
}

export interface Deletion {
  /** Whether a resource names the image now. */
  isNamed(image: Image): Promise<boolean>;
  clusterName: string;
  /** Protected images too. */
  unprotect: boolean;
  signal: AbortSignal;
  clock: Clock;
  err: Screen;
}

type Outcome = { kind: 'deleted' } | { kind: 'kept' | 'unknown'; why: string };

/** Resolves with the number of images that are deleted. */
export async function deleteOrphans(orphans: readonly Orphan[], deletion: Deletion): Promise<number> {
  const { signal, err } = deletion;
  let deleted = 0;
  for (const orphan of orphans) {
    if (signal.aborted) break;
    const id = shown(orphan.image.id);
    const outcome = await outcomeOf(orphan, deletion);
    switch (outcome.kind) {
      case 'deleted':
        deleted++;
        break;
      case 'kept':
        err.write(`${id} stays: ${shown(outcome.why)}\n`);
        break;
      case 'unknown':
        err.write(
          `It is not known whether ${id} is deleted: ${shown(outcome.why)}\n  Run the command again: it lists the image if it is still there.\n`,
        );
    }
  }
  return deleted;
}

async function outcomeOf({ image: listed, cloud }: Orphan, deletion: Deletion): Promise<Outcome> {
  const { isNamed, clusterName, unprotect, signal } = deletion;
  let image: Image | undefined;
  try {
    image = await find(cloud.images, listed.id, signal);
    if (image === undefined) return { kind: 'deleted' };
    const isMarked =
      image.properties[clusterProperty] === clusterName &&
      markedOwner(image.properties) === markedOwner(listed.properties);
    if (!isMarked || (await isNamed(image))) return { kind: 'kept', why: 'it is not an orphan any more' };
  } catch (error) {
    return { kind: 'kept', why: describe(error) };
  }
  if (image.protected && !unprotect) return { kind: 'kept', why: 'it is protected now' };
  return removed(image, cloud, deletion);
}

/** No signal ends it. Each call to the cloud has its own deadline. */
async function removed(
  image: Image,
  cloud: Orphan['cloud'],
  { clusterName, signal, clock, err }: Deletion,
): Promise<Outcome> {
  const id = shown(image.id);
  const onStop = () =>
    void err.write(
      `${id} is being deleted. The command ends after that. A second signal ends it at once, and then it is not known whether ${id} is deleted.\n`,
    );
  signal.addEventListener('abort', onStop, { once: true });
  const take = (step: PlanStep, at: Image) => performOn(at, step, cloud, clusterName, clock);
  try {
    const why = await take({ kind: 'delete', image, why: 'no resource names it', unlessInUse: true }, image);
    return why === undefined ? { kind: 'deleted' } : await afterFailure(image, cloud, why, take);
  } finally {
    signal.removeEventListener('abort', onStop);
  }
}

/** Takes this step, without a resource. Resolves with the reason where it has no effect. */
async function performOn(
  image: Image,
  step: PlanStep,
  cloud: Orphan['cloud'],
  cluster: string,
  clock: Clock,
): Promise<string | undefined> {
  const mark = markedOwner(image.properties);
  const owner: Owner = {
    uid: unappliedUID,
    value: mark.split('/').at(-1) ?? '',
    owner: mark,
    cluster,
    isOriginal: false,
    inheritFrom: [],
    projects: [cloud.projectID],
  };
  const memory = { ...blankMemory(unappliedUID), images: [image.id] };
  const state = { observed: { revisions: [revisionOf(image, claimOf(owner, memory))], listed: false }, memory };
  const signal = neverAborted();
  const performed = await attempt(signal, () =>
    perform(step, state, {
      images: cloud.images,
      servers: cloud.servers,
      recent: cloud.recent,
      owner,
      webDownloads: { checkURL: async () => {}, maxVirtualBytes: 0 },
      memberReadings: createMemberReadings(clock),
      configMaps: { read: async () => ({ kind: 'absent' }), write: async () => {}, remove: async () => {} },
      clock,
      guard: async () => true,
      confirm: async () => 'current',
      record: async () => 'written',
      signal,
    }),
  );
  return performed.ok ? problemOf(performed.value, image.id) : describe(performed.error);
}

/** Undefined where the step is done. */
function problemOf(performed: Performed, id: string): string | undefined {
  switch (performed.kind) {
    case 'done':
      return undefined;
    case 'failed':
      return describe(performed.error);
    case 'changed': {
      const use = performed.state.memory.inUse?.find(({ imageID }) => imageID === id);
      return use === undefined
        ? 'it was protected again meanwhile'
        : use.isUnknown
          ? `whether it is used is not known: ${use.why}`
          : `it is in use: ${use.why}`;
    }
    case 'gone':
    case 'outdated':
      return 'it changed meanwhile';
  }
}

/** A call that failed may have had its effect. */
async function afterFailure(
  image: Image,
  { images }: Orphan['cloud'],
  why: string,
  take: (step: PlanStep, at: Image) => Promise<string | undefined>,
): Promise<Outcome> {
  const signal = neverAborted();
  const now = await attempt(signal, () => find(images, image.id, signal));
  if (!now.ok) return { kind: 'unknown', why };
  if (now.value === undefined) return { kind: 'deleted' };
  if (!image.protected || now.value.protected) return { kind: 'kept', why };
  const operations = [{ op: 'replace' as const, path: '/protected', value: true }];
  const problem = await take({ kind: 'patch', image: now.value, operations, keys: [] }, now.value);
  return { kind: 'kept', why: problem === undefined ? why : `${why}. It is not protected any more` };
}

export function markedOwner(properties: Image['properties']): string {
  const mark = properties[ownerProperty];
  return typeof mark === 'string' ? mark : '';
}
