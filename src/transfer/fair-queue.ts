/**
 * Start-time fair queueing of items with equal cost: round-robin over groups, FIFO within a group. Each item gets a virtual round on
 * arrival, which is the next round of its group.
 *
 * Guarantees: a later arrival of another group can delay an item by at most one turn of that group, so no group starves; a blocked
 * item does not block the items behind it, and keeps its position. (If rounds were assigned at every start instead, a busy group
 * could overtake an item without limit that happens to be blocked whenever its group is next.)
 */
export interface FairQueue<T> {
  add(item: T): void;
  /** Removes and returns the first item that `mayStart`. */
  take(mayStart: (item: T) => boolean): T | undefined;
  /** Whether a waiting item fits. */
  some(fits: (item: T) => boolean): boolean;
  /** Removes an item that no longer waits. The next item of its group gets its round. */
  remove(item: T): void;
  /** The position of the item, from 1. Undefined if it does not wait. */
  position(item: T): number | undefined;
}

interface Place<T> {
  readonly item: T;
  readonly group: string;
  /** Order of arrival. */
  readonly arrival: number;
  /** The current round at arrival. The item is never in an earlier one. */
  readonly earliest: number;
  round: number;
}

/** Limit for remembered rounds of groups while no item waits. */
const maxRemembered = 1000;

export function createFairQueue<T extends object>(groupOf: (item: T) => string): FairQueue<T> {
  /** In starting order. */
  const order: Place<T>[] = [];
  const places = new Map<T, Place<T>>();
  /** The next free round of each group that is ahead of the current round. */
  const nextRound = new Map<string, number>();
  let round = 0;
  let arrivals = 0;

  function startsBefore(a: Place<T>, b: Place<T>): boolean {
    return a.round < b.round || (a.round === b.round && a.arrival < b.arrival);
  }

  /** The index of `place` in the order, also before it is inserted. */
  function indexOf(place: Place<T>): number {
    let from = 0;
    let to = order.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      const other = order[middle];
      if (other !== undefined && startsBefore(other, place)) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  function drop(index: number): void {
    const [place] = order.splice(index, 1);
    if (place !== undefined) places.delete(place.item);
    if (order.length === 0 && nextRound.size > maxRemembered) nextRound.clear();
  }

  return {
    add(item) {
      const group = groupOf(item);
      const mine = Math.max(round, nextRound.get(group) ?? round);
      const place = { item, group, arrival: arrivals++, earliest: round, round: mine };
      nextRound.set(group, mine + 1);
      places.set(item, place);
      order.splice(indexOf(place), 0, place);
    },

    take(mayStart) {
      const index = order.findIndex(({ item }) => mayStart(item));
      const place = order[index];
      if (place === undefined) return undefined;
      if (place.round > round) {
        round = place.round;
        for (const [group, next] of nextRound) if (next <= round) nextRound.delete(group);
      }
      drop(index);
      return place.item;
    },

    some: (fits) => order.some(({ item }) => fits(item)),

    remove(item) {
      const removed = places.get(item);
      if (removed === undefined) return;
      drop(indexOf(removed));
      // Later items of the group move up, but not into a round that was over when they arrived.
      let free = removed.round;
      const behind = order.filter(({ group, arrival }) => group === removed.group && arrival > removed.arrival);
      for (const place of behind.sort((a, b) => a.arrival - b.arrival)) {
        place.round = Math.max(free, place.earliest);
        free = place.round + 1;
      }
      if (free > round) nextRound.set(removed.group, free);
      else nextRound.delete(removed.group);
      if (behind.length > 0) order.sort((a, b) => (startsBefore(a, b) ? -1 : 1));
    },

    position(item) {
      const place = places.get(item);
      return place && indexOf(place) + 1;
    },
  };
}
