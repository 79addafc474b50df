/**
 * `glance-image-operator transfer`: runs one plan, started by hand or by a Job, with the engine of the operator. The
 * result goes to standard output as JSON, everything else to standard error.
 *
 * Guarantees: if it ends early, the image stays queued.
 */
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { systemClock } from '../lib/clock.ts';
import { describeFileError } from '../lib/errors.ts';
import { readAccess } from '../transfer/access.ts';
import { TransferPlan, type TransferResult } from '../transfer/plan.ts';
import { createThreadExecutor } from '../transfer/thread-executor.ts';
import { helpOf, readCommandLine, UsageError } from './config.ts';
import { commandEgress } from './egress.ts';
import { onTermination } from './exit.ts';
import { withFileCredentials } from './file-credentials.ts';
import { transferInPod } from './pod-transfer.ts';
import { showProgress } from './progress.ts';
import { type TransferSettings, transferSettings } from './settings.ts';
import { readTrust } from './trust.ts';

export const transferHelp = `glance-image-operator transfer [flags] PLAN

  PLAN
      File with one plan as JSON, or - for standard input. It names an image that exists and is queued.
      With --run there is none.

${helpOf(transferSettings)}`;

const flagsOfPods = ['--run', '--termination-message'];

/** Resolves with the exit code, if it is not that of success. */
export async function transfer(args: string[]): Promise<number | undefined> {
  const { settings, operands, flags } = readCommandLine(transferSettings, args, process.env, 1);
  const [path] = operands;
  if (settings.run !== undefined) {
    const others = flags.filter((flag) => !flagsOfPods.includes(flag));
    if (path !== undefined) throw new UsageError('--run has the plan: give no other');
    if (others.length > 0) throw new UsageError(`--run has all settings: leave out ${others.join(', ')}`);
    return transferInPod({ run: settings.run, message: settings.terminationMessage });
  }
  if (settings.terminationMessage !== undefined) throw new UsageError('--termination-message needs --run');
  if (path === undefined) throw new UsageError('give the file of a plan, or - for standard input');
  const plan = await readPlan(path);
  const result = await runPlan(plan, settings);
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  return undefined;
}

async function readPlan(path: string): Promise<TransferPlan> {
  const name = path === '-' ? 'standard input' : path;
  let json: unknown;
  try {
    json = JSON.parse(path === '-' ? await text(process.stdin) : await readFile(path, 'utf8'));
  } catch (error) {
    throw new UsageError(`cannot read the plan from ${name}: ${describeFileError(error)}`);
  }
  const plan = TransferPlan.safeParse(json);
  if (plan.success) return plan.data;
  const problems = plan.error.issues.map(({ path: at, message }) => `\n  ${at.join('.') || 'plan'}: ${message}`);
  throw new UsageError(`${name} is not a plan:${problems.join('')}`);
}

async function runPlan(given: TransferPlan, settings: TransferSettings): Promise<TransferResult> {
  const { plan, credentials } = withFileCredentials(given, settings, process.env);
  const stop = onTermination((signal) => `cancelled by ${signal}; image ${plan.imageID} is left queued`);
  const egress = commandEgress(settings);
  const trust = await readTrust(settings.caBundle);
  const executor = createThreadExecutor({ egress, trust, clock: systemClock });
  const display = showProgress(process.stderr, systemClock);
  try {
    const access = await readAccess(credentials, plan, stop);
    return await executor.run(plan, access, { signal: stop, onProgress: display.update });
  } finally {
    display.stop();
    await executor.close();
  }
}
