/**
 * What Glance holds, and what the operator remembers, after a step of a plan.
 *
 * Invariant: pure; `remember` is also what the operator remembers after it has performed the step.
 */
import { decodeProperty, type Image, tagSet } from '../../glance/image.ts';
import { type JsonPatchOperation, keyIn } from '../../glance/patch.ts';
import { encodeProperty, type WantedImage } from '../../glance/translation.ts';
import type { JsonValue } from '../../openstack/json.ts';
import { ownerProperty } from './identity.ts';
import { type Memory, msSince, withImage, withoutConfigMap, withoutImage, withPropertyKeys } from './memory.ts';
import type { Ownership } from './ownership.ts';
import { publishedData } from './published-data.ts';
import type { Member, Observed, Publication, Revision } from './revisions.ts';
import type { PlanStep, State } from './step.ts';

export function simulate(state: State, step: PlanStep, now: Date): State {
  return { observed: simulateGlance(state.observed, step, now), memory: remember(state.memory, step, now) };
}

function simulateGlance(observed: Observed, step: PlanStep, now: Date): Observed {
  switch (step.kind) {
    case 'create':
      return withRevision(observed, {
        number: step.number,
        image: created(step.imageID, step.image, now),
        ownership: { kind: 'created', number: step.number, isMarked: true },
        members: [],
      });
    case 'patch':
      return withChanged(observed, step.image.id, (image) => patched(image, step.operations));
    case 'import':
      return withChanged(observed, step.image.id, (image) => ({
        ...image,
        properties: { ...image.properties, os_glance_import_task: 'accepted' },
      }));
    case 'removeFromStore':
      return withChanged(observed, step.image.id, ({ stores = [], ...image }) => ({
        ...image,
        stores: stores.filter((store) => store !== step.store),
      }));
    case 'delete':
      return withoutRevision(observed, step.image.id);
    case 'addMember':
      return withRevisionOf(observed, step.image.id, (one) =>
        withMember(one, { project: step.project, status: 'pending' }),
      );
    case 'removeMember':
      return withRevisionOf(observed, step.image.id, (one) => withoutMember(one, step.project));
    case 'deactivate':
      return withChanged(observed, step.image.id, (image) => ({ ...image, status: 'deactivated' }));
    case 'reactivate':
      return withChanged(observed, step.image.id, (image) => ({ ...image, status: 'active' }));
    case 'publish':
      return withConfigMap(observed, step.configMap, {
        kind: 'own',
        data: publishedData(step),
        isMarked: true,
      });
    case 'unpublish':
      return withConfigMap(observed, step.configMap, { kind: 'absent' });
    case 'record':
      return observed;
  }
}

/** The memory after a step. */
export function remember(memory: Memory, step: PlanStep, now: Date): Memory {
  const at = now.toISOString();
  switch (step.kind) {
    case 'create': {
      const { incomplete: _, ...rest } = withImage(memory, step.imageID, false);
      return withPropertyKeys({ ...rest, next: step.number + 1 }, step.keys);
    }
    case 'patch': {
      const restores = step.operations.some(({ op, path }) => op === 'add' && path === `/${ownerProperty}`);
      const { marks } = memory;
      const isRecent = marks !== undefined && msSince(marks.at, now) < contestMs;
      const counted = isRecent ? { ...marks, restored: marks.restored + 1 } : { restored: 1, at };
      if (step.adopts) return withPropertyKeys({ ...memory, adopted: step.image.id }, step.keys);
      return withPropertyKeys(restores ? { ...memory, marks: counted } : memory, step.keys);
    }
    case 'import': {
      const { method, stores } = step.request;
      const kind = method.name === 'copy-image' ? 'copy' : 'fetch';
      const imageID = step.image.id;
      return { ...memory, import: { imageID, kind, at, ...(stores === undefined ? {} : { stores: [...stores] }) } };
    }
    case 'delete':
      return withoutImage(memory, step.image.id);
    case 'record':
      return step.memory;
    case 'unpublish':
      return withoutConfigMap(memory, step.configMap);
    case 'removeFromStore':
    case 'addMember':
    case 'removeMember':
    case 'deactivate':
    case 'reactivate':
    case 'publish':
      return memory;
  }
}

/** The time in which a mark that vanishes again and again counts as contested. */
export const contestMs = 3_600_000;

/** The members stay as they were read, until an image is shared that was not. */
export function withRevision(observed: Observed, revision: Revision): Observed {
  const others = observed.revisions.filter(({ image }) => image.id !== revision.image.id);
  const before = observed.revisions.find(({ image }) => image.id === revision.image.id);
  const kept = revision.members === undefined && before !== undefined ? withMembersFrom(before, revision) : revision;
  return { ...observed, revisions: [...others, kept].sort((a, b) => a.number - b.number) };
}

export function withoutRevision(observed: Observed, imageID: string): Observed {
  return { ...observed, revisions: observed.revisions.filter(({ image }) => image.id !== imageID) };
}

