/**
 * Ends test files that run for far too long, for example because a failed set-up has left a server open. The test runner then
 * reports such a file as failed, with its output.
 *
 * Guarantees: only children of the given test runner are ended, by their id.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';

export interface OverdueOptions {
  /** The longest time of one file on an idle machine. A loaded machine gets more, in proportion. */
  limitMs: number;
  /** Default: every 10 s. */
  everyMs?: number;
  /** Called with the command line of each process that is ended. */
  onEnd: (command: string, afterMs: number) => void;
}

/** Watches the children of the process `runner`. Returns a function that stops it. */
export function endOverdueFiles(runner: number, { limitMs, everyMs = 10_000, onEnd }: OverdueOptions): () => void {
  let seen = new Map<number, number>();
  const timer = setInterval(() => {
    const now = performance.now();
    seen = new Map(childrenOf(runner).map((pid) => [pid, seen.get(pid) ?? now]));
    for (const [pid, since] of seen) {
      if (now - since < limitMs * slowness()) continue;
      const command = commandOf(pid);
      if (kill(pid)) onEnd(command, now - since);
    }
  }, everyMs);
  return () => clearInterval(timer);
}

/** How many times longer everything takes because more processes than cores want to run. */
function slowness(): number {
  const [, overFiveMinutes = 0] = loadavg();
  return Math.max(1, overFiveMinutes / availableParallelism());
}

function childrenOf(pid: number): number[] {
  return read(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
}

function commandOf(pid: number): string {
  return read(`/proc/${pid}/cmdline`).split('\0').join(' ').trim();
}

/** Whether there was such a process. */
function kill(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch {
    return false;
  }
}

/** Nothing for a process that has ended. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
