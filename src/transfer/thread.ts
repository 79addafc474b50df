/**
 * A worker thread that runs transfers.
 *
 * Guarantees: a thread that ends (uncaught error, heap exhausted, not responding) rejects its runs with ThreadEnded; the process
 * survives. A run settles after the thread has ended, so no part of it is active then.
 */
import type { EgressPair, EgressRules } from '../http/egress.ts';
import { createTrust, type Trust } from '../http/trust.ts';
import type { Clock } from '../lib/clock.ts';
import { describe } from '../lib/errors.ts';
import type { MemoryBudget } from '../lib/memory-budget.ts';
import { startWorker, threadProgram } from '../lib/thread-program.ts';
import { noServiceAccounts, type ServiceAccountTokens } from '../openstack/service-account.ts';
import type { SharedDownloads } from '../source/parallel/downloads.ts';
import type { Asking, Known } from '../source/resolve/resolve.ts';
import { decodeError } from './error-codec.ts';
import type { ExecuteOptions, TransferAccess } from './executor.ts';
import type { TransferPlan, TransferResult } from './plan.ts';
import { serveMemory } from './thread-memory.ts';
import type { FromThread, ThreadData, ToThread } from './thread-server.ts';
import { serveTokens } from './thread-tokens.ts';

export interface ThreadOptions {
  egress: EgressPair<EgressRules>;
  /** The certificates of the installation; a run uses those of its start or later ones. Default: none. */
  trust?: Trust;
  /** The memory of the write fence that the thread obeys (`http/fence.ts`). Default: none. */
  fence?: SharedArrayBuffer | undefined;
  /** The memory that the decoders of all threads share. */
  memory: Pick<MemoryBudget, 'share' | 'spare'>;
  /** What the downloads of all threads share. */
  downloads: SharedDownloads;
  /** For sign-ins in the thread. Default: there are no ServiceAccounts. */
  serviceAccountTokens?: ServiceAccountTokens | undefined;
  clock: Clock;
  /** The program of the thread. Default: that of this program. */
  entry?: URL;
  /** Limit for JavaScript objects of the thread, without the bytes that it transfers. */
  heapMiB: number;
}

export interface Thread {
  /** Rejects with the first cause, with the reason of the signal, or with ThreadEnded. */
  run(plan: TransferPlan, access: TransferAccess, options: ExecuteOptions): Promise<TransferResult>;
  /** As `run`. */
  ask(asking: Asking, signal: AbortSignal): Promise<Known>;
  /** Cancels all runs. Resolves when the thread has ended. */
  close(): Promise<void>;
}

/** Which of its runs ended a thread: this one, another one, or it is not known. */
export type Culprit = 'this' | 'another' | 'unknown';

/** The error of a run whose thread has ended before it. */
export class ThreadEnded extends Error {
  readonly culprit: Culprit;

  constructor(why: string, culprit: Culprit, cause: unknown) {
    super(why, { cause });
    this.name = 'ThreadEnded';
    this.culprit = culprit;
  }
}

const files = { source: './thread-main.ts', bundled: 'transfer-thread.js' };

/**
 * Size of the young generation. It is small on purpose: every byte passes through a buffer of its own. Buffers that die in a small
 * young generation cost next to nothing. In a larger one they outlive it, and V8 collects the whole heap because of them, which
 * took a third of the processor time.
 */
const youngHeapMiB = 2;
/**
 * Interval of the liveness probe while transfers run. The thread is terminated after a number of probes without a response. They
 * are counted, not timed, because a process that was suspended has not received anything for long either.
 */
const pingMs = 10_000;
const maxMissedPings = 3;
/** Until its first message: to load its program may take minutes on a busy machine. */
const maxMissedPingsAtStart = 30;
/** For a cancelled run to settle, and for a thread to close its resources. */
const graceMs = 10_000;

type Done = Extract<FromThread, { kind: 'succeeded' | 'answered' }>;

interface Run {
  options: ExecuteOptions;
  resolve: (done: Done) => void;
  reject: (error: unknown) => void;
}

interface End {
  why: string;
  cause: unknown;
}

