/**
 * How one run gets on. Law: what the run reports costs nothing until somebody looks; those who wait for news are told after a
 * second, so that a small transfer makes no noise, and then at every interval in which anything moved.
 */
import type { Clock } from '../lib/clock.ts';
import type { TransferObserver } from './observer.ts';
import { noProgress, type TransferProgress } from './plan.ts';

export interface Meter {
  readonly progress: TransferProgress;
  /** Of bytes taken by Glance, over the last interval; 0 until the first one is over. */
  readonly bytesPerSecond: number;
  /** RFC 3339. */
  readonly startedAt: string;
  report(progress: TransferProgress): void;
  stop(): void;
}

export interface MeterOptions {
  cloud: string;
  clock: Clock;
  intervalMs: number;
  observer: TransferObserver;
  onNews: () => void;
}

const firstNewsMs = 1000;

export function startMeter({ cloud, clock, intervalMs, observer, onNews }: MeterOptions): Meter {
  const startedAt = clock.now().toISOString();
  let progress = noProgress;
  let bytesPerSecond = 0;
  let phaseSince = clock.monotonic();

  let told = false;
  let seenBytes = 0;
  let seenAt = phaseSince;
  const tick = () => {
    const now = clock.monotonic();
    const { bytes } = progress;
    const rate = Math.round(((bytes - seenBytes) * 1000) / Math.max(now - seenAt, 1));
    // The first is told in any case: that it runs at all is news to who waited in the queue.
    const news = !told || bytes !== seenBytes || rate !== bytesPerSecond;
    bytesPerSecond = rate;
    seenBytes = bytes;
    seenAt = now;
    told = true;
    cancelTimer = clock.schedule(intervalMs, tick);
    if (news) onNews();
  };
  let cancelTimer = clock.schedule(firstNewsMs, tick);

  const endPhase = () => {
    const now = clock.monotonic();
    observer.spent(cloud, progress.phase, now - phaseSince);
    phaseSince = now;
  };

  return {
    get progress() {
      return progress;
    },
    get bytesPerSecond() {
      return bytesPerSecond;
    },
    startedAt,
    report(next) {
      if (next.bytes > progress.bytes) observer.moved(cloud, next.bytes - progress.bytes);
      if (next.phase !== progress.phase) endPhase();
      progress = next;
    },
    stop() {
      cancelTimer();
      endPhase();
    },
  };
}
