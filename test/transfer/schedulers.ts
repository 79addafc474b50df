/** A scheduler whose runs the test ends. */
import assert from 'node:assert/strict';
import { executorOf } from '../../src/transfer/executor.ts';
import type { TransferObserver } from '../../src/transfer/meter.ts';
import type { TransferPlan, TransferProgress, TransferResult } from '../../src/transfer/plan.ts';
import { createScheduler } from '../../src/transfer/scheduler.ts';
import { createVirtualClock } from '../clock.ts';
import { imageIDOf, type PlanOptions, planOf as planWith } from './plans.ts';

export const planOf = (name: string, options: PlanOptions = {}) => planWith({ imageID: imageIDOf(name), ...options });

export const moved = (bytes: number, total?: number): TransferProgress => ({
  bytes,
  servedBytes: bytes,
  total,
  phase: 'transferring',
});

/** A run under the hand of the test. */
export interface Run {
  plan: TransferPlan;
  signal: AbortSignal;
  onProgress: (progress: TransferProgress) => void;
  finish: (result: TransferResult) => void;
  fail: (error: unknown) => void;
}

export const ample = { total: 100, perNamespace: 100, perCloud: 100, perHost: 100 };

export function setUp(total: number, observer?: TransferObserver) {
  const clock = createVirtualClock();
  const runs: Run[] = [];
  const changes: string[] = [];
  const scheduler = createScheduler({
    executor: executorOf((plan, { signal, onProgress }) => {
      const { promise, resolve, reject } = Promise.withResolvers<TransferResult>();
      runs.push({ plan, signal, onProgress, finish: resolve, fail: reject });
      return promise;
    }),
    limits: { ...ample, total },
    clock,
    onChange: (key) => changes.push(key),
    ...(observer === undefined ? {} : { observer }),
  });
  const runOf = (name: string): Run =>
    runs.findLast(({ plan }) => plan.imageID === imageIDOf(name)) ?? assert.fail(`${name} does not run`);
  const kinds = (...keys: string[]) => keys.map((key) => scheduler.get(key)?.kind);
  return { clock, scheduler, runs, changes, runOf, kinds };
}

/** Lets everything that is ready to happen happen. */
export const settle = () => new Promise((done) => setImmediate(done));