/** `onEnd` is called once, as soon as the thread gets no more runs, with the cause if there is one. */
export function startThread(options: ThreadOptions, onEnd: (why: string | undefined) => void): Thread {
  const {
    egress,
    trust = createTrust(),
    fence,
    memory,
    downloads,
    serviceAccountTokens = noServiceAccounts,
    clock,
    entry,
    heapMiB,
  } = options;
  const own = downloads.join();
  const workerData: ThreadData = { egress, fence, downloads: own };
  const program = entry === undefined ? threadProgram(import.meta.url, files) : { program: entry, isText: false };
  const worker = startWorker(program, {
    name: 'transfers',
    workerData,
    resourceLimits: { maxOldGenerationSizeMb: heapMiB, maxYoungGenerationSizeMb: youngHeapMiB },
  });
  const runs = new Map<number, Run>();
  let lastID = 0;
  let sentCertificates: readonly string[] = [];
  let missedPings = 0;
  let permittedPings = maxMissedPingsAtStart;
  let cancelPing = () => {};
  let end: End | undefined;
  let culprit: number | undefined;
  let isClosing = false;
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  const send = (message: ToThread) => worker.postMessage(message);
  const shares = serveMemory(memory, send);
  const tokens = serveTokens(serviceAccountTokens, send);

  function stop(why: string, cause?: unknown): void {
    if (end !== undefined) return;
    end = { why, cause };
    cancelPing();
    onEnd(isClosing ? undefined : why);
    void worker.terminate();
  }

  function ping(): void {
    if (missedPings >= permittedPings) {
      stop(`it did not respond for ${(permittedPings * pingMs) / 1000} s`);
      return;
    }
    missedPings++;
    send({ kind: 'ping' });
    cancelPing = clock.schedule(pingMs, ping);
  }

  function settle(id: number): Run | undefined {
    const run = runs.get(id);
    runs.delete(id);
    if (runs.size === 0) cancelPing();
    return run;
  }

  /** If the run was cancelled or the thread closed, that is the cause of any error which follows. */
  function causeOf({ options: { signal } }: Run, error: Error): unknown {
    if (signal.aborted) return signal.reason;
    return isClosing ? new ThreadEnded('it was closed', 'another', error) : error;
  }

  function culpritFor(id: number): Culprit {
    if (runs.size === 1) return 'this';
    if (culprit === undefined || !runs.has(culprit)) return 'unknown';
    return culprit === id ? 'this' : 'another';
  }

  worker.on('message', (message: FromThread) => {
    missedPings = 0;
    permittedPings = maxMissedPings;
    switch (message.kind) {
      case 'progress':
        return runs.get(message.id)?.options.onProgress(message.progress);
      case 'succeeded':
      case 'answered':
        return settle(message.id)?.resolve(message);
      case 'failed': {
        const run = settle(message.id);
        return run?.reject(causeOf(run, decodeError(message.error)));
      }
      case 'culprit':
        culprit = message.id;
        return;
      case 'wantMemory':
      case 'wantSpare':
      case 'returnMemory':
        return shares.receive(message);
      case 'wantToken':
        return tokens.receive(message);
      case 'pong':
        return;
    }
  });
  worker.on('error', (error) => stop(describe(error), error));
  worker.on('messageerror', (error) => stop(describe(error), error));
  worker.on('exit', (code) => {
    stop(`it exited with code ${code}`);
    shares.returnAll();
    downloads.leave(own.thread);
    tokens.end();
    const { why, cause } = end ?? { why: '', cause: undefined };
    const left = [...runs].map(([id, run]) => ({ run, error: new ThreadEnded(why, culpritFor(id), cause) }));
    runs.clear();
    for (const { run, error } of left) run.reject(error);
  });

  function begin(message: (id: number) => ToThread, runOptions: ExecuteOptions): Promise<Done> {
    const id = ++lastID;
    const { signal } = runOptions;
    const { promise, resolve, reject } = Promise.withResolvers<Done>();
    const certificates = trust.current();
    if (certificates !== sentCertificates) send({ kind: 'trust', certificates });
    sentCertificates = certificates;
    send(message(id));
    if (runs.size === 0) {
      missedPings = 0;
      cancelPing = clock.schedule(pingMs, ping);
    }
    runs.set(id, { options: runOptions, resolve, reject });
    let cancelGrace = () => {};
    const onAbort = () => {
      if (end !== undefined) return;
      send({ kind: 'cancel', id });
      cancelGrace = clock.schedule(graceMs, () => {
        culprit = id;
        stop('it did not end a cancelled transfer');
      });
    };
    signal.addEventListener('abort', onAbort, { once: true });
    return promise.finally(() => {
      cancelGrace();
      signal.removeEventListener('abort', onAbort);
    });
  }

  return {
    async run(plan, access, runOptions) {
      const done = await begin((id) => ({ kind: 'run', id, plan, access }), runOptions);
      if (done.kind !== 'succeeded') throw new TypeError('the thread has mistaken a transfer for a question');
      return done.result;
    },

    async ask(asking, signal) {
      const done = await begin((id) => ({ kind: 'ask', id, asking }), { signal, onProgress: () => {} });
      if (done.kind !== 'answered') throw new TypeError('the thread has mistaken a question for a transfer');
      return done.known;
    },

    async close() {
      if (end === undefined && !isClosing) {
        isClosing = true;
        send({ kind: 'close' });
      }
      const cancelGrace = clock.schedule(graceMs, () => void worker.terminate());
      await exited;
      cancelGrace();
    },
  };
}
