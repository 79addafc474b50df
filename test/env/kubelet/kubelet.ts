/**
 * The nodes that the test environment lacks: a small kubelet binds the Pods of one namespace and runs the container of each as a
 * process of this machine. It obeys command, arguments, variables, volumes of Secrets, ConfigMaps and tokens, the users of the
 * security context, the termination message and the grace period.
 *
 * Guarantees: every process ends with the test. Failures of nodes and of image pulls are simulated: a test sets them by hand. Node
 * selectors, tolerations, resources and priorities are not obeyed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Kubernetes } from '../kubernetes.ts';
import { root } from '../parts.mjs';
import { createProcesses } from '../processes.ts';
import { eventually } from '../wait.ts';
import { type RunningContainer, startContainer, type Terminated } from './container.ts';
import type { Pod } from './pod.ts';
import {
  type EndReasons,
  endedStatus,
  lostStatus,
  runningStatus,
  unschedulableStatus,
  waitingStatus,
} from './status.ts';
import { NotMounted } from './volumes.ts';
import { watchPods } from './watch.ts';

export interface KubeletOptions {
  kubernetes: Kubernetes;
  namespace: string;
  /** What a container without `command` runs. Default: the operator from its sources. */
  entrypoint?: readonly string[];
  /** Default: `node-a` and `node-b`. */
  nodes?: readonly string[];
}

/** Why Pods do not start. */
export type Obstacle =
  /** No node has room. */
  | { kind: 'Unschedulable'; message?: string }
  /** Of the image, such as ErrImagePull, ImagePullBackOff or InvalidImageName; or of the container, such as CreateContainerError. */
  | { kind: 'Waiting'; reason: string; message?: string };

export interface KubeletPod {
  readonly name: string;
  readonly uid: string;
  /** Undefined until it is bound. */
  readonly node: string | undefined;
  readonly state: 'waiting' | 'running' | 'ended';
  /** Of the process. */
  readonly pid: number | undefined;
  /** What the container has printed. */
  log(): string;
}

export interface Kubelet extends AsyncDisposable {
  /** All Pods that it has seen in their order, those that are gone too. */
  readonly pods: readonly KubeletPod[];
  /** The first Pod whose process runs and whose name begins with this, such as that of a Job. */
  running(prefix: string): Promise<KubeletPod>;
  /** Pods whose name begins with this and which do not run yet wait for `release`. */
  hold(prefix: string, obstacle: Obstacle): { release: () => void };
  /** Sends a signal to the process, as a crash or the kernel does. With `OOMKilled` it is SIGKILL with this reason. */
  kill(name: string, how: NodeJS.Signals | 'OOMKilled'): void;
  /** Evicts the Pod because its node has too little memory or disk: the process gets SIGKILL, and the Pod fails. */
  evictUnderPressure(name: string): void;
  /**
   * The node does not report any more, and a node controller deletes its Pods, which stay `Terminating`. The processes continue, as
   * on a node that only its network has lost, or end.
   */
  loseNode(node: string, processes: 'continue' | 'end'): Promise<void>;
  /** The node is removed, and with it the Pods that are left: they fail and are gone. Their processes end only with `stop`. */
  removeNode(node: string): Promise<void>;
  /** Ends all processes. */
  stop(): Promise<void>;
}

interface Entry {
  pod: Pod;
  node: string | undefined;
  state: KubeletPod['state'];
  container: RunningContainer | undefined;
  reasons: EndReasons;
  /** Aborts when it is being deleted, or gone. */
  readonly deleted: AbortController;
}

const defaultEntrypoint = [process.execPath, `${root}/src/main.ts`];

