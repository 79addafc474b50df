/**
 * Follows a Job to the end of its transfer: by the watches, and by requests, because a watch may be behind or silent.
 *
 * Guarantees: no run is given up by what a watch shows: what the API server itself returns at that moment decides. An outcome that a pod
 * has left is found as long as the pod exists, also if no watch shows it.
 */
import type { KubernetesClient } from '../kubernetes/client.ts';
import { readable } from '../kubernetes/resource.ts';
import type { Clock } from '../lib/clock.ts';
import { describe, OperatorError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { PodOutcome } from './message.ts';
import { controllerLabel, jobType, podType, type TransferJob, type TransferPod } from './objects.ts';
import { awaitedIn, failureIn, jobStateOf } from './state.ts';

export type JobEnd =
  | PodOutcome
  /** It left no outcome that another process could find. */
  | { kind: 'lost'; failure: OperatorError }
  /** Others deleted it. */
  | { kind: 'gone'; failure: OperatorError };

export interface FollowOptions {
  client: Pick<KubernetesClient, 'get' | 'listPage'>;
  namespace: string;
  /** What the watches show. Undefined: no such Job. */
  stored(job: TransferJob): TransferJob | undefined;
  podsOf(job: TransferJob): TransferPod[];
  /** Calls back when the Job or a pod of it has changed. Returns the end of that. */
  listen(uid: string, look: () => void): () => void;
  /** For a pod to start. */
  pendingMs: number;
  /** The time of the API server. */
  now(): Date;
  clock: Clock;
  log: Logger;
}

/** A watch shows most changes within this time. */
const lookMs = 10_000;
/** The Job is read from the API server at least this often. */
const askMs = 60_000;

/** The first end of a Job; `onWait` is called with what it waits for. Rejects with the signal's reason. */
export function followJob(
  job: TransferJob,
  options: FollowOptions,
  signal: AbortSignal,
  onWait: (awaits: string | undefined) => void,
): Promise<JobEnd> {
  const { client, namespace, stored, podsOf, listen, pendingMs, now, clock, log } = options;
  const { uid, name } = job.metadata;
  const end = Promise.withResolvers<JobEnd>();
  let askedAt = clock.monotonic();
  let isAsking = false;
  let wasSeen = false;

  /** Undefined: it goes on. */
  function endOf(seen: TransferJob | undefined, pods: readonly TransferPod[]): JobEnd | undefined {
    const state = jobStateOf(seen ?? job, pods, now());
    if (state.kind === 'ended') return state.outcome;
    if (seen === undefined) return { kind: 'gone', failure: deleted(namespace, name) };
    onWait(awaitedIn(state));
    const failure = failureIn(state, name, pendingMs);
    return failure && { kind: 'lost', failure };
  }

  /** By the watches. An end without an outcome is confirmed first. */
  function look(): void {
    const seen = stored(job);
    wasSeen ||= seen !== undefined;
    const isUnseen = seen === undefined && !wasSeen;
    const shown = isUnseen ? undefined : endOf(seen, podsOf(job));
    const sinceMs = clock.monotonic() - askedAt;
    if (shown?.kind === 'succeeded' || shown?.kind === 'failed') end.resolve(shown);
    else if (shown !== undefined || sinceMs >= (isUnseen ? lookMs : askMs)) void ask();
  }

  async function ask(): Promise<void> {
    if (isAsking) return;
    isAsking = true;
    try {
      const present = await client.get(jobType, { namespace, name }, signal);
      // The pods are read after the Job: a Job ends after its pods.
      const labelSelector = `${controllerLabel}=${uid}`;
      const { items } = await client.listPage(podType, { namespace, labelSelector }, undefined, signal);
      const found = endOf(present?.metadata.uid === uid ? present : undefined, readable(items));
      if (found !== undefined) end.resolve(found);
    } catch (error) {
      if (!signal.aborted) log.warn({ job: name, problem: describe(error) }, 'A Job cannot be read; it is tried again');
    }
    askedAt = clock.monotonic();
    isAsking = false;
  }

  let cancelTimer = () => {};
  const tick = () => {
    look();
    cancelTimer = clock.schedule(lookMs, tick);
  };
  const onAbort = () => end.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const stopListening = listen(uid, look);
  tick();
  if (signal.aborted) onAbort();
  return end.promise.finally(() => {
    cancelTimer();
    stopListening();
    signal.removeEventListener('abort', onAbort);
  });
}

function deleted(namespace: string, name: string): OperatorError {
  return new OperatorError(`Job ${namespace}/${name} was deleted during its transfer`, { code: 'TransferPodDeleted' });
}
