/**
 * The images that were just created. Behind a Glance are databases that are replicated, and one that lags does not know
 * such an image yet: neither by its ID nor in a list. Nor does Glance know one while the request to create it is on its way, which
 * goes on without the process that sent it.
 *
 * Invariants: in bounded memory. After a restart each image may have just been created, and each request may be on its way. A doubt
 * ends after some seconds, however often it is read, and after some minutes where a request may be held up.
 */
import { BoundedMap } from '../../lib/bounded-map.ts';
import type { Clock } from '../../lib/clock.ts';

export interface RecentImages {
  /** A request to create it is about to be sent, or has ended without a response: an attempt may have been sent at the very end. */
  sending(id: string): void;
  created(id: string): void;
  /** By this process, so its absence is certain. */
  deleted(id: string): void;
  /** How long it is not believed yet that an image does not exist, in ms. 0: it does not exist. */
  doubtMs(id: string): number;
  /** How long an image whose ID is used, and that this process has not deleted, may still appear, in ms, since this was first read. */
  usedMs(id: string): number;
  /** How long a request to create it is likely to be on its way still, in ms: of this process, or of one that was killed before. */
  onItsWayMs(id: string): number;
  /** Whether such a request may still arrive: a Glance that is overloaded, or a proxy, may hold it for minutes. */
  mayArrive(id: string): boolean;
  /** Whether it may still, and this process has sent it. */
  isSent(id: string): boolean;
  /** Neither this process nor one before it has sent a request to create it. */
  unsent(id: string): void;
}

/** More than a database lags behind the one that took the write, and than a request is on its way, as long as both work. */
const lagMs = 5_000;
/** More than servers and proxies hold a request. */
export const heldMs = 600_000;
/** More than are created in that time: 15 images a second. Each takes two. */
const most = 20_000;

export function createRecentImages(clock: Pick<Clock, 'monotonic'>): RecentImages {
  const startedAt = clock.monotonic();
  const sentAt = new BoundedMap<string, number>(most);
  const createdAt = new BoundedMap<string, number>(most);
  const usedAt = new BoundedMap<string, number>(most);
  const sinceMs = (at: number) => clock.monotonic() - at;
  const leftMs = (at: number) => Math.max(0, lagMs - sinceMs(at));
  return {
    sending: (id) => void sentAt.set(id, clock.monotonic()),
    created: (id) => void createdAt.set(id, clock.monotonic()),
    deleted: (id) => void createdAt.set(id, Number.NEGATIVE_INFINITY),
    doubtMs: (id) => leftMs(createdAt.get(id) ?? startedAt),
    usedMs(id) {
      if (createdAt.get(id) === Number.NEGATIVE_INFINITY) return 0;
      const at = usedAt.get(id) ?? clock.monotonic();
      usedAt.set(id, at);
      return leftMs(at);
    },
    onItsWayMs: (id) => leftMs(sentAt.get(id) ?? startedAt),
    mayArrive: (id) => sinceMs(sentAt.get(id) ?? startedAt) < heldMs,
    isSent: (id) => sinceMs(sentAt.get(id) ?? Number.NEGATIVE_INFINITY) < heldMs,
    unsent: (id) => void sentAt.set(id, Number.NEGATIVE_INFINITY),
  };
}
