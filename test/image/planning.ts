/** Planning as its tests ask for it. */
import type { Image } from '../../src/glance/image.ts';
import { desire } from '../../src/image/desired.ts';
import { type Action, type Memory, type Observation, plan } from '../../src/image/plan.ts';
import { content, identity, projectID, resourceOf } from './resource.ts';

export const now = new Date('2026-01-02T00:00:00Z');
export const blank: Memory = {
  propertyKeys: [],
  transfer: undefined,
  sent: undefined,
  readyImageID: undefined,
  storeNames: undefined,
};
export const after = (phase: 'Importing' | 'Waiting', ms: number): Memory => {
  const startedAt = new Date(now.getTime() - ms).toISOString();
  return { ...blank, transfer: { phase, bytes: 0, startedAt } };
};
export const withContent = { spec: { content, image: { diskFormat: 'raw' } } };

export function planFor(
  options: Parameters<typeof resourceOf>[0],
  observation: Observation,
  memory: Memory = blank,
): Action[] {
  return plan(desire(resourceOf(options), identity, projectID), observation, memory, now);
}

export function present(image: Image): Observation {
  return { kind: 'present', incarnation: 0, image };
}

export function kinds(actions: Action[]): string[] {
  return actions.map(({ kind }) => kind);
}
