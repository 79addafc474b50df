/**
 * The executor that runs each transfer as a Job of the cluster.
 *
 * Guarantees: a run that is active is never started again, by this process or another, because the name of its Job follows from the
 * run. An outcome stays in the cluster until it has been handled. A run that is aborted is deleted at once; it has settled when its
 * pod is gone, or after a time in which a pod that is reachable ends. One that is not finds that the image is another's, or that Glance
 * accepts no second upload.
 */
import type { Image } from '../glance/image.ts';
import type { KubernetesClient } from '../kubernetes/client.ts';
import { isAlreadyExists, isConflict, isNotFound, isRejected } from '../kubernetes/errors.ts';
import type { Store } from '../kubernetes/reflector.ts';
import { keyOfObject, readable } from '../kubernetes/resource.ts';
import { secretType } from '../kubernetes/secret.ts';
import { aborted, type LinkedAbort, linked, neverAborted } from '../lib/abort.ts';
import type { Clock, Random } from '../lib/clock.ts';
import { attempt, describe, OperatorError, responseFieldsOf } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { staleMs } from '../transfer/delivery.ts';
import { decodeError } from '../transfer/error-codec.ts';
import {
  type ExecuteOptions,
  type Execution,
  type Executor,
  type FoundRun,
  RunDetached,
  type TransferAccess,
  type TransferRun,
} from '../transfer/executor.ts';
import { noProgress, type TransferPlan, type TransferProgress, type TransferResult } from '../transfer/plan.ts';
import { followJob } from './follow.ts';
import { type Installation, jobNameOf, jobOf, runOf, runSecretOf } from './manifest.ts';
import { faultOfResult, type PodResult } from './message.ts';
import { byJob, jobType, type TransferJob, type TransferPod } from './objects.ts';
import type { RunFiles } from './run-files.ts';
import { hasEnded } from './state.ts';

export interface JobExecutorOptions {
  installation: Installation;
  client: Pick<KubernetesClient, 'create' | 'deleteWithOwned' | 'get' | 'listPage'>;
  /** The Jobs of this installation, and their pods with the index `byJob`. */
  jobs: Store<TransferJob>;
  pods: Store<TransferPod>;
  /** Reads the secrets of a plan. */
  readAccess(plan: TransferPlan, signal: AbortSignal): Promise<TransferAccess>;
  filesOf(jobName: string, plan: TransferPlan, access: TransferAccess): Promise<RunFiles>;
  /** The image, in one attempt. */
  readImage(plan: TransferPlan, signal: AbortSignal): Promise<Image>;
  /** Calls the listener with the progress that the pod of this Job reports. Returns the end of that. */
  followProgress(jobName: string, listener: (progress: TransferProgress) => void): () => void;
  /** The time of the API server, by which Jobs and pods have their ages. The clock of this process may differ from it. */
  now(): Date;
  clock: Clock;
  random: Random;
  log: Logger;
}

/** For a pod to end after its deletion: its grace period, and as long again. */
const endMs = 20_000;
/** A Job that was deleted is gone by then, unless a finalizer keeps it. */
const deletionMs = 60_000;
const retryMs = 5_000;
/** For a cloud whose image was just filled, to respond again. */
const patienceMs = 600_000;

