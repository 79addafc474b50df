/**
 * What is being worked on, carried along with the asynchronous calls that the work makes. Law: it names things for whoever
 * follows the story (log lines, request ids), and nothing ever decides by it; so no signature has to hand it on.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

export interface WorkContext {
  /** One pass over one resource; a UUID. Servers see it as the request id `req-<reconcileID>`. */
  readonly reconcileID: string;
  readonly namespace: string;
  readonly name: string;
  /** Of the resource that was read. */
  generation?: number;
  /** Name of the cloud in clouds.yaml. */
  cloud?: string;
}

const storage = new AsyncLocalStorage<WorkContext>();

/** Runs `work` as a part of this pass. */
export function during<T>(context: WorkContext, work: () => T): T {
  return storage.run(context, work);
}

/** Adds what was learned to the pass under way, if there is one. */
export function noteInContext(learned: Pick<WorkContext, 'generation' | 'cloud'>): void {
  const context = storage.getStore();
  if (context !== undefined) Object.assign(context, learned);
}

export function workContext(): WorkContext | undefined {
  return storage.getStore();
}
