/**
 * Whose turn it is. Law: groups take turns one for one, and within a group who came first goes first; everybody has a place
 * from the moment of arrival that newcomers can push back only by the turns that are theirs, so nobody starves, even
 * while those before cannot go yet.
 *
 * This is start-time fair queueing with jobs of equal cost: an arrival gets the number of the round in which its group has a
 * turn for it. Numbers that were worked out anew at every start would let a busy group overtake for ever a member whose way
 * happens to be blocked each time that the group's turn comes.
 */

export interface Turns<T> {
  add(item: T): void;
  /** Takes out the first in order that `mayGo`; it has had its turn. */
  take(mayGo: (item: T) => boolean): T | undefined;
  /** Takes out one that gave up waiting; its turn goes to the next of its group. */
  remove(item: T): void;
  /** Its place in the order, from 1; undefined when it does not wait. */
  position(item: T): number | undefined;
}

interface Place<T> {
  readonly item: T;
  readonly group: string;
  /** Order of arrival. */
  readonly arrival: number;
  /** The round under way at arrival: no place is in an earlier one. */
  readonly earliest: number;
  round: number;
}

/** Groups whose turn in the present round is remembered though nobody waits. */
const mostRemembered = 1000;

export function createTurns<T extends object>(groupOf: (item: T) => string): Turns<T> {
  /** In the order in which they go. */
  const order: Place<T>[] = [];
  const places = new Map<T, Place<T>>();
  /** The next free round of the groups that are ahead of the round under way. */
  const nextRound = new Map<string, number>();
  let round = 0;
  let arrivals = 0;

  function goesBefore(a: Place<T>, b: Place<T>): boolean {
    return a.round < b.round || (a.round === b.round && a.arrival < b.arrival);
  }

  /** Where `place` stands, or would stand, in the order. */
  function indexOf(place: Place<T>): number {
    let from = 0;
    let to = order.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      const other = order[middle];
      if (other !== undefined && goesBefore(other, place)) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  function drop(index: number): void {
    const [place] = order.splice(index, 1);
    if (place !== undefined) places.delete(place.item);
    if (order.length === 0 && nextRound.size > mostRemembered) nextRound.clear();
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

    take(mayGo) {
      const index = order.findIndex(({ item }) => mayGo(item));
      const place = order[index];
      if (place === undefined) return undefined;
      if (place.round > round) {
        round = place.round;
        for (const [group, next] of nextRound) if (next <= round) nextRound.delete(group);
      }
      drop(index);
      return place.item;
    },

    remove(item) {
      const gone = places.get(item);
      if (gone === undefined) return;
      drop(indexOf(gone));
      // Those behind it in its group move up, though not into a round that was over when they came.
      let free = gone.round;
      const behind = order.filter(({ group, arrival }) => group === gone.group && arrival > gone.arrival);
      for (const place of behind.sort((a, b) => a.arrival - b.arrival)) {
        place.round = Math.max(free, place.earliest);
        free = place.round + 1;
      }
      if (free > round) nextRound.set(gone.group, free);
      else nextRound.delete(gone.group);
      if (behind.length > 0) order.sort((a, b) => (goesBefore(a, b) ? -1 : 1));
    },

    position(item) {
      const place = places.get(item);
      return place && indexOf(place) + 1;
    },
  };
}
