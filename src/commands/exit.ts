/**
 * How the process ends. Law: every end has an exit code of this table and one log line that names the reason, that of an
 * error which nobody handled too; nothing that was left behind keeps a process alive that has ended.
 */

import { LeadershipLost } from '../http/fence.ts';
import { describe } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { UsageError } from './config.ts';

export const exitCodes = { stopped: 0, failed: 1, usage: 2, leaseLost: 3, bug: 4 } as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

const meanings: Record<keyof typeof exitCodes, string> = {
  stopped: 'done, or asked to stop by SIGTERM or SIGINT',
  failed: 'a failure, which the last line names',
  usage: 'wrong usage',
  leaseLost: 'the lease was lost: another replica works, and this one has stopped writing',
  bug: 'an error that nobody handled; please report the last line',
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

/** From here on an error that nobody handles ends the process with one line: its state is not known any more. */
export function exitOnUnhandled(log: Logger): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      const stack = error instanceof Error ? error.stack : undefined;
      log.fatal({ event, error, stack }, `The process ends by an error that nobody handled: ${describe(error)}`);
      process.exit(exitCodes.bug);
    });
  }
}
