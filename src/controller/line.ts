/**
 * Who is next among the keys that wait. Laws: namespaces take turns, in a namespace its lanes do, and in a lane who came first
 * goes first; a lane that may not go holds up nobody, and keeps its place for when it may.
 *
 * A lane is what keys have in common that can be slow: the cloud behind them. Which one it is may come to be known while a key
 * waits, so it is asked again when the turn of the key has come.
 */
import { type Key, namespaceOf } from '../lib/key.ts';

export type Lane = string | undefined;

export interface Line {
  readonly size: number;
  /** Since when the key waits, in monotonic milliseconds; undefined when it does not. */
  since(key: Key): number | undefined;
  /** A key that waits already keeps its place, unless its lane is another now. */
  put(key: Key, since: number): void;
  remove(key: Key): void;
  /** Takes out the next whose lane `mayGo`. */
  take(mayGo: (lane: Lane) => boolean): Next | undefined;
  /** Since when the key waits that waits longest; undefined when none does. */
  oldest(): number | undefined;
}

export interface Next {
  key: Key;
  lane: Lane;
  since: number;
}

type Lanes = Map<Lane, Set<Key>>;

export function createLine(laneOf: (key: Key) => Lane): Line {
  const places = new Map<Key, { lane: Lane; since: number }>();
  /** In the order in which their turns come: a Map keeps the order of insertion, so who had a turn is put in anew. */
  const namespaces = new Map<string, Lanes>();

  function lanesOf(key: Key): Lanes {
    return entryOf(namespaces, namespaceOf(key), () => new Map());
  }

  /** Into its new lane first: a namespace that is never without a key keeps its turn. */
  function enter(key: Key, lane: Lane, since: number): void {
    const before = places.get(key);
    if (before !== undefined && before.lane === lane) return;
    entryOf(lanesOf(key), lane, () => new Set<Key>()).add(key);
    if (before !== undefined) leave(key, before.lane);
    places.set(key, { lane, since });
  }

  function leave(key: Key, lane: Lane): void {
    const lanes = lanesOf(key);
    const keys = lanes.get(lane);
    keys?.delete(key);
    if (keys?.size === 0) lanes.delete(lane);
    if (lanes.size === 0) namespaces.delete(namespaceOf(key));
  }

  function remove(key: Key): void {
    const place = places.get(key);
    if (place === undefined) return;
    places.delete(key);
    leave(key, place.lane);
  }

  /** The first of a lane; those that belong into another by now are brought there, where their turn comes yet. */
  function firstOf(lane: Lane, keys: ReadonlySet<Key>): Key | undefined {
    for (const key of keys) {
      const now = laneOf(key);
      if (now === lane) return key;
      enter(key, now, places.get(key)?.since ?? 0);
    }
    return undefined;
  }

  return {
    get size() {
      return places.size;
    },
    since: (key) => places.get(key)?.since,
    put: (key, since) => enter(key, laneOf(key), since),
    remove,

    take(mayGo) {
      for (const [namespace, lanes] of namespaces) {
        for (const [lane, keys] of lanes) {
          const key = firstOf(lane, keys);
          const since = key === undefined ? undefined : places.get(key)?.since;
          if (key === undefined || since === undefined || !mayGo(lane)) continue;
          remove(key);
          moveToEnd(lanes, lane);
          moveToEnd(namespaces, namespace);
          return { key, lane, since };
        }
      }
      return undefined;
    },

    oldest() {
      let oldest: number | undefined;
      for (const { since } of places.values()) oldest = Math.min(oldest ?? since, since);
      return oldest;
    },
  };
}

function entryOf<K, V>(map: Map<K, V>, key: K, create: () => V): V {
  const found = map.get(key) ?? create();
  map.set(key, found);
  return found;
}

function moveToEnd<K, V>(map: Map<K, V>, key: K): void {
  const value = map.get(key);
  if (value === undefined) return;
  map.delete(key);
  map.set(key, value);
}