export function startKubelet(options: KubeletOptions): Kubelet {
  const { kubernetes, namespace, entrypoint = defaultEntrypoint, nodes = ['node-a', 'node-b'] } = options;
  const processes = createProcesses();
  const entries = new Map<string, Entry>();
  const lost = new Set<string>();
  const holds = new Set<{ prefix: string; obstacle: Obstacle }>();
  const stopped = new AbortController();
  const work = new Set<Promise<void>>();

  const pathOf = ({ metadata }: Pod) => `/api/v1/namespaces/${namespace}/pods/${metadata.name}`;
  const isLost = ({ node }: Entry) => node !== undefined && lost.has(node);

  /** A Pod that is gone has no status. */
  async function report(entry: Entry, status: object): Promise<void> {
    const body = { metadata: { uid: entry.pod.metadata.uid }, status };
    const contentType = 'application/strategic-merge-patch+json';
    const answer = await kubernetes.request('PATCH', `${pathOf(entry.pod)}/status`, body, { contentType });
    if (answer.status !== 404 && answer.status !== 409) answer.ok();
  }

  async function remove({ pod }: Entry): Promise<void> {
    const preconditions = { uid: pod.metadata.uid };
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0, preconditions };
    await kubernetes.request('DELETE', pathOf(pod), body);
  }

  const holdOf = (entry: Entry) => [...holds].find(({ prefix }) => entry.pod.metadata.name.startsWith(prefix));
  const pause = (entry: Entry) =>
    sleep(100, undefined, { signal: AbortSignal.any([stopped.signal, entry.deleted.signal]) }).catch(() => {});
  const isOver = (entry: Entry) => stopped.signal.aborted || entry.deleted.signal.aborted;

  /** Resolves once nothing holds the Pod back at this stage. */
  async function heldBack(entry: Entry, kind: Obstacle['kind']): Promise<void> {
    let shown: unknown;
    for (;;) {
      const hold = holdOf(entry);
      if (isOver(entry) || hold?.obstacle.kind !== kind) return;
      if (hold !== shown) await report(entry, obstacleStatus(entry.pod, hold.obstacle));
      shown = hold;
      await pause(entry);
    }
  }

  async function bind(entry: Entry): Promise<void> {
    const free = nodes.filter((node) => !lost.has(node));
    const load = (node: string) =>
      [...entries.values()].filter((each) => each.node === node && each.state !== 'ended').length;
    const [node] = free.sort((a, b) => load(a) - load(b));
    if (node === undefined) throw new Error('all nodes are lost');
    entry.node = entry.pod.spec.nodeName ?? node;
    if (entry.pod.spec.nodeName !== undefined) return;
    const target = { apiVersion: 'v1', kind: 'Node', name: node };
    const { name, uid } = entry.pod.metadata;
    const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name, uid }, target };
    const answer = await kubernetes.request('POST', `${pathOf(entry.pod)}/binding`, binding);
    if (answer.status !== 404 && answer.status !== 409) answer.ok();
  }

  /** Undefined if the Pod is deleted before it runs. */
  async function launch(entry: Entry): Promise<RunningContainer | undefined> {
    let problem = '';
    while (!isOver(entry)) {
      try {
        return await startContainer(processes, kubernetes, entry.pod, entrypoint);
      } catch (error) {
        const isMissing = error instanceof NotMounted;
        const message = error instanceof Error ? error.message : String(error);
        const reason = isMissing ? 'ContainerCreating' : 'CreateContainerError';
        if (message !== problem) await report(entry, waitingStatus(entry.pod, reason, message));
        problem = message;
        await pause(entry);
      }
    }
    return undefined;
  }

  async function follow(entry: Entry): Promise<void> {
    await heldBack(entry, 'Unschedulable');
    if (!isOver(entry)) await bind(entry);
    await heldBack(entry, 'Waiting');
    const container = await launch(entry);
    entry.container = container;
    if (container !== undefined) {
      entry.state = 'running';
      if (!isLost(entry)) await report(entry, runningStatus(entry.pod));
      const end = await terminate(entry, container);
      entry.state = 'ended';
      if (stopped.signal.aborted || isLost(entry)) return;
      await report(entry, endedStatus(entry.pod, end, entry.reasons));
    }
    entry.state = 'ended';
    await aborted(AbortSignal.any([entry.deleted.signal, stopped.signal]));
    if (stopped.signal.aborted || isLost(entry)) return;
    // A Pod that never ran fails before it is gone, or its Job would count on it.
    if (container === undefined) await report(entry, { phase: 'Failed' });
    await remove(entry);
  }

  /** Resolves when the process has ended: by itself, or with SIGTERM and after the grace period with SIGKILL. */
  async function terminate(entry: Entry, container: RunningContainer): Promise<Terminated> {
    const { signal } = entry.deleted;
    await Promise.race([container.exited, aborted(signal)]);
    if (signal.aborted && !isLost(entry)) {
      container.signal('SIGTERM');
      const ended = new AbortController();
      const graceMs = (entry.pod.metadata.deletionGracePeriodSeconds ?? 30) * 1000;
      void sleep(graceMs, undefined, { signal: ended.signal, ref: false }).then(
        () => container.signal('SIGKILL'),
        () => {},
      );
      await container.exited;
      ended.abort();
    }
    return container.exited;
  }

  function seen(pod: Pod): void {
    const known = entries.get(pod.metadata.uid);
    const entry = known ?? newEntry(pod);
    entry.pod = pod;
    if (pod.metadata.deletionTimestamp !== undefined) entry.deleted.abort();
    if (known !== undefined) return;
    entries.set(pod.metadata.uid, entry);
    const followed = follow(entry).catch((error) => {
      if (!stopped.signal.aborted) throw error;
    });
    work.add(followed);
  }

  const gone = (uid: string) => entries.get(uid)?.deleted.abort();
  const watched = watchPods(kubernetes, namespace, { seen, gone }, stopped.signal);

  function entryOf(name: string): Entry {
    const found = [...entries.values()].findLast(({ pod }) => pod.metadata.name === name);
    if (found === undefined) throw new Error(`the kubelet has seen no Pod ${name}`);
    return found;
  }

  const on = (node: string) => [...entries.values()].filter((entry) => entry.node === node && entry.state !== 'ended');

  const kubelet: Kubelet = {
    get pods() {
      return [...entries.values()].map(described);
    },
    running(prefix) {
      const found = () => kubelet.pods.find(({ name, state }) => name.startsWith(prefix) && state === 'running');
      return eventually(found, () => `no Pod ${prefix} runs`);
    },
    hold(prefix, obstacle) {
      const hold = { prefix, obstacle };
      holds.add(hold);
      return { release: () => void holds.delete(hold) };
    },
    kill(name, how) {
      const entry = entryOf(name);
      if (how === 'OOMKilled') entry.reasons = { container: how };
      entry.container?.signal(how === 'OOMKilled' ? 'SIGKILL' : how);
    },
    evictUnderPressure(name) {
      const entry = entryOf(name);
      const message = 'The node was low on resource: memory.';
      entry.reasons = { pod: { reason: 'Evicted', message }, disruption: 'TerminationByKubelet' };
      entry.container?.signal('SIGKILL');
    },
    async loseNode(node, then) {
      lost.add(node);
      for (const entry of on(node)) {
        await report(entry, lostStatus(undefined));
        await kubernetes.request('DELETE', pathOf(entry.pod));
        if (then === 'end') entry.container?.signal('SIGKILL');
      }
    },
    async removeNode(node) {
      for (const entry of [...entries.values()].filter((each) => each.node === node)) {
        await report(entry, lostStatus('Failed'));
        await remove(entry);
      }
    },
    async stop() {
      stopped.abort();
      await processes.stop();
      await Promise.all([watched, ...work]);
    },
    [Symbol.asyncDispose]: () => kubelet.stop(),
  };
  return kubelet;
}

function newEntry(pod: Pod): Entry {
  const node = pod.spec.nodeName;
  return { pod, node, state: 'waiting', container: undefined, reasons: {}, deleted: new AbortController() };
}

function described({ pod, node, state, container }: Entry): KubeletPod {
  const { name, uid } = pod.metadata;
  return { name, uid, node, state, pid: container?.process.pid, log: () => container?.log() ?? '' };
}

function obstacleStatus(pod: Pod, obstacle: Obstacle) {
  if (obstacle.kind === 'Unschedulable')
    return unschedulableStatus(pod, obstacle.message ?? '0/2 nodes are available: 2 Insufficient memory.');
  return waitingStatus(
    pod,
    obstacle.reason,
    obstacle.message ?? `Back-off pulling image "${pod.spec.containers[0].image}"`,
  );
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
