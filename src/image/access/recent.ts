/**
 * The images that this process has just created. Behind a Glance are databases that are replicated, and one that lags does not know
 * such an image yet: neither by its ID nor in a list.
 *
 * Invariant: in bounded memory. After a restart nothing is recent.
 */
import { BoundedMap } from '../../lib/bounded-map.ts';
import type { Clock } from '../../lib/clock.ts';

export interface RecentImages {
  created(id: string): void;
  /** By this process, so its absence is certain. */
  deleted(id: string): void;
  /** How long it is not believed yet that an image does not exist, in ms. 0: it does not exist. */
  doubtMs(id: string): number;
}

/** More than a database lags behind the one that took the write, as long as it works. */
const lagMs = 5_000;
/** More than are created in that time. */
const most = 1_000;

export function createRecentImages(clock: Pick<Clock, 'monotonic'>): RecentImages {
  const createdAt = new BoundedMap<string, number>(most);
  return {
    created: (id) => void createdAt.set(id, clock.monotonic()),
    deleted: (id) => void createdAt.delete(id),
    doubtMs(id) {
      const at = createdAt.get(id);
      return at === undefined ? 0 : Math.max(0, at + lagMs - clock.monotonic());
    },
  };
}
