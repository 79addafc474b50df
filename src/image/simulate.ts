/**
 * What Glance holds, and what the operator remembers, after a step of a plan.
 *
 * Invariant: pure; `remember` is also what the operator remembers after it has performed the step.
 */
import { decodeProperty, type Image, tagSet } from '../glance/image.ts';
import { type JsonPatchOperation, keyIn } from '../glance/patch.ts';
import { encodeProperty, type WantedImage } from '../glance/translation.ts';
import type { JsonValue } from '../openstack/json.ts';
import { ownerProperty } from './identity.ts';
import { type Memory, msSince, withImage, withoutImage, withPropertyKeys } from './memory.ts';
import type { Observed, Revision } from './revisions.ts';
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
    case 'removeFromStore':
      return memory;
  }
}

/** The time in which a mark that vanishes again and again counts as contested. */
export const contestMs = 3_600_000;

export function withRevision(observed: Observed, revision: Revision): Observed {
  const others = observed.revisions.filter(({ image }) => image.id !== revision.image.id);
  return { ...observed, revisions: [...others, revision].sort((a, b) => a.number - b.number) };
}

export function withoutRevision(observed: Observed, imageID: string): Observed {
  return { ...observed, revisions: observed.revisions.filter(({ image }) => image.id !== imageID) };
}

function withChanged(observed: Observed, imageID: string, change: (image: Image) => Image): Observed {
  const revisions = observed.revisions.map((revision) =>
    revision.image.id === imageID ? withImageOf(revision, change(revision.image)) : revision,
  );
  return { ...observed, revisions };
}

function withImageOf({ number, ownership }: Revision, image: Image): Revision {
  const isMarked = image.properties[ownerProperty] !== undefined;
  return { number, image, ownership: ownership.kind === 'created' ? { ...ownership, isMarked } : ownership };
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