function withRevisionOf(observed: Observed, imageID: string, change: (revision: Revision) => Revision): Observed {
  const revisions = observed.revisions.map((one) => (one.image.id === imageID ? change(one) : one));
  return { ...observed, revisions };
}

function withChanged(observed: Observed, imageID: string, change: (image: Image) => Image): Observed {
  return withRevisionOf(observed, imageID, (revision) => withImageOf(revision, change(revision.image)));
}

function withMember(revision: Revision, member: Member): Revision {
  return { ...revision, members: [...(withoutMember(revision, member.project).members ?? []), member] };
}

function withoutMember({ members = [], ...revision }: Revision, project: string): Revision {
  return { ...revision, members: members.filter((one) => one.project !== project) };
}

/** The members of these images were read. */
export function withMembersOf(observed: Observed, imageID: string, members: readonly Member[]): Observed {
  return withRevisionOf(observed, imageID, (revision) => ({ ...revision, members }));
}

export function withConfigMap(observed: Observed, name: string, publication: Publication): Observed {
  return { ...observed, configMaps: new Map([...(observed.configMaps ?? []), [name, publication]]) };
}

function withImageOf(before: Revision, image: Image): Revision {
  const { number, ownership } = before;
  const isMarked = image.properties[ownerProperty] !== undefined;
  const after = { number, image, ownership: withMark(ownership, isMarked) };
  return withMembersFrom(before, after);
}

function withMark(ownership: Ownership, isMarked: boolean): Ownership {
  switch (ownership.kind) {
    case 'created':
      return { ...ownership, isMarked };
    case 'adopted':
      return { ...ownership, isMarked, isTaken: ownership.isTaken || isMarked };
    case 'observed':
    case 'foreign':
      return ownership;
  }
}

/** Glance keeps the members of an image that is not shared, and does not show them. */
function withMembersFrom({ image, members }: Revision, after: Revision): Revision {
  const isShown = image.visibility === 'shared' || after.image.visibility !== 'shared';
  return members === undefined || !isShown ? after : { ...after, members };
}

/** The image in the response to a POST. */
function created(id: string, wanted: WantedImage, now: Date): Image {
  const at = now.toISOString();
  return {
    id,
    name: wanted.name ?? null,
    status: 'queued',
    visibility: wanted.visibility ?? 'shared',
    protected: wanted.protected ?? false,
    hidden: wanted.hidden ?? false,
    diskFormat: wanted.diskFormat ?? null,
    containerFormat: wanted.containerFormat ?? null,
    minDiskGiB: wanted.minDiskGiB ?? 0,
    minRAMMiB: wanted.minRAMMiB ?? 0,
    owner: wanted.owner ?? null,
    tags: tagSet(wanted.tags ?? []),
    size: null,
    virtualSize: null,
    checksum: null,
    hash: null,
    createdAt: at,
    updatedAt: at,
    properties: Object.fromEntries(
      Object.entries(wanted.properties ?? {}).flatMap(([key, value]) => {
        const text = encodeProperty(value);
        return text === undefined ? [] : [[key, decodeProperty(key, text)]];
      }),
    ),
  };
}

const attributes: Readonly<Record<string, (image: Image, value: JsonValue) => Image>> = {
  name: (image, value) => ({ ...image, name: textOf(value) }),
  visibility: (image, value) => ({ ...image, visibility: String(value) }),
  protected: (image, value) => ({ ...image, protected: value === true }),
  os_hidden: (image, value) => ({ ...image, hidden: value === true }),
  disk_format: (image, value) => ({ ...image, diskFormat: textOf(value) }),
  container_format: (image, value) => ({ ...image, containerFormat: textOf(value) }),
  min_disk: (image, value) => ({ ...image, minDiskGiB: Number(value) }),
  min_ram: (image, value) => ({ ...image, minRAMMiB: Number(value) }),
  owner: (image, value) => ({ ...image, owner: textOf(value) }),
  tags: (image, value) => ({ ...image, tags: Array.isArray(value) ? tagSet(value.map(String)) : image.tags }),
};

function textOf(value: JsonValue): string | null {
  return value === null ? null : String(value);
}

function patched(image: Image, operations: readonly JsonPatchOperation[]): Image {
  let at = image;
  for (const operation of operations) at = changedBy(at, operation);
  return at;
}

function changedBy(image: Image, operation: JsonPatchOperation): Image {
  const key = keyIn(operation);
  const others = Object.entries(image.properties).filter(([one]) => one !== key);
  if (operation.op === 'remove') return { ...image, properties: Object.fromEntries(others) };
  const attribute = Object.hasOwn(attributes, key) ? attributes[key] : undefined;
  if (attribute !== undefined) return attribute(image, operation.value);
  return { ...image, properties: Object.fromEntries([...others, [key, decodeProperty(key, operation.value)]]) };
}
