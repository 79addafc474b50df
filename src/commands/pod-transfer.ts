/**
 * The transfer of a Job: the same engine as everywhere, with files of the run's Secret in place of flags, and the outcome as the
 * termination message of the pod.
 *
 * Guarantees: nothing is written unless the image still is the empty one that the plan is for, so a pod that is late fills no other.
 * A pod that is stopped by a signal leaves no outcome, because the cluster reports the cause.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createImageClient } from '../glance/client/index.ts';
import { createEgressPolicy } from '../http/egress.ts';
import { createTrust, readBundle, type Trust } from '../http/trust.ts';
import { fingerprintOf, fingerprintOn } from '../image/model/fingerprint.ts';
import { podExitCodes } from '../jobs/manifest.ts';
import { writeMessage } from '../jobs/message.ts';
import { type ProgressPusher, pushProgress } from '../jobs/progress.ts';
import { type PodInput, readRunFiles } from '../jobs/run-files.ts';
import { createApiTransport } from '../kubernetes/transport.ts';
import { neverAborted } from '../lib/abort.ts';
import { systemClock } from '../lib/clock.ts';
import { retries } from '../lib/error-codes.ts';
import { OperatorError } from '../lib/errors.ts';
import { programVersion } from '../lib/version.ts';
import { createSessionPool, openSession } from '../openstack/pool.ts';
import { encodeError } from '../transfer/error-codec.ts';
import type { TransferResult } from '../transfer/plan.ts';
import { createThreadExecutor } from '../transfer/thread-executor.ts';
import { onTermination } from './exit.ts';

const clock = systemClock;

export interface PodCommand {
  /** The directory with the files of the run. */
  run: string;
  /** The file of the termination message. */
  message: string | undefined;
}

type PodExitCode = 0 | (typeof podExitCodes)[keyof typeof podExitCodes];

/** Resolves with the exit code of the process. Rejects if not even the outcome can be written. */
export async function transferInPod({ run, message }: PodCommand): Promise<PodExitCode> {
  const stop = onTermination((signal) => `cancelled by ${signal}`);
  const log = (line: string) => void process.stderr.write(`glance-image-operator: ${line}\n`);
  const write = async (text: string) => {
    if (message !== undefined) await writeFile(message, text);
    process.stdout.write(`${text}\n`);
  };
  const pathOf = (name: string) => join(run, name);
  try {
    const input = await readRunFiles((name) => readFile(pathOf(name), 'utf8'), pathOf);
    const { image: _, ...result } = await fill(input, run, stop, log);
    await write(writeMessage({ kind: 'succeeded', result }));
    return 0;
  } catch (error) {
    if (stop.aborted) {
      log(`cancelled; the image is left queued`);
      return podExitCodes.cancelled;
    }
    await write(writeMessage({ kind: 'failed', error: encodeError(error) }));
    return exitCodeOfFailure(error);
  }
}

function exitCodeOfFailure(error: unknown): PodExitCode {
  if (error instanceof Fenced) return podExitCodes.fenced;
  if (!(error instanceof OperatorError)) return podExitCodes.failed;
  return retries[error.code].kind === 'change' ? podExitCodes.needsChange : podExitCodes.mayPass;
}

async function fill(
  input: PodInput,
  directory: string,
  signal: AbortSignal,
  log: (line: string) => void,
): Promise<TransferResult> {
  const { plan, access, egress } = input;
  const trust = trustOf(input.bundle);
  await checkImage(input, trust, signal);
  const executor = createThreadExecutor({ egress, trust, clock });
  const transport = createApiTransport({
    kubeconfig: { ...input.api, tokenFile: join(directory, 'token') },
    version: programVersion,
    clock,
    random: Math.random,
  });
  const pusher: ProgressPusher = pushProgress(transport, input.progress, clock, (problem) =>
    log(`the progress cannot be reported: ${problem}`),
  );
  try {
    return await executor.run(plan, access, { signal, onProgress: pusher.report });
  } finally {
    await pusher.stop(neverAborted());
    await Promise.all([executor.close(), transport.close()]);
  }
}

function trustOf(bundle: string): Trust {
  const trust = createTrust();
  if (bundle.trim() !== '') trust.set(readBundle(bundle));
  return trust;
}

/** The image is not the one that the plan is for, or not any more. */
class Fenced extends OperatorError {
  constructor(message: string) {
    super(message, { code: 'Conflict' });
  }
}

/** A verification writes nothing. */
async function checkImage({ plan, access, egress }: PodInput, trust: Trust, signal: AbortSignal): Promise<void> {
  if (plan.method === 'Verify') return;
  const { name, region } = plan.cloud;
  const connection = { clock, random: Math.random, egress: createEgressPolicy(egress.clouds), trust };
  const sessions = createSessionPool({
    clock,
    open: (cloud) => openSession(cloud, connection),
    attach: createImageClient,
    idleMs: 0,
  });
  try {
    using session = sessions.use(access.cloud, { name, region });
    const image = await session.attached.get(plan.imageID, signal);
    const wanted = fingerprintOf(plan);
    if (image.status === 'queued' && fingerprintOn(image) === wanted) return;
    throw new Fenced(
      `image ${plan.imageID} is left as it is: this run needs it queued for ${wanted}, and it is ${image.status} for ${fingerprintOn(image) ?? 'unknown data'}`,
    );
  } finally {
    await sessions.close();
  }
}
