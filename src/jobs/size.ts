/** The length of a file before its transfer, by the first response of its source. */
import type { EgressPair, EgressPolicy } from '../http/egress.ts';
import type { Trust } from '../http/trust.ts';
import { linked } from '../lib/abort.ts';
import type { Clock, Random } from '../lib/clock.ts';
import type { TransferAccess } from '../transfer/executor.ts';
import type { TransferPlan } from '../transfer/plan.ts';
import { type CloudSessions, createSourceOpener } from '../transfer/sources.ts';

export interface SizeOptions {
  egress: EgressPair<EgressPolicy>;
  trust: Trust;
  sessions: CloudSessions;
  readAccess(plan: TransferPlan, signal: AbortSignal): Promise<TransferAccess>;
  clock: Clock;
  random: Random;
}

/** Of a source that does not respond. The thread then reports why. */
const deadlineMs = 30_000;

export function createSizeOf(options: SizeOptions) {
  const { egress, clock } = options;
  /** Undefined if the source announces no length. Rejects if the source fails, or with the signal's reason. */
  return async (plan: TransferPlan, signal: AbortSignal): Promise<number | undefined> => {
    const opener = createSourceOpener(await options.readAccess(plan, signal), { ...options, egress: egress.sources });
    using over = linked(signal);
    const cancelTimer = clock.schedule(deadlineMs, () => over.abort(new Error('the source did not respond in time')));
    try {
      const { size } = await opener.open(plan, { signal: over.signal, onResume: () => {} });
      return size;
    } finally {
      cancelTimer();
      over.abort(new Error('only the length is read'));
      await opener.close();
    }
  };
}
