/**
 * The entry of the transfer thread, which keeps hashing and decompression off the main thread. It is bundled into a file of its own
 * next to that of the command, without the Kubernetes client and other code that only the command needs.
 */
import { cpus } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { createEgressPolicy } from '../http/egress.ts';
import { fenceOf, mayAlwaysWrite } from '../http/fence.ts';
import { createTrust } from '../http/trust.ts';
import { systemClock } from '../lib/clock.ts';
import { downloadsOf, type ProcessorTimes } from '../source/parallel/downloads.ts';
import { createInlineExecutor } from './inline.ts';
import { createRemoteMemory } from './thread-memory.ts';
import { type FromThread, serveExecutor, type ThreadData } from './thread-server.ts';
import { createRemoteTokens } from './thread-tokens.ts';

/** In steps of about 10 ms. */
function timesOfProcessors(): ProcessorTimes {
  const all = cpus().map(({ times }) => times);
  const sum = (some: (times: (typeof all)[number]) => number) => all.reduce((total, times) => total + some(times), 0);
  return { idleMs: sum(({ idle }) => idle), busyMs: sum(({ user, nice, sys, irq }) => user + nice + sys + irq) };
}

const port = parentPort;
if (port === null) throw new Error('this file runs as a worker thread only');
const { egress, fence, downloads }: ThreadData = workerData;
const trust = createTrust();
const send = (message: FromThread) => port.postMessage(message);
const memory = createRemoteMemory(send, systemClock);
const tokens = createRemoteTokens(send);
const executor = createInlineExecutor({
  trust,
  memory,
  helpers: memory.helpers,
  downloads: downloadsOf(downloads, systemClock, timesOfProcessors),
  serviceAccountTokens: tokens.tokens,
  egress: { sources: createEgressPolicy(egress.sources), clouds: createEgressPolicy(egress.clouds) },
  mayWrite: fence === undefined ? mayAlwaysWrite : fenceOf(fence, systemClock),
  clock: systemClock,
  random: Math.random,
});
serveExecutor(port, executor, { clock: systemClock, trust, memory, tokens, ask: executor.ask });
