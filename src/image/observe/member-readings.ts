/**
 * The members of images as last read, so that a drift check need not read them each time: Glance has no call that returns the members
 * of several images.
 *
 * Guarantees: a reading is never older than an hour when it is used. The longer the members stay as they are, the less often they are
 * read: again after as long as they have not changed. What this process changes itself is read again.
 */
import { isDeepStrictEqual } from 'node:util';
import { BoundedMap } from '../../lib/bounded-map.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Member } from '../model/revisions.ts';

export interface MemberReadings {
  /** Undefined where they have to be read. */
  recent(imageID: string): readonly Member[] | undefined;
  read(imageID: string, members: readonly Member[]): void;
  /** They are about to be changed. */
  forget(imageID: string): void;
}

export const longestReadingMs = 3_600_000;
/** One that is forgotten costs a reading. */
const mostReadings = 20_000;

interface Reading {
  members: readonly Member[];
  /** Both monotonic. */
  atMs: number;
  /** Since when they are like this. */
  sinceMs: number;
}

export function createMemberReadings(clock: Pick<Clock, 'monotonic'>): MemberReadings {
  const readings = new BoundedMap<string, Reading>(mostReadings);
  return {
    recent(imageID) {
      const reading = readings.get(imageID);
      if (reading === undefined) return undefined;
      const { members, atMs, sinceMs } = reading;
      const lastsMs = Math.min(atMs - sinceMs, longestReadingMs);
      return clock.monotonic() - atMs < lastsMs ? members : undefined;
    },
    read(imageID, members) {
      const before = readings.get(imageID);
      const atMs = clock.monotonic();
      const isSame = before !== undefined && isDeepStrictEqual(before.members, members);
      readings.set(imageID, { members, atMs, sinceMs: isSame ? before.sinceMs : atMs });
    },
    forget(imageID) {
      readings.delete(imageID);
    },
  };
}
