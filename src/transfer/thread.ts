/**
 * The thread that moves bytes, as a program of its own: hashing and decompression never hold up who decides. It is bundled
 * to a file beside the command's, without the client of Kubernetes and all else that only the command needs.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { createEgressPolicy } from '../http/egress.ts';
import { fenceOf, mayAlwaysWrite } from '../http/fence.ts';
import { systemClock } from '../lib/clock.ts';
import { createInlineExecutor } from './inline.ts';
import type { ThreadData } from './messages.ts';
import { serveExecutor } from './serve.ts';

if (parentPort === null) throw new Error('this file runs as a worker thread only');
const { egress, fence }: ThreadData = workerData;
const executor = createInlineExecutor({
  egress: createEgressPolicy(egress),
  mayWrite: fence === undefined ? mayAlwaysWrite : fenceOf(fence, systemClock),
  clock: systemClock,
  random: Math.random,
});
serveExecutor(parentPort, executor, systemClock);
