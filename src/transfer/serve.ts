/**
 * The other end of a thread's executor: takes runs from a port and lets an executor do them. Law: every run is answered
 * once, with its result or its error; progress goes out when a phase changes, and else at most so often that it costs nothing.
 */
import type { MessagePort } from 'node:worker_threads';
import type { Clock } from '../lib/clock.ts';
import type { Executor } from './executor.ts';
import type { FromThread, ToThread } from './messages.ts';
import { toPlainError } from './plain-error.ts';
import type { TransferProgress } from './plan.ts';

const progressMs = 200;

/** Until the port is closed, by either side. */
export function serveExecutor(port: MessagePort, executor: Executor, clock: Clock): void {
  const running = new Map<number, AbortController>();
  const send = (message: FromThread) => port.postMessage(message);

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
      send({ kind: 'failed', id, error: toPlainError(error) });
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
        return void run(message);
      case 'cancel':
        return running.get(message.id)?.abort(new Error('cancelled'));
      case 'close':
        return void close();
      case 'ping':
        return send({ kind: 'pong' });
    }
  });
}

/** Tells the first report and each change of phase at once, the others at an interval. */
function throttle(clock: Clock, tell: (progress: TransferProgress) => void) {
  let told: TransferProgress | undefined;
  let latest: TransferProgress | undefined;
  let cancelTimer: (() => void) | undefined;
  const flush = () => {
    cancelTimer?.();
    cancelTimer = undefined;
    if (latest !== undefined && latest !== told) tell(latest);
    told = latest;
  };
  return {
    report(progress: TransferProgress) {
      latest = progress;
      if (progress.phase !== told?.phase) flush();
      else cancelTimer ??= clock.schedule(progressMs, flush);
    },
    flush,
  };
}
