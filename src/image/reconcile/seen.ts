/**
 * What Glance and the API server hold for a resource, as its steps begin with it: for all paths that plan or perform steps.
 *
 * Guarantees: where there may be images that the memory does not name, all of them are searched.
 */
import type { CloudPlace } from '../access/clouds.ts';
import type { Change } from '../model/report.ts';
import type { Observed } from '../model/revisions.ts';
import type { State } from '../model/step.ts';
import { type Look, type Observation, observe, observeAll } from '../observe/observe.ts';
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
  const observeIt = isWorkedOn(pass) ? observeAll : observe;
  const { observed, memory, gone, doubtMs } = await observeIt(look, pass.memory, here);
  return {
    state: { observed: configMaps === undefined ? observed : { ...observed, configMaps }, memory },
    changes: gone.map((id) => ({ kind: 'vanished', id })),
    doubtMs,
  };
}
