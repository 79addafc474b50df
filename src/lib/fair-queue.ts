/**
 * Start-time fair queueing of items with equal cost on two levels: groups take turns, within a group its flows take turns, and
 * within a flow items start in order of arrival. Only the first item of a flow, its head, can start. It gets a virtual round when
 * it becomes the head: the next round of its group.
 *
 * Guarantees: a later arrival of another group can delay a head by at most one turn of that group, so no group starves, and more
 * flows give a group no more turns. A blocked head does not block other flows, and keeps its round. (If only the group had a
 * round, a busy group could overtake a head without limit that happens to be blocked whenever its group is next.)
 */
export interface FairQueue<T> {
  readonly size: number;
  /** An item that waits keeps its position, unless its flow has changed. */
  add(item: T): void;
  /** Removes and returns the first item that `mayStart`. Items whose flow has changed move to their new flow first. */
  take(mayStart: (item: T) => boolean): T | undefined;
  /** Whether the head of a flow fits. */
  some(fits: (item: T) => boolean): boolean;
  /** Removes an item, if it waits. The next item of its flow, or of its group, gets its round. */
  remove(item: T): void;
  /** The position of the item among the heads, from 1. Undefined if it is not a head. */
  position(item: T): number | undefined;
}

interface Place<T> {
  readonly item: T;
  readonly group: string;
  flow: unknown;
  /** The current round at arrival. The item is never in an earlier one. */
  readonly earliest: number;
  /** Of the head of a flow. `order` decides between equal rounds. */
  turn: { readonly round: number; readonly order: number } | undefined;
}

/** Limit for remembered rounds of groups while no item waits. */
const maxRemembered = 1000;

/**
 * `flowOf` returns the same value for items of one group of which either all may start or none. It is called again when the item
 * is next. By default each item is a flow of its own.
 */
