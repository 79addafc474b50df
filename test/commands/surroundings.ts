/** The surroundings of a command that runs in the process of its test. */
import type { Surroundings } from '../../src/commands/command.ts';
import { neverAborted } from '../../src/lib/abort.ts';
import { systemClock } from '../../src/lib/clock.ts';

export interface TestSurroundings extends Surroundings {
  output(): string;
  errors(): string;
}

export interface SurroundingsOptions {
  env?: NodeJS.ProcessEnv;
  input?: string;
  /** What is typed, line by line. */
  lines?: string[];
  isTTY?: boolean;
  signal?: AbortSignal;
}

export function surroundings(options: SurroundingsOptions = {}): TestSurroundings {
  const { env = {}, input = '', lines = [], isTTY = false, signal = neverAborted() } = options;
  const written = { out: '', err: '' };
  const screen = (name: keyof typeof written) => ({
    isTTY,
    columns: 100,
    write(text: string) {
      written[name] += text;
    },
  });
  return {
    out: screen('out'),
    err: screen('err'),
    env,
    readLine: async () => lines.shift(),
    readInput: async () => input,
    clock: systemClock,
    signal,
    output: () => written.out,
    errors: () => written.err,
  };
}
