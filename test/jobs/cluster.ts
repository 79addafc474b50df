/**
 * A cluster in memory: the API server as far as the executor of Jobs uses it, with stores that follow it, at once or when the test
 * says so.
 */
import type { Image } from '../../src/glance/image.ts';
import { createJobExecutor } from '../../src/jobs/executor.ts';
import { byJob, jobType, podType, type TransferJob, type TransferPod } from '../../src/jobs/objects.ts';
import { runFilesOf } from '../../src/jobs/run-files.ts';
import { KubernetesError } from '../../src/kubernetes/errors.ts';
import { createStore } from '../../src/kubernetes/reflector.ts';
import type { KubernetesObject, ResourceType, WatchScope } from '../../src/kubernetes/resource.ts';
import type { Clock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/lib/log.ts';
import type { TransferProgress } from '../../src/transfer/plan.ts';
import { resultOf } from '../transfer/plans.ts';
import { anyInput, installation, podManifest } from './objects.ts';

const refused = (reason: string, httpStatus: number) => new KubernetesError(reason, { reason, httpStatus });

/** `now`: the time of the API server. Default: that of the operator. */
export function createCluster(clock: Clock, now = clock.now) {
  const jobs = new Map<string, TransferJob>();
  /** By the uid of their Job. */
  const pods = new Map<string, ReturnType<typeof podManifest>>();
  const secrets = new Map<string, string>();
  const calls: string[] = [];
  const followers = new Set<Follower>();
  /** The error of the next call of this kind, after the server has carried it out. */
  const lost = new Map<string, Error>();
  /** The error of each call of this kind, which is not carried out. */
  const failing = new Map<string, Error>();
  /** Until it resolves, a creation is under way. */
  let held = Promise.resolve();
  /** A pod that does not end when it is deleted. */
  let isNodeLost = false;
  /** In Glance. */
  let image: Image = resultOf(7).image;
  /** A Job that a finalizer keeps when it is deleted. */
  let isJobKept = false;
  let version = 1;

  interface Follower {
    applied(kind: 'job' | 'pod', object: TransferJob | TransferPod): void;
    deleted(kind: 'job' | 'pod', object: TransferJob | TransferPod): void;
  }

  const refuse = (call: string): void => {
    const failure = failing.get(call);
    if (failure !== undefined) throw failure;
  };
  const answer = <T>(call: string, value: T): T => {
    const failure = lost.get(call);
    lost.delete(call);
    if (failure !== undefined) throw failure;
    return value;
  };

  function putPod(status: object, metadata: object = {}, job = [...jobs.values()].at(-1)): void {
    if (job === undefined) return;
    const { uid } = job.metadata;
    const pod = podManifest(status, {
      name: `${job.metadata.name}-pod`,
      uid: `pod-of-${uid}`,
      resourceVersion: String(++version),
      creationTimestamp: now().toISOString(),
      labels: { 'batch.kubernetes.io/controller-uid': uid },
      ...metadata,
    });
    pods.set(uid, pod);
    for (const follower of followers) follower.applied('pod', podType.parse(pod));
  }

  /** The Job controller sees the end of its newest Job. */
  function endJob(status: Pick<TransferJob, 'conditions'>): void {
    const job = [...jobs.values()].at(-1);
    if (job === undefined) return;
    const metadata = { ...job.metadata, resourceVersion: String(++version) };
    const ended = { ...job, ...status, metadata };
    jobs.set(metadata.name, ended);
    for (const follower of followers) follower.applied('job', ended);
  }

  function removePod(uid: string): void {
    const pod = pods.get(uid);
    if (pod === undefined) return;
    pods.delete(uid);
    for (const follower of followers) follower.deleted('pod', podType.parse(pod));
  }

  const client = {
    async create<T extends KubernetesObject>(
      type: ResourceType<T>,
      object: { metadata: { name: string; namespace?: string | undefined }; [field: string]: unknown },
    ): Promise<T> {
      const { name } = object.metadata;
      calls.push(`create ${type.kind}`);
      refuse(`create ${type.kind}`);
      const known = type.kind === 'Job' ? jobs : secrets;
      if (known.has(name)) throw refused('AlreadyExists', 409);
      const metadata = {
        ...object.metadata,
        uid: `uid-${++version}`,
        resourceVersion: String(version),
        creationTimestamp: now().toISOString(),
      };
      const made = { ...object, metadata };
      if (type.kind === 'Secret') secrets.set(name, JSON.stringify(object));
      else {
        const job = jobType.parse(made);
        jobs.set(name, job);
        for (const follower of followers) follower.applied('job', job);
      }
      return answer(`create ${type.kind}`, type.parse(made));
    },
    async get<T extends KubernetesObject>(type: ResourceType<T>, { name }: { name: string }): Promise<T | undefined> {
      calls.push(`get ${type.kind}`);
      refuse(`get ${type.kind}`);
      const job = jobs.get(name);
      return job === undefined
        ? undefined
        : type.parse({ ...job, spec: { suspend: job.suspend }, status: { conditions: job.conditions } });
    },
    async listPage<T extends KubernetesObject>(type: ResourceType<T>, { labelSelector = '' }: WatchScope) {
      calls.push(`list ${type.kind}`);
      const pod = pods.get(labelSelector.slice(labelSelector.indexOf('=') + 1));
      const items = pod === undefined ? [] : [{ kind: 'readable' as const, object: type.parse(pod) }];
      return answer(`list ${type.kind}`, { items, resourceVersion: String(version) });
    },
    async deleteWithOwned<T extends KubernetesObject>(type: ResourceType<T>, { metadata }: T): Promise<void> {
      calls.push(`delete ${type.kind}`);
      refuse(`delete ${type.kind}`);
      const job = jobs.get(metadata.name);
      if (job === undefined) throw refused('NotFound', 404);
      if (job.metadata.uid !== metadata.uid) throw refused('Conflict', 409);
      if (isJobKept) {
        const { deletionTimestamp = now().toISOString() } = job.metadata;
        jobs.set(metadata.name, { ...job, metadata: { ...job.metadata, deletionTimestamp } });
        return answer('delete Job', undefined);
      }
      jobs.delete(metadata.name);
      for (const name of secrets.keys()) if (name.startsWith(metadata.name)) secrets.delete(name);
      for (const follower of followers) follower.deleted('job', job);
      if (!isNodeLost) setImmediate(() => removePod(metadata.uid));
      return answer('delete Job', undefined);
    },
  };

  /** An executor with stores of its own. `goStale`: its watches, or that of pods, report nothing until `relist`. */
  function process() {
    const stores = {
      jobs: createStore<TransferJob>({ namespaces: [installation.namespace], log: silentLogger }),
      pods: createStore<TransferPod>({
        namespaces: [installation.namespace],
        indexes: { [byJob]: (item) => (item.kind === 'readable' ? [item.object.job ?? ''] : []) },
        log: silentLogger,
      }),
    };
    let stale: 'none' | 'pods' | 'all' = 'none';
    let isAlive = true;
    const relist = () => {
      stale = 'none';
      const all = <T>(objects: Iterable<T>) => [...objects].map((object) => ({ kind: 'readable' as const, object }));
      stores.jobs.handle({ kind: 'restarted', items: all(jobs.values()) }, installation.namespace);
      const parsed = [...pods.values()].map((pod) => podType.parse(pod));
      stores.pods.handle({ kind: 'restarted', items: all(parsed) }, installation.namespace);
    };
    const hears = (kind: 'job' | 'pod') => isAlive && (stale === 'none' || (stale === 'pods' && kind === 'job'));
    const follower: Follower = {
      applied(kind, object) {
        const { resourceVersion } = object.metadata;
        if (!hears(kind)) return;
        if (kind === 'job' && 'suspend' in object)
          stores.jobs.handle({ kind: 'applied', item: { kind: 'readable', object }, resourceVersion });
        if (kind === 'pod' && 'phase' in object)
          stores.pods.handle({ kind: 'applied', item: { kind: 'readable', object }, resourceVersion });
      },
      deleted(kind, object) {
        const { resourceVersion } = object.metadata;
        if (!hears(kind)) return;
        if (kind === 'job' && 'suspend' in object)
          stores.jobs.handle({ kind: 'deleted', item: { kind: 'readable', object }, resourceVersion });
        if (kind === 'pod' && 'phase' in object)
          stores.pods.handle({ kind: 'deleted', item: { kind: 'readable', object }, resourceVersion });
      },
    };
    followers.add(follower);
    relist();
    const progress = new Map<string, (progress: TransferProgress) => void>();
    const never: Promise<never> = new Promise(() => {});
    /** A process that was killed sends nothing. */
    const executor = createJobExecutor({
      installation,
      client: {
        /** An abort ends the wait for a creation, and not the creation. */
        async create(type, object, signal) {
          const aborted = new Promise<never>((_resolve, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason), { once: true });
          });
          const created = held.then(() => (isAlive ? client.create(type, object) : never));
          return Promise.race([created, aborted]);
        },
        get: (type, place) => (isAlive ? client.get(type, place) : never),
        listPage: (type, scope) => (isAlive ? client.listPage(type, scope) : never),
        deleteWithOwned: (type, object) => (isAlive ? client.deleteWithOwned(type, object) : never),
      },
      jobs: stores.jobs,
      pods: stores.pods,
      readAccess: async () => ({ cloud: { cloudsYaml: 'clouds: {}' }, source: {} }),
      filesOf: async () => runFilesOf(anyInput),
      async readImage() {
        calls.push('read image');
        refuse('read image');
        return answer('read image', isAlive ? image : never);
      },
      followProgress(name, listener) {
        progress.set(name, listener);
        return () => void progress.delete(name);
      },
      now,
      clock,
      random: () => 0.5,
      log: silentLogger,
    });
    return {
      executor,
      progress,
      kill() {
        isAlive = false;
        followers.delete(follower);
      },
      goStale(what: 'pods' | 'all' = 'all') {
        stale = what;
      },
      relist,
    };
  }

  return {
    jobs,
    pods,
    secrets,
    calls,
    lost,
    failing,
    hold(until: Promise<void>) {
      held = until;
    },
    showImage(shown: Image) {
      image = shown;
    },
    putPod,
    endJob,
    loseNode() {
      isNodeLost = true;
    },
    keepJobs(keeps: boolean) {
      isJobKept = keeps;
    },
    deleteJob: (job: TransferJob) => client.deleteWithOwned(jobType, job),
    process,
  };
}
