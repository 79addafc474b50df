/**
 * Runs plans at once, as the operator does, and measures what that costs this process. It is a process of its own, so that the
 * figures hold nothing else. Takes its task as JSON from standard input, and prints the figures as JSON.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { text } from 'node:stream/consumers';
import { systemClock } from '../src/lib/clock.ts';
import type { TransferAccess } from '../src/transfer/executor.ts';
import type { TransferPlan } from '../src/transfer/plan.ts';
import { createThreadExecutor } from '../src/transfer/thread-executor.ts';
import { type Figures, peakRssMiB } from './figures.ts';

export interface Task {
  access: TransferAccess;
  /** Run first and alone: the thread is up and the session open after it. */
  first: TransferPlan;
  plans: TransferPlan[];
}

/**
 * The histogram counts the interval between its own samples too. Each sample wakes the process, which costs processor time that the transfer
 * does not need.
 */
const sampleMs = 20;

const task: Task = JSON.parse(await text(process.stdin));
const loopback = { allow: ['127.0.0.0/8'], deny: [] };
const executor = createThreadExecutor({ egress: { sources: loopback, clouds: loopback }, clock: systemClock });
const { signal } = new AbortController();
const run = (plan: TransferPlan) => executor.run(plan, task.access, { signal, onProgress: () => {} });
await run(task.first);
const delay = monitorEventLoopDelay({ resolution: sampleMs });
delay.enable();
const start = performance.now();
const before = process.cpuUsage();
await Promise.all(task.plans.map(run));
const seconds = (performance.now() - start) / 1000;
const { user, system } = process.cpuUsage(before);
delay.disable();
await executor.close();
const figures: Figures = {
  seconds,
  cpuSeconds: (user + system) / 1e6,
  peakRssMiB: peakRssMiB('self'),
  loopDelayP99Ms: Math.max(0, delay.percentile(99) / 1e6 - sampleMs),
};
process.stdout.write(JSON.stringify(figures));
