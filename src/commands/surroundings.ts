/**
 * The process as commands for people see it: its terminal, its input, its signals.
 *
 * Guarantees: a reader that closes the pipe early ends the process without an error; output that cannot be written for another reason ends
 * it with one; after the first signal a command can end by itself,
 * and a second one ends the process at once.
 */
import { basename } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { systemClock } from '../lib/clock.ts';
import { describeFileError, errorCode } from '../lib/errors.ts';
import type { Surroundings } from './command.ts';
import { onTermination } from './exit.ts';
import { readInputOf } from './input.ts';

export function surroundingsOf(process: NodeJS.Process): Surroundings {
  const { stdin, stdout, stderr, env } = process;
  const signal = onTermination((name) => `stopped by ${name}`);
  exitWithoutOutput(process);
  return {
    out: stdout,
    err: stderr,
    env,
    async readLine(question, stop) {
      if (stdin.isTTY !== true) return undefined;
      const lines = createInterface({ input: stdin, output: stderr });
      try {
        return await lines.question(question, { signal: stop });
      } finally {
        lines.close();
      }
    },
    readInput: () => readInputOf(stdin, signal),
    clock: systemClock,
    signal,
  };
}

/** An early end of the reader keeps the exit code that is set already. */
export function exitWithoutOutput(process: NodeJS.Process): void {
  const { stdout, stderr } = process;
  stdout.on('error', (error) => {
    if (errorCode(error) === 'EPIPE') process.exit();
    stderr.write(`glance-image-operator: cannot write the output: ${describeFileError(error)}\n`);
    process.exit(1);
  });
  stderr.on('error', (error) => process.exit(errorCode(error) === 'EPIPE' ? undefined : 1));
}

/** The name by which kubectl, in whose completion a user is, asks a plugin for what can follow. */
export function isAskedByKubectl(path: string | undefined): boolean {
  return basename(path ?? '').startsWith('kubectl_complete-');
}

/** As the user typed it: kubectl finds `kubectl-glanceimage` in PATH. */
export function programName(path: string | undefined): string {
  return basename(path ?? '').startsWith('kubectl-') ? 'kubectl glanceimage' : 'glance-image-operator';
}