export function createFairQueue<T>(
  groupOf: (item: T) => string,
  flowOf: (item: T) => unknown = (item) => item,
): FairQueue<T> {
  /** The heads in starting order. */
  const heads: Place<T>[] = [];
  const places = new Map<T, Place<T>>();
  /** The places of each flow of each group in order of arrival; the first is the head. */
  const groups = new Map<string, Map<unknown, Set<Place<T>>>>();
  /** The next free round of each group that is ahead of the current round. */
  const nextRound = new Map<string, number>();
  let round = 0;
  let turns = 0;

  /** The index of `place` among the heads, also before it is inserted. */
  function indexOf(place: Place<T>): number {
    let from = 0;
    let to = heads.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      const other = heads[middle];
      if (other !== undefined && startsBefore(other, place)) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  function insert(place: Place<T>, turn: Place<T>['turn']): void {
    place.turn = turn;
    heads.splice(indexOf(place), 0, place);
  }

  function flowsOf(group: string): Map<unknown, Set<Place<T>>> {
    const flows = groups.get(group) ?? new Map<unknown, Set<Place<T>>>();
    groups.set(group, flows);
    return flows;
  }

  /** Gives the place the next round of its group. */
  function appoint(place: Place<T>): void {
    const mine = Math.max(round, nextRound.get(place.group) ?? round);
    nextRound.set(place.group, mine + 1);
    insert(place, { round: mine, order: turns++ });
  }

  /** Puts the place behind those of its flow, whose head it becomes if there are none. */
  function join(place: Place<T>): void {
    const flows = flowsOf(place.group);
    const flow = flows.get(place.flow) ?? new Set();
    flows.set(place.flow, flow);
    flow.add(place);
    if (flow.size === 1 && place.turn === undefined) appoint(place);
  }

  /** Takes the place out of its flow. Returns the next of the flow if the place was the head. */
  function leave(place: Place<T>): Place<T> | undefined {
    const flows = flowsOf(place.group);
    const flow = flows.get(place.flow);
    flow?.delete(place);
    if (flow?.size === 0) flows.delete(place.flow);
    if (flows.size === 0) groups.delete(place.group);
    if (place.turn === undefined) return undefined;
    const [next] = flow ?? [];
    return next;
  }

  /** Gives the turn of a head that left to the next of its flow. Returns whether the flow has ended, which leaves a gap. */
  function bequeath({ turn }: Place<T>, next: Place<T> | undefined): boolean {
    if (turn === undefined) return false;
    if (next === undefined) return true;
    insert(next, { ...turn, round: Math.max(turn.round, next.earliest) });
    return false;
  }

  /** Later heads of the group move up into the free round, but not into a round that was over when they arrived. */
  function closeGap({ group, turn }: Place<T>): void {
    if (turn === undefined) return;
    let free = turn.round;
    const behind = heads.filter((head) => head.group === group && isLater(head.turn, turn));
    for (const place of behind) {
      const { order } = place.turn ?? turn;
      place.turn = { round: Math.max(free, place.earliest), order };
      free = place.turn.round + 1;
    }
    if (free > round) nextRound.set(group, free);
    else nextRound.delete(group);
    if (behind.length > 0) heads.sort((a, b) => (startsBefore(a, b) ? -1 : 1));
  }

  /** Moves the place to another flow. Returns the place if that leaves a gap in the rounds of its group. */
  function move(place: Place<T>, flow: unknown): Place<T> | undefined {
    const before = { ...place };
    const next = leave(place);
    place.flow = flow;
    const isJoining = flowsOf(place.group).has(flow);
    if (place.turn !== undefined && isJoining) {
      heads.splice(indexOf(place), 1);
      place.turn = undefined;
    } else if (next !== undefined) appoint(next);
    join(place);
    return isJoining && bequeath(before, next) ? before : undefined;
  }

  /** The first head that may start, after heads whose flow has changed were moved. */
  function firstHead(mayStart: (item: T) => boolean): Place<T> | undefined {
    /** The first gap of each group. */
    const gaps = new Map<string, Place<T>>();
    let found: Place<T> | undefined;
    let index = 0;
    while (found === undefined) {
      const head = heads[index];
      if (head === undefined) break;
      const flow = flowOf(head.item);
      if (flow !== head.flow) {
        const gap = move(head, flow);
        if (gap !== undefined && !gaps.has(gap.group)) gaps.set(gap.group, gap);
      } else if (mayStart(head.item)) found = head;
      else index++;
    }
    for (const gap of gaps.values()) closeGap(gap);
    return found;
  }

  return {
    get size() {
      return places.size;
    },

    add(item) {
      const known = places.get(item);
      const flow = flowOf(item);
      if (known === undefined) {
        const place = { item, group: groupOf(item), flow, earliest: round, turn: undefined };
        places.set(item, place);
        join(place);
      } else if (known.flow !== flow) {
        const gap = move(known, flow);
        if (gap !== undefined) closeGap(gap);
      }
    },

    take(mayStart) {
      const found = firstHead(mayStart);
      if (found?.turn === undefined) return undefined;
      if (found.turn.round > round) {
        round = found.turn.round;
        for (const [group, next] of nextRound) if (next <= round) nextRound.delete(group);
      }
      places.delete(found.item);
      heads.splice(indexOf(found), 1);
      const next = leave(found);
      if (next !== undefined) appoint(next);
      if (places.size === 0 && nextRound.size > maxRemembered) nextRound.clear();
      return found.item;
    },

    some: (fits) => heads.some(({ item }) => fits(item)),

    remove(item) {
      const place = places.get(item);
      if (place === undefined) return;
      places.delete(item);
      if (place.turn !== undefined) heads.splice(indexOf(place), 1);
      if (bequeath(place, leave(place))) closeGap(place);
    },

    position(item) {
      const place = places.get(item);
      return place?.turn && indexOf(place) + 1;
    },
  };
}

function startsBefore<T>(a: Place<T>, b: Place<T>): boolean {
  return isLater(b.turn, a.turn);
}

function isLater(a: Place<unknown>['turn'], b: Place<unknown>['turn']): boolean {
  if (a === undefined || b === undefined) return false;
  return a.round > b.round || (a.round === b.round && a.order > b.order);
}
