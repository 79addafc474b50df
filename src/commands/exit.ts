/**
 * Ends the process.
 *
 * Invariant: every exit path maps to a code in this table and logs its reason, unhandled errors included. Open handles
 * never keep the process alive.
 */

import { LeadershipLost } from '../http/fence.ts';
import { linked } from '../lib/abort.ts';
import { describe } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { UsageError } from './config.ts';

export const exitCodes = { stopped: 0, failed: 1, usage: 2, leaseLost: 3, bug: 4 } as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

const meanings: Record<keyof typeof exitCodes, string> = {
  stopped: 'success, or stopped by SIGTERM or SIGINT',
  failed: 'a failure; see the last log line',
  usage: 'wrong usage',
  leaseLost: 'the lease was lost: another replica leads, and this one has stopped writing',
  bug: 'an unhandled error; please report the last log line',
};

const rows = (['stopped', 'failed', 'usage', 'leaseLost', 'bug'] as const satisfies (keyof typeof exitCodes)[]).map(
  (name) => ({ code: exitCodes[name], meaning: meanings[name] }),
);

export const exitCodesHelp = rows.map(({ code, meaning }) => `  ${code}  ${meaning}`).join('\n');

/** For the pages. */
export function exitCodesTable(): string {
  return ['| code | meaning |', '|---|---|', ...rows.map(({ code, meaning }) => `| ${code} | ${meaning} |`)].join('\n');
}

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof UsageError) return exitCodes.usage;
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    if (at instanceof LeadershipLost) return exitCodes.leaseLost;
  }
  return exitCodes.failed;
}

/** A signal that aborts on SIGTERM or SIGINT, and with `parent`. `reasonFor` returns the text of the reason. */
export function onTermination(reasonFor: (signal: NodeJS.Signals) => string, parent?: AbortSignal): AbortSignal {
  const stop = linked(parent);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => stop.abort(new Error(reasonFor(signal))));
  }
  return stop.signal;
}

/**
 * Installs handlers that end the process after an unhandled error with one log line, because its state is unknown then.
 */
export function exitOnUnhandled(log: Logger): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      const stack = error instanceof Error ? error.stack : undefined;
      log.fatal({ event, error, stack }, `The process exits because of an unhandled error: ${describe(error)}`);
      process.exit(exitCodes.bug);
    });
  }
}
