/**
 * The operator as a process of its own, as a user runs it. Law: it ends with its test, also when the test fails, and what it
 * logged is shown when it does.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

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
  /** SIGTERM and wait; resolves with the exit code. */
  stop(): Promise<number | null>;
  /** SIGKILL and wait. */
  kill(): Promise<void>;
}

export interface OperatorOptions {
  kubeconfig: string;
  flags?: readonly string[];
  /** The log line that is waited for. Default: `Ready`, which a replica that stands by does not say. */
  awaited?: 'Ready' | 'Synced';
}

const main = join(import.meta.dirname, '../../src/main.ts');

/** Resolves once the operator has its caches and works, or stands by. */
export async function startOperator({ kubeconfig, flags = [], awaited = 'Ready' }: OperatorOptions): Promise<Operator> {
  const args = [main, 'run', '--kubeconfig', kubeconfig, '--health-address', '127.0.0.1:0', ...flags];
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    // As docs/operations.md asks for.
    env: { PATH: process.env['PATH'], MALLOC_ARENA_MAX: '2' },
  });
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
  // A test process that dies must not leave it behind.
  const leave = () => child.kill('SIGKILL');
  process.once('exit', leave);
  void ended.then(() => process.removeListener('exit', leave));
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
      return ended;
    },
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
