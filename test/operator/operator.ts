/**
 * The operator as a separate process, as a user runs it.
 *
 * Guarantees: the process ends with its test, and its log is shown if the test fails.
 */
import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { bareEnvironment } from '../env/environment.ts';

export interface Operator {
  readonly pid: number;
  /** Every line that it has logged. */
  readonly log: readonly string[];
  /** Resident memory in bytes. */
  rss(): number;
  /** Resolves with the exit code once it has ended by itself. */
  readonly ended: Promise<number | null>;
  /** Sends it a signal, such as SIGSTOP. */
  signal(name: NodeJS.Signals): void;
  /** SIGTERM and wait; resolves with the exit code, or with null where the process had to be killed, as a kubelet does after a while. */
  stop(): Promise<number | null>;
  /** SIGKILL and wait. */
  kill(): Promise<void>;
}

export interface OperatorOptions {
  kubeconfig: string;
  flags?: readonly string[];
  /** Environment variables in addition to PATH. */
  env?: NodeJS.ProcessEnv;
  /** The log line that is waited for. Default: `Ready`, which a replica that stands by does not say. */
  awaited?: Milestone;
  /** Node options and program to run. Default: the sources. */
  program?: readonly string[];
}

/** In the order in which they come. */
export type Milestone = 'Serving probes and metrics' | 'Synced' | 'Ready';

/** What the image sets to keep its memory small; the share of the heap aside, as there is no container. */
const ofTheImage = {
  NODE_OPTIONS: '--max-semi-space-size=8',
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '131072',
};

/** Far more than a stop takes on a busy machine. Node may hang while it exits: https://github.com/nodejs/node/issues/54918. */
const graceMs = 120_000;

const sources = [join(import.meta.dirname, '../../src/main.ts')];

/** A process that dies must not leave them behind. */
const running = new Set<ChildProcess>();
function killAll(): void {
  for (const child of running) child.kill('SIGKILL');
}
process.once('exit', killAll);
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    killAll();
    // Other listeners are absent: the signal keeps its default meaning.
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  });
}

/** Resolves once the operator has its caches and works, or stands by. */
export async function startOperator(options: OperatorOptions): Promise<Operator> {
  const { kubeconfig, flags = [], env = {}, awaited = 'Ready', program = sources } = options;
  const args = [...program, 'run', '--kubeconfig', kubeconfig, '--health-address', '127.0.0.1:0', ...flags];
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...bareEnvironment(), ...ofTheImage, ...env },
  });
  return attachOperator(child, awaited);
}

/** An operator process that another program has started, with pipes for its output. */
export async function attachOperator(
  child: ChildProcessByStdio<null, Readable, Readable>,
  awaited: Milestone = 'Ready',
): Promise<Operator> {
  const log: string[] = [];
  const ready = Promise.withResolvers<void>();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      log.push(line);
      if (line.includes(`"msg":"${awaited}"`)) ready.resolve();
    });
  }
  const ended = once(child, 'exit').then(([code]: (number | null)[]) => code ?? null);
  void ended.then((code) => ready.reject(new Error(`the operator ended with ${code}:\n${log.join('\n')}`)));
  running.add(child);
  void ended.then(() => running.delete(child));
  await ready.promise;
  return operatorOf(child, log, ended);
}

function operatorOf(child: ChildProcess, log: string[], ended: Promise<number | null>): Operator {
  const { pid = -1 } = child;
  return {
    pid,
    log,
    ended,
    rss: () => {
      const kilobytes = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
      return Number(kilobytes) * 1024;
    },
    signal: (name) => void child.kill(name),
    async stop() {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      return ended.finally(() => clearTimeout(timer));
    },
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
