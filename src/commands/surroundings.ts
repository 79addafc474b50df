/**
 * The process as commands for people see it: its terminal, its input, its output, its signals.
 *
 * Guarantees: a reader that closes the pipe early, output that cannot be written, and the first signal abort the signal of the command,
 * which ends without leaving anything half done. A second signal ends the process at once. Only output that cannot be written is an error
 * of them. Messages to a standard error that is closed are dropped.
 */
import { basename } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { systemClock } from '../lib/clock.ts';
import { describeFileError, errorCode } from '../lib/errors.ts';
import { OutputEnded, type Surroundings } from './command.ts';
import { onTermination } from './exit.ts';
import { readInputOf } from './input.ts';

export function surroundingsOf(process: NodeJS.Process, outputEnded: AbortSignal): Surroundings {
  const { stdin, stdout, stderr, env } = process;
  const signal = onTermination((name) => `stopped by ${name}`, outputEnded);
  return {
    out: stdout,
    err: stderr,
    env,
    async readLine(question, stop) {
      if (stdin.isTTY !== true || stderr.isTTY !== true) return undefined;
      // A prompt of several lines is drawn again with each edit.
      const last = question.lastIndexOf('\n') + 1;
      if (last > 0) stderr.write(question.slice(0, last));
      const lines = createInterface({ input: stdin, output: stderr });
      // The terminal sends no signal while a line is edited.
      lines.once('SIGINT', () => {
        stderr.write('\n');
        process.emit('SIGINT');
      });
      try {
        return await lines.question(question.slice(last), { signal: stop });
      } finally {
        lines.close();
      }
    },
    readInput: () => readInputOf(stdin, signal),
    clock: systemClock,
    signal,
  };
}

export interface OutputWatch {
  /** Aborts with an OutputEnded once standard output takes nothing more. */
  signal: AbortSignal;
  /** Ends the process with this code, or with 1 where a part of the output could not be written. */
  end(code: number): void;
}

export function watchOutput(process: NodeJS.Process): OutputWatch {
  const { stdout, stderr } = process;
  const ended = new AbortController();
  stdout.on('error', (error) => {
    const isRead = errorCode(error) !== 'EPIPE';
    ended.abort(new OutputEnded(isRead ? `cannot write the output: ${describeFileError(error)}` : undefined));
  });
  stderr.on('error', () => {});

  function end(code: number): void {
    const { signal } = ended;
    // A write that failed is reported by an event, which comes later.
    if (stdout.errored !== null && !signal.aborted) {
      stdout.once('error', () => end(code));
      return;
    }
    const problem = signal.reason instanceof OutputEnded ? signal.reason.problem : undefined;
    if (problem === undefined) process.exit(code);
    stderr.write(`glance-image-operator: ${problem}\n`);
    process.exit(1);
  }

  return { signal: ended.signal, end };
}

/** The name by which kubectl, in whose completion a user is, asks a plugin for what can follow. */
export function isAskedByKubectl(path: string | undefined): boolean {
  return basename(path ?? '').startsWith('kubectl_complete-');
}

/** As the user typed it: kubectl finds `kubectl-glanceimage` in PATH. */
export function programName(path: string | undefined): string {
  return basename(path ?? '').startsWith('kubectl-') ? 'kubectl glanceimage' : 'glance-image-operator';
}
