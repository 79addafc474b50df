/** What Glance holds and the operator remembers, and plans from it, as the tests of the domain need them. */

import type { Image } from '../../src/glance/image.ts';
import { desire } from '../../src/image/model/desired.ts';
import { numberOf } from '../../src/image/model/identity.ts';
import { blankMemory, type DataFinding, type Memory, withFinding, withImage } from '../../src/image/model/memory.ts';
import type { Report } from '../../src/image/model/report.ts';
import type { Observed } from '../../src/image/model/revisions.ts';
import type { Next, Plan, PlanStep, State } from '../../src/image/model/step.ts';
import { claimOf, type Owner, revisionOf } from '../../src/image/observe/observe.ts';
import { plan } from '../../src/image/plan/plan.ts';
import { declaredBy } from '../../src/image/publishers/resolution.ts';
import type { Moment } from '../../src/image/status/status.ts';
import { content, identity, projectID, type ResourceOptions, resourceOf, uid } from './resource.ts';

export const now = new Date('2026-01-02T00:00:00Z');
export const before = (ms: number) => new Date(now.getTime() - ms).toISOString();

export const owner: Owner = { ...identity, inheritFrom: [], projects: [projectID] };

export function memoryOf(fields: Partial<Memory> = {}): Memory {
  return { ...blankMemory(uid), ...fields };
}

/** The memory that names these images. */
export function knows(images: readonly Pick<Image, 'id'>[], fields: Partial<Memory> = {}): Memory {
  const named = images.reduce((memory, { id }) => withImage(memory, id, false), memoryOf({ next: images.length }));
  return { ...named, ...fields };
}

/** The memory of a resource whose image to use is this one. */
export function promotes({ id }: Pick<Image, 'id'>, fields: Partial<Memory> = {}): Memory {
  return { ...withImage(memoryOf({ next: 1 }), id, true), promoted: id, ...fields };
}

export function found(memory: Memory, finding: DataFinding): Memory {
  return withFinding(memory, finding);
}

export function observedOf(images: readonly Image[], memory: Memory, storeNames?: readonly string[]): Observed {
  const revisions = images.map((image) => revisionOf(image, claimOf(owner, memory)));
  return { revisions, listed: false, ...(storeNames === undefined ? {} : { storeNames }) };
}

export function stateOf(images: readonly Image[], memory: Memory = knows(images)): State {
  return { observed: observedOf(images, memory), memory };
}

/** A report of a resource with one image, which is the one to use. */
export function reportOf(image: Image | undefined, end: Report['end'], fields: Partial<Report> = {}): Report {
  const memory = image === undefined ? memoryOf() : promotes(image);
  const observed = image === undefined ? {} : { observed: observedOf([image], memory) };
  return { memory, ...observed, changes: [], end, ...fields };
}

export const withContent = { spec: { content, image: { diskFormat: 'raw' } } };

export function desiredOf(options: ResourceOptions) {
  return desire(resourceOf(options), identity, projectID, undefined);
}

export function planFor(options: ResourceOptions, state: State): Plan {
  return plan(desiredOf(options), state, now);
}

/**
 * A plan as lines, with images by their number: `patch 0 /name`, `delete 0`, `create 1`, `→ transfer 1 fill`. Without the note that
 * each creation next to other images begins with.
 */
export function outline({ steps, next }: Plan): string[] {
  const shown = steps.filter((step) => step.kind !== 'record' || step.memory.incomplete !== true);
  return [...shown.map(stepLine), nextLine(next)];
}

export function stepLine(step: PlanStep): string {
  switch (step.kind) {
    case 'create':
      return `create ${step.number}`;
    case 'patch':
      return ['patch', numbered(step.image), ...step.operations.map(({ path }) => path)].join(' ');
    case 'import':
      return `import ${numbered(step.image)} ${step.request.method.name}`;
    case 'removeFromStore':
      return `remove ${numbered(step.image)} from ${step.store}`;
    case 'delete':
    case 'deactivate':
    case 'reactivate':
      return `${step.kind} ${numbered(step.image)}`;
    case 'addMember':
    case 'removeMember':
      return `${step.kind} ${numbered(step.image)} ${step.project}`;
    case 'publish':
      return `publish ${numbered(step.image)} in ${step.configMap}`;
    case 'unpublish':
      return `unpublish ${step.configMap}`;
    case 'record': {
      const { promoted } = step.memory;
      return promoted === undefined ? 'record' : `record ${numbered({ id: promoted })}`;
    }
  }
}

function nextLine(next: Next): string {
  switch (next.kind) {
    case 'settled':
    case 'inspect':
    case 'importFailed':
      return `→ ${next.kind} ${numbered(next.image)}`;
    case 'readMembers':
      return ['→ readMembers', ...next.images.map(numbered)].join(' ');
    case 'wait':
      return `→ ${next.phase} ${numbered(next.image)}`;
    case 'transfer':
      return `→ ${next.purpose} ${numbered(next.image)}`;
    case 'blocked':
      return `→ ${next.code}`;
  }
}

function numbered({ id }: Pick<Image, 'id'>): string {
  return String(numberOf(uid, id, 0) ?? id);
}

/** When a report is summarised. */
export const moment: Moment = {
  specHash: 'declared',
  generation: 1,
  reconcileAt: undefined,
  deletion: undefined,
  recordOnly: false,
  imported: undefined,
  pinning: declaredBy(resourceOf()),
  warning: undefined,
  now: new Date('2026-01-02T00:00:00Z'),
  random: 0.5,
};
