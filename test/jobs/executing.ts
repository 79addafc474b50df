/** One operator with the executor of Jobs on a cluster in memory, in virtual time, and a run. */
import { podExitCodes } from '../../src/jobs/manifest.ts';
import { writeMessage } from '../../src/jobs/message.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import type { Execution } from '../../src/transfer/executor.ts';
import type { TransferProgress } from '../../src/transfer/plan.ts';
import { createVirtualClock } from '../clock.ts';
import { resultOf } from '../transfer/plans.ts';
import { planOf, settle } from '../transfer/schedulers.ts';
import { createCluster } from './cluster.ts';
import { terminated } from './objects.ts';

export const run = { key: 'team/a', plan: planOf('a') };
const { image: _, ...result } = resultOf(7);
/** Statuses of its pod. */
export const success = { phase: 'Succeeded', ...terminated(0, writeMessage({ kind: 'succeeded', result })) };
export const failure = {
  phase: 'Failed',
  ...terminated(
    podExitCodes.needsChange,
    writeMessage({ kind: 'failed', error: { kind: 'operator', message: 'other', code: 'DigestMismatch' } }),
  ),
};
export const running = { phase: 'Running', containerStatuses: [{ name: 'transfer', state: { running: {} } }] };

export { result };

export function createExecuting() {
  const clock = createVirtualClock();
  const cluster = createCluster(clock);
  const operator = cluster.process();
  const cancel = new AbortController();
  const reports: TransferProgress[] = [];
  return {
    clock,
    cluster,
    operator,
    cancel,
    reports,
    start(one = operator, which = run): Execution {
      const onProgress = (progress: TransferProgress) => void reports.push(progress);
      return one.executor.start(which, { signal: cancel.signal, onProgress });
    },
    async beats(ms: number): Promise<void> {
      await clock.advance(ms);
      await settle();
    },
  };
}

/** The end of a run, without an unhandled rejection until then. */
export const endOf = (execution: Execution) =>
  execution.ended.then(
    (value) => ({ kind: 'succeeded' as const, value }),
    (error: unknown) => ({ kind: 'failed' as const, error }),
  );

export const codeOf = (end: Awaited<ReturnType<typeof endOf>>) =>
  end.kind === 'failed' && end.error instanceof OperatorError ? end.error.code : end.kind;