export function createJobExecutor(options: JobExecutorOptions): Executor {
  const { installation, client, jobs, pods, now, clock, random, log } = options;
  const { namespace, template } = installation;
  /** By uid of the Job. */
  const listeners = new Map<string, Set<() => void>>();
  const notify = (uid: string | undefined) => {
    for (const look of [...(listeners.get(uid ?? '') ?? [])]) look();
  };
  jobs.subscribe((change) => {
    notify((change.kind === 'deleted' ? change.before : change.after).object.metadata.uid);
  });
  pods.subscribe((change) => {
    const item = change.kind === 'deleted' ? change.before : change.after;
    notify(item.kind === 'readable' ? item.object.job : undefined);
  });

  /** Calls back when the Job or a pod of it has changed. Returns the end of that. */
  function listen(uid: string, look: () => void): () => void {
    const all = listeners.get(uid) ?? new Set();
    listeners.set(uid, all.add(look));
    return () => {
      all.delete(look);
      if (all.size === 0) listeners.delete(uid);
    };
  }

  /** For Jobs that earlier runs may have created, by name. */
  const searches = new Map<string, LinkedAbort>();

  const podsOf = ({ metadata }: TransferJob): TransferPod[] => readable(pods.findBy(byJob, metadata.uid));

  /** Undefined: it is not in the store. */
  function stored({ metadata }: TransferJob): TransferJob | undefined {
    const item = jobs.get(keyOfObject({ metadata }));
    return item?.kind === 'readable' && item.object.metadata.uid === metadata.uid ? item.object : undefined;
  }

  const pendingMs = template.pendingSeconds * 1000;
  const following = { client, namespace, stored, podsOf, listen, pendingMs, now, clock, log };

  async function putSecret(
    job: TransferJob,
    run: TransferRun,
    suffix: string,
    access: TransferAccess,
    signal: AbortSignal,
  ): Promise<void> {
    const files = await options.filesOf(job.metadata.name, run.plan, access);
    const secret = runSecretOf({ ...run, installation, suffix }, job.metadata.uid, files);
    try {
      await client.create(secretType, secret, signal);
    } catch (error) {
      if (!isAlreadyExists(error)) throw asRefusal(error, `The Secret of Job ${namespace}/${job.metadata.name}`);
    }
  }

  /** Undefined: there is a Job of this name. */
  async function create(run: TransferRun, suffix: string, signal: AbortSignal): Promise<TransferJob | undefined> {
    try {
      return await client.create(jobType, jobOf({ ...run, installation, suffix }), signal);
    } catch (error) {
      if (isAlreadyExists(error)) return undefined;
      throw asRefusal(error, `Job ${namespace}/${jobNameOf(run.plan)}`);
    }
  }

  /** Resolves when no pod of the Job runs any more, or at an abort. */
  async function whenIdle(job: TransferJob, signal: AbortSignal): Promise<void> {
    const idle = Promise.withResolvers<void>();
    const look = () => {
      if (podsOf(job).every(({ container }) => container.kind === 'terminated')) idle.resolve();
    };
    const stopListening = listen(job.metadata.uid, look);
    look();
    await Promise.race([idle.promise, aborted(signal)]);
    stopListening();
  }

  /** Whether its pod may still write an outcome. */
  function isActive(job: TransferJob): boolean {
    if (job.metadata.deletionTimestamp !== undefined || hasEnded(job)) return false;
    // The Job controller marks it later.
    return podsOf(job).every(({ container }) => container.kind !== 'terminated');
  }

  /**
   * Creates the Job and its Secret. A Job of this run that is active is taken over, and any other of its name deleted. A creation
   * ends before an abort is looked at, so that the Job is there, or is not, when it is to be deleted; `detached` ends it at once.
   */
  async function begin(run: TransferRun, signal: AbortSignal, detached: AbortSignal): Promise<TransferJob> {
    const access = await options.readAccess(run.plan, signal);
    const name = jobNameOf(run.plan);
    searches.get(name)?.abort(new Error('another run begins'));
    searches.delete(name);
    const start = clock.monotonic();
    for (;;) {
      signal.throwIfAborted();
      const suffix = suffixOf(random);
      const job = await create(run, suffix, detached);
      if (job !== undefined) {
        await putSecret(job, run, suffix, access, signal);
        return job;
      }
      const present = await client.get(jobType, { namespace, name }, signal);
      const begun = present && runOf(present);
      if (present !== undefined && begun?.key === run.key && isActive(present)) {
        await putSecret(present, run, begun.suffix, access, signal);
        return present;
      }
      if (present !== undefined) await remove(present.metadata.name, present, signal);
      if (clock.monotonic() - start > deletionMs)
        throw new OperatorError(`Job ${namespace}/${name} of an earlier run is still being deleted`, {
          code: 'KubernetesFailed',
        });
      if (present === undefined || present.metadata.deletionTimestamp !== undefined) await clock.sleep(retryMs, signal);
    }
  }

  /**
   * The image after its transfer. An outage of its cloud is waited for, because without this result all of its data would be read
   * back. Rejects with the signal's reason.
   */
  async function imageAfter(plan: TransferPlan, signal: AbortSignal): Promise<Image> {
    const start = clock.monotonic();
    for (;;) {
      const read = await attempt(signal, () => options.readImage(plan, signal));
      const sinceMs = clock.monotonic() - start;
      if (read.ok && (read.value.status === 'active' || sinceMs >= staleMs)) return read.value;
      if (!read.ok && (sinceMs >= patienceMs || !mayPass(read.error))) throw read.error;
      await clock.sleep(retryMs, signal);
    }
  }

  /** Repeats a call until the API server has carried it out. Rejects with the signal's reason. */
  async function insist<T>(name: string, call: () => Promise<T>, signal: AbortSignal): Promise<T> {
    for (let attempts = 1; ; attempts++) {
      try {
        return await call();
      } catch (error) {
        signal.throwIfAborted();
        if (attempts === 1)
          log.warn({ job: name, problem: describe(error) }, 'A Job cannot be deleted; it is tried again');
      }
      await clock.sleep(retryMs, signal);
    }
  }

  /** Looks for a Job that may have been created. Rejects when another run of this name begins, which takes over what it finds. */
  async function search(name: string, signal: AbortSignal): Promise<TransferJob | undefined> {
    using over = linked(signal);
    searches.set(name, over);
    const present = await insist(name, () => client.get(jobType, { namespace, name }, over.signal), over.signal);
    over.signal.throwIfAborted();
    searches.delete(name);
    return present;
  }

  /** Deletes a Job with its pod and its Secret, and waits for its pod. Undefined: it may have been created. */
  async function discard(name: string, job: TransferJob | undefined, signal: AbortSignal): Promise<void> {
    const present = job ?? (await search(name, signal));
    if (present === undefined) return;
    const deletion = async () => {
      try {
        await client.deleteWithOwned(jobType, present, signal);
      } catch (error) {
        if (!isNotFound(error) && !isConflict(error)) throw error;
      }
    };
    await insist(name, deletion, signal);
    await whenIdle(present, signal);
  }

  /**
   * Deletes a Job, in the background if the API server does not. Resolves when its pod has ended, after `endMs`, or at an abort,
   * which ends the attempts.
   */
  async function remove(name: string, job: TransferJob | undefined, signal: AbortSignal): Promise<void> {
    const over = Promise.withResolvers<void>();
    const cancelTimer = clock.schedule(endMs, over.resolve);
    discard(name, job, signal).then(over.resolve, over.resolve);
    await over.promise;
    cancelTimer();
  }

  function execute(
    run: TransferRun,
    { signal: cancelled, onProgress }: ExecuteOptions,
    found?: TransferJob,
  ): Execution {
    const detached = new AbortController();
    const signal = AbortSignal.any([cancelled, detached.signal]);
    const name = jobNameOf(run.plan);
    let job = found;

    /** Deletes the Job that may have been created, so that it does not run without a listener. */
    const drop = () => remove(name, job, detached.signal);

    async function follow(): Promise<TransferResult> {
      let stopProgress = () => {};
      try {
        if (job === undefined) job = await begin(run, signal, detached.signal);
        else await complete(job, run, signal);
        const wait = createWait(onProgress);
        stopProgress = options.followProgress(name, wait.onProgress);
        const end = await followJob(job, following, signal, wait.onWait);
        if (end.kind === 'succeeded') return believed(name, end.result, run.plan, await imageAfter(run.plan, signal));
        if (end.kind === 'failed') throw decodeError(end.error);
        await drop();
        throw end.failure;
      } catch (error) {
        if (detached.signal.aborted) throw new RunDetached();
        if (cancelled.aborted || job === undefined) await drop();
        if (detached.signal.aborted) throw new RunDetached();
        cancelled.throwIfAborted();
        throw error;
      } finally {
        stopProgress();
      }
    }

    return {
      ended: follow(),
      durable: {
        detach: () => detached.abort(new RunDetached()),
        release() {
          if (job !== undefined) void remove(name, job, neverAborted());
        },
      },
    };
  }

  /** The process before may have been killed between the Job and its Secret. */
  async function complete(job: TransferJob, run: TransferRun, signal: AbortSignal): Promise<void> {
    const begun = runOf(job);
    const hasStarted = podsOf(job).some(({ container }) => container.kind !== 'waiting');
    if (begun === undefined || !isActive(job) || hasStarted) return;
    try {
      const access = await options.readAccess(run.plan, signal);
      await putSecret(job, run, begun.suffix, access, signal);
    } catch (error) {
      signal.throwIfAborted();
      log.warn({ job: job.metadata.name, problem: describe(error) }, 'The Secret of a Job cannot be completed');
    }
  }

  /** RFC 3339. */
  function inOwnTime(at: string | undefined): string {
    const ageMs = at === undefined ? 0 : now().getTime() - Date.parse(at);
    return new Date(clock.now().getTime() - ageMs).toISOString();
  }

  return {
    start: (run, how) => execute(run, how),
    async attach(signal) {
      await Promise.all([jobs.whenSynced(signal), pods.whenSynced(signal)]);
      const present = readable(jobs.list()).filter(({ metadata }) => metadata.deletionTimestamp === undefined);
      const { kept, dropped } = sorted(present);
      for (const job of dropped) {
        log.warn({ job: job.metadata.name }, 'A Job cannot be taken over, and is deleted');
        void remove(job.metadata.name, job, signal);
      }
      return kept.map(({ job, run }): FoundRun => {
        const startedAt = inOwnTime(job.startTime ?? job.metadata.creationTimestamp);
        return { ...run, startedAt, resume: (how) => execute(run, how, job) };
      });
    },
  };
}

