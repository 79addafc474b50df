/** A process of its own whose memory can be measured: decompresses what comes on its standard input, and says how it went. */
import { readdirSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createMemoryBudget, type MemoryShare } from '../../../src/lib/memory-budget.ts';
import { CompressionError } from '../../../src/source/decompress/errors.ts';
import { decompress } from '../../../src/source/decompress/index.ts';

export interface Measured {
  bytes: number;
  largestPiece: number;
  code: string | undefined;
  /** What the process grew by at most, in MiB. */
  grownMiB: number;
  /** Threads after it, less those before. */
  threads: number;
}

export interface Task {
  maxBytes: number;
  maxRatio: number;
  /** So often it is begun and given up first, after the first piece. */
  abandon?: number;
  /** So many are decompressed at once, in a budget of so many bytes. */
  atOnce?: { count: number; budget: number };
  /** Those come to no end by themselves. */
  stalls?: boolean;
}

const task: Task = JSON.parse(process.argv[2] ?? '');
const file = await buffer(process.stdin);
const threads = () => readdirSync('/proc/self/task').length;
const generous = { maxBytes: 2 ** 40, maxRatio: 1e9 };
const stalled = new Promise<never>(() => {});
const budget = createMemoryBudget(task.atOnce?.budget ?? 2 ** 40);
const open = (limits: { maxBytes: number; maxRatio: number }, stalls = false, memory?: MemoryShare) =>
  decompress(
    (async function* () {
      yield stalls ? file.subarray(0, -1) : file;
      if (stalls) await stalled;
    })(),
    { mode: 'Auto', url: 'http://example.com/', limits: { ...limits, maxDictionaryBytes: 2 ** 27 }, memory },
  ).body;

// Code and thread pools are there before the measuring begins.
for await (const _ of open(generous)) break;
const threadsBefore = threads();
const before = process.memoryUsage().rss;
const measured: Measured = { bytes: 0, largestPiece: 0, code: undefined, grownMiB: 0, threads: 0 };
const look = () => {
  measured.grownMiB = Math.max(measured.grownMiB, Math.round((process.memoryUsage().rss - before) / 2 ** 20));
};
for (let times = task.abandon ?? 0; times > 0; times--) {
  for await (const _ of open(generous, task.stalls)) break;
  look();
}
async function another(): Promise<void> {
  using memory = budget.share(new AbortController().signal);
  for await (const chunk of open(task, false, memory)) {
    measured.bytes += chunk.length;
    look();
  }
}
try {
  if (task.atOnce === undefined) await alone();
  else await Promise.all(Array.from({ length: task.atOnce.count }, another));
} catch (error) {
  if (!(error instanceof CompressionError)) throw error;
  measured.code = error.code;
}

async function alone(): Promise<void> {
  for await (const chunk of open(task)) {
    measured.bytes += chunk.length;
    measured.largestPiece = Math.max(measured.largestPiece, chunk.length);
    // Background work gets a chance to run ahead.
    await nextTurn();
    look();
  }
}
measured.threads = threads() - threadsBefore;
console.log(JSON.stringify(measured));
