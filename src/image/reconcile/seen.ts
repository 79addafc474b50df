/**
 * What Glance and the API server hold for a resource, as its steps begin with it: for all paths that plan or perform steps.
 *
 * Guarantees: where there may be images that the memory does not name, all of them are searched, and one whose creation was
 * recorded and may still be on its way is waited for.
 */
import type { CloudPlace } from '../access/clouds.ts';
import { isOurs } from '../model/ownership.ts';
import type { Change } from '../model/report.ts';
import type { Observed } from '../model/revisions.ts';
import type { State } from '../model/step.ts';
import { type Look, type Observation, observe, observeAll, onItsWayMs } from '../observe/observe.ts';
import { isWorkedOn, type Pass } from './pass.ts';

interface Seen extends Pick<Observation, 'doubtMs'> {
  state: State;
  /** Images that the memory names and Glance does not hold any more. */
  changes: readonly Change[];
}

/** `configMaps`: undefined where none is declared. */
export async function seenState(
  pass: Pass,
  look: Look,
  here: CloudPlace,
  configMaps: Observed['configMaps'],
): Promise<Seen> {
  const isSearched = isWorkedOn(pass);
  const { observed, memory, gone, doubtMs } = await (isSearched ? observeAll : observe)(look, pass.memory, here);
  // The next one, which may have been requested, is created again unless another image is enough.
  const isEnough = observed.revisions.some(({ ownership }) => isOurs(ownership));
  const nextMs = pass.memory.incomplete === true && isEnough ? onItsWayMs(look, memory) : 0;
  return {
    state: { observed: configMaps === undefined ? observed : { ...observed, configMaps }, memory },
    changes: gone.map((id) => ({ kind: 'vanished', id })),
    doubtMs: Math.max(doubtMs, nextMs),
  };
}
