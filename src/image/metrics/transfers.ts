/**
 * Results and durations of transfers.
 *
 * Invariant: at most a hundred clouds have series of their own, and the others are counted together; a cloud without transfers
 * gives way to one that has some.
 */
import type { Meters } from '../../controller/meters.ts';
import type { MeasuredPhase, TransferObserver } from '../../transfer/meter.ts';
import { failureReasons, reasonOf } from '../status/failure.ts';

const mostClouds = 100;
const phases: readonly MeasuredPhase[] = ['queued', 'connecting', 'transferring', 'finishing'];
const phaseBuckets = [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400];

export function createTransferMetrics({ counter, gauge, histogram }: Meters): TransferObserver {
  const transfers = gauge('glance_image_operator_transfers', 'Waiting and running transfers', ['cloud', 'state']);
  const bytes = counter(
    'glance_image_operator_transfer_bytes_total',
    'Bytes uploaded to Glance, or read back from it',
    ['cloud'],
  );
  const spent = histogram(
    'glance_image_operator_transfer_phase_duration_seconds',
    'Time of transfers in each phase',
    ['phase'],
    phaseBuckets,
  );
  const ends = counter('glance_image_operator_transfers_total', 'Finished transfers by result', ['result']);
  const failures = counter('glance_image_operator_transfer_failures_total', 'Failed transfers by reason', ['reason']);
  const resumes = counter('glance_image_operator_transfer_resumes_total', 'Downloads resumed where they broke off');

  for (const phase of phases) spent.zero({ phase });
  for (const result of ['succeeded', 'failed', 'cancelled']) ends.inc({ result }, 0);
  for (const reason of failureReasons) failures.inc({ reason }, 0);

  const known = new Map<string, Counts>();
  /** Of the clouds without a name of their own here; those of which nothing waits or runs take no memory. */
  const beyond = new Map<string, Counts>();
  const nameOf = (address: string) => (known.has(address) ? address : 'other');

  function tell(cloud: string, { queued, active }: Counts): void {
    transfers.set({ cloud, state: 'queued' }, queued);
    transfers.set({ cloud, state: 'active' }, active);
  }

  /** Removes the series of a cloud that has no transfer now. */
  function makeRoom(): void {
    for (const [cloud, { queued, active }] of known) {
      if (queued + active > 0) continue;
      known.delete(cloud);
      for (const state of ['queued', 'active']) transfers.remove({ cloud, state });
      bytes.remove({ cloud });
      return;
    }
  }

  return {
    counted(address, counts) {
      const begins = counts.queued + counts.active > 0 && !known.has(address) && !beyond.has(address);
      if (begins && known.size >= mostClouds) makeRoom();
      if (!known.has(address) && known.size < mostClouds) bytes.inc({ cloud: address }, 0);
      if (known.has(address) || known.size < mostClouds) {
        known.set(address, counts);
        return tell(address, counts);
      }
      if (counts.queued + counts.active > 0) beyond.set(address, counts);
      else beyond.delete(address);
      const sum = (of: keyof Counts) => [...beyond.values()].reduce((total, each) => total + each[of], 0);
      tell('other', { queued: sum('queued'), active: sum('active') });
    },
    moved: (address, count) => bytes.inc({ cloud: nameOf(address) }, count),
    spent: (_address, phase, ms) => spent.observe({ phase }, ms / 1000),
    ended(_address, end) {
      ends.inc({ result: end.kind });
      if (end.kind === 'succeeded') resumes.inc(end.result.resumes);
      if (end.kind === 'failed') failures.inc({ reason: reasonOf(end) });
    },
  };
}

interface Counts {
  queued: number;
  active: number;
}
