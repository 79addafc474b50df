/**
 * Runs plans as the operator does, and measures what that costs this process. It is a process of its own, so that the figures hold nothing
 * else, and goes on between the rounds, as an operator does. Each line of its input is a JSON object: first a Task, then the plans of each
 * round. Its output is a line of figures for each round.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { systemClock } from '../src/lib/clock.ts';
import type { TransferAccess } from '../src/transfer/executor.ts';
import type { TransferPlan } from '../src/transfer/plan.ts';
import { createThreadExecutor } from '../src/transfer/thread-executor.ts';
import { type Figures, peakRssMiB } from './figures.ts';

export interface Task {
  access: TransferAccess;
  /** Run first and alone: the thread is up and the session open after it. */
  first: TransferPlan;
}

/**
 * The histogram counts the interval between its own samples too. Each sample wakes the process, which costs processor time that the transfer
 * does not need.
 */
const sampleMs = 20;

const loopback = { allow: ['127.0.0.0/8'], deny: [] };
const executor = createThreadExecutor({ egress: { sources: loopback, clouds: loopback }, clock: systemClock });
const { signal } = new AbortController();

async function measured(
  plans: readonly TransferPlan[],
  run: (plan: TransferPlan) => Promise<unknown>,
): Promise<Figures> {
  const delay = monitorEventLoopDelay({ resolution: sampleMs });
  delay.enable();
  const start = performance.now();
  const before = process.cpuUsage();
  await Promise.all(plans.map(run));
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(before);
  delay.disable();
  return {
    seconds,
    cpuSeconds: (user + system) / 1e6,
    peakRssMiB: peakRssMiB('self'),
    loopDelayP99Ms: Math.max(0, delay.percentile(99) / 1e6 - sampleMs),
  };
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { access, first }: Task = JSON.parse((await lines.next()).value ?? '');
const run = (plan: TransferPlan) => executor.run(plan, access, { signal, onProgress: () => {} });
await run(first);
for await (const line of lines) process.stdout.write(`${JSON.stringify(await measured(JSON.parse(line), run))}\n`);
await executor.close();