/** Reports what a run waits for, until its pod reports progress. */
function createWait(report: ExecuteOptions['onProgress']) {
  let awaited: string | undefined;
  let hasProgress = false;
  return {
    onProgress(progress: TransferProgress) {
      hasProgress = true;
      report(progress);
    },
    onWait(awaits: string | undefined) {
      if (hasProgress || awaits === awaited) return;
      awaited = awaits;
      report({ ...noProgress, awaits: awaits ?? null });
    },
  };
}

/** A pod processes data of strangers. What contradicts the plan or the image is no result of it, and the image is looked at. */
function believed(name: string, result: PodResult, plan: TransferPlan, image: Image): TransferResult {
  const fault = faultOfResult(result, plan, image);
  if (fault === undefined) return { ...result, image };
  throw new OperatorError(`the result of Job ${name} does not fit image ${image.id}: ${fault}`, { code: 'Conflict' });
}

/** Whether the cause may go away without an edit. */
function mayPass(error: unknown): boolean {
  return error instanceof OperatorError && error.retry.kind === 'backoff';
}

/** The API server rejects the object: a quota, an admission policy or a setting of the installation is the cause, and may change. */
function asRefusal(error: unknown, what: string): unknown {
  if (!isRejected(error)) return error;
  return new OperatorError(`${what} is rejected: ${error.message}`, {
    code: 'TransferPodRefused',
    cause: error,
    ...responseFieldsOf(error),
  });
}

/** The newest Job of each key. Others, and those without a run, are not taken over. */
export function sorted(present: readonly TransferJob[]): {
  kept: { job: TransferJob; run: TransferRun }[];
  dropped: TransferJob[];
} {
  const newestFirst = present.toSorted((a, b) => createdAt(b) - createdAt(a));
  const kept = new Map<string, { job: TransferJob; run: TransferRun }>();
  const dropped: TransferJob[] = [];
  for (const job of newestFirst) {
    const begun = runOf(job);
    if (begun === undefined || kept.has(begun.key)) dropped.push(job);
    else kept.set(begun.key, { job, run: { key: begun.key, plan: begun.plan } });
  }
  return { kept: [...kept.values()], dropped };
}

function createdAt({ metadata }: TransferJob): number {
  return metadata.creationTimestamp === undefined ? 0 : Date.parse(metadata.creationTimestamp);
}

function suffixOf(random: Random): string {
  return Math.floor(random() * 36 ** 5)
    .toString(36)
    .padStart(5, '0');
}
