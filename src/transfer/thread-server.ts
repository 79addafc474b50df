/**
 * The server in the transfer thread: receives runs from a port, hands them to an executor and reports back.
 *
 * Guarantees: every run gets exactly one result or error; a change of phase is reported at once, other progress at an interval;
 * every message can be cloned; before an uncaught error ends the thread, the run that has caused it is named.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { MessagePort } from 'node:worker_threads';
import type { EgressPair, EgressRules } from '../http/egress.ts';
import type { ChangingTrust } from '../http/trust.ts';
import type { Clock } from '../lib/clock.ts';
import type { DownloadsOfThread } from '../source/parallel/downloads.ts';
import type { Asking, Known } from '../source/resolve/resolve.ts';
import { type EncodedError, encodeError } from './error-codec.ts';
import type { Asker, Runner, TransferAccess } from './executor.ts';
import type { TransferPlan, TransferProgress, TransferResult } from './plan.ts';
import type { MemoryRequest, MemoryResponse, RemoteMemory } from './thread-memory.ts';
import type { RemoteTokens, TokenResponse, TokenWish } from './thread-tokens.ts';

/** Start-up data of the thread. */
export interface ThreadData {
  egress: EgressPair<EgressRules>;
  /** The memory of the write fence (`http/fence.ts`). Undefined if there is none. */
  fence: SharedArrayBuffer | undefined;
  downloads: DownloadsOfThread;
}

export type ToThread =
  | { kind: 'run'; id: number; plan: TransferPlan; access: TransferAccess }
  | { kind: 'ask'; id: number; asking: Asking }
  | { kind: 'cancel'; id: number }
  /** The certificates of the installation, for later connections. */
  | { kind: 'trust'; certificates: readonly string[] }
  | MemoryResponse
  | TokenResponse
  /** Cancel all runs, close resources, exit. */
  | { kind: 'close' }
  /** Liveness probe. */
  | { kind: 'ping' };

export type FromThread =
  | { kind: 'progress'; id: number; progress: TransferProgress }
  | { kind: 'succeeded'; id: number; result: TransferResult }
  | { kind: 'answered'; id: number; known: Known }
  | { kind: 'failed'; id: number; error: EncodedError }
  /** An uncaught error of this run ends the thread. */
  | { kind: 'culprit'; id: number }
  | MemoryRequest
  | TokenWish
  /** It is alive: once at its start, and after each ping. */
  | { kind: 'pong' };

const progressMs = 200;

export interface ServeOptions {
  clock: Clock;
  trust: ChangingTrust;
  memory?: RemoteMemory;
  tokens?: RemoteTokens;
  ask?: Asker['ask'];
}

/** Serves until either side closes the port. */
export function serveExecutor(
  port: MessagePort,
  executor: Runner,
  { clock, trust, memory, tokens, ask }: ServeOptions,
): void {
  const running = new Map<number, AbortController>();
  const current = new AsyncLocalStorage<number>();
  const send = (message: FromThread) => port.postMessage(message);
  process.on('uncaughtExceptionMonitor', () => {
    const id = current.getStore();
    if (id !== undefined) send({ kind: 'culprit', id });
  });

  async function run({ id, plan, access }: Extract<ToThread, { kind: 'run' }>): Promise<void> {
    const controller = new AbortController();
    running.set(id, controller);
    const reporter = throttle(clock, (progress) => send({ kind: 'progress', id, progress }));
    try {
      const options = { signal: controller.signal, onProgress: reporter.report };
      const result = await executor.run(plan, access, options);
      reporter.flush();
      send({ kind: 'succeeded', id, result });
    } catch (error) {
      reporter.flush();
      send({ kind: 'failed', id, error: encodeError(error) });
    } finally {
      running.delete(id);
    }
  }

  async function answer({ id, asking }: Extract<ToThread, { kind: 'ask' }>): Promise<void> {
    const controller = new AbortController();
    running.set(id, controller);
    try {
      if (ask === undefined) throw new TypeError('this thread runs transfers only');
      send({ kind: 'answered', id, known: await ask(asking, controller.signal) });
    } catch (error) {
      send({ kind: 'failed', id, error: encodeError(error) });
    } finally {
      running.delete(id);
    }
  }

  async function close(): Promise<void> {
    for (const controller of running.values()) controller.abort(new Error('the thread is closed'));
    await executor.close();
    port.close();
  }

  port.on('message', (message: ToThread) => {
    switch (message.kind) {
      case 'run':
        return void current.run(message.id, run, message);
      case 'ask':
        return void current.run(message.id, answer, message);
      case 'trust':
        return trust.set(message.certificates);
      case 'memory':
      case 'spare':
        return memory?.receive(message);
      case 'token':
        return tokens?.receive(message);
      case 'cancel':
        return running.get(message.id)?.abort(new Error('cancelled'));
      case 'close':
        return void close();
      case 'ping':
        return send({ kind: 'pong' });
    }
  });
  send({ kind: 'pong' });
}

/** Sends the first report and each change of phase at once, the others at an interval. */
function throttle(clock: Clock, send: (progress: TransferProgress) => void) {
  let sent: TransferProgress | undefined;
  let latest: TransferProgress | undefined;
  let cancelTimer: (() => void) | undefined;
  const flush = () => {
    cancelTimer?.();
    cancelTimer = undefined;
    if (latest !== undefined && latest !== sent) send(latest);
    sent = latest;
  };
  return {
    report(progress: TransferProgress) {
      latest = progress;
      if (progress.phase !== sent?.phase) flush();
      else cancelTimer ??= clock.schedule(progressMs, flush);
    },
    flush,
  };
}
