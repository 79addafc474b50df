/**
 * A file that may change at any time, such as a mounted ConfigMap.
 *
 * Invariant: an unusable file changes nothing and is logged once; an unchanged value is not applied again.
 */
import { readFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../lib/clock.ts';
import { describe } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';

/** The kubelet updates a changed ConfigMap within about a minute, and reading is cheap. */
const lookMs = 5_000;

export interface FollowedFile<T> {
  path: string;
  /** What it contains, for the log: `transfer limits`. */
  what: string;
  /** The value of a text. What it throws is logged, so it must not quote secrets. */
  read: (text: string) => T;
  /** The value before the first one of the file. */
  initial: T;
  apply: (value: T) => void;
  /** What the log shows of a value. */
  shown: (value: T) => object;
  clock: Clock;
  log: Logger;
}

export interface Follower {
  /** Reads the file once. */
  look(): Promise<void>;
  /** Reads it repeatedly until `stop`, whose reason it then throws. */
  run(stop: AbortSignal): Promise<never>;
}

export function followFile<T>({ path, what, read, initial, apply, shown, clock, log }: FollowedFile<T>): Follower {
  let value = initial;
  let logged: string | undefined;

  async function look(): Promise<void> {
    try {
      const found = read(await readFile(path, 'utf8'));
      logged = undefined;
      if (isDeepStrictEqual(found, value)) return;
      value = found;
      apply(value);
      log.info({ path, ...shown(value) }, `The ${what} have changed`);
    } catch (error) {
      const problem = describe(error);
      if (problem !== logged) log.warn({ path, problem }, `The file is unusable; the ${what} stay unchanged`);
      logged = problem;
    }
  }

  return {
    look,
    async run(stop) {
      for (;;) {
        await look();
        await clock.sleep(lookMs, stop);
      }
    },
  };
}
