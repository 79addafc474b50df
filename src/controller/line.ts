/**
 * Who is next among the keys that wait. Laws: namespaces take turns, in a namespace its lanes do, and in a lane who came first
 * goes first; a lane that may not go holds up nobody, and keeps its place for when it may.
 *
 * A lane is what keys have in common that can be slow: the cloud behind them.
 */
import { type Key, namespaceOf } from '../lib/outcome.ts';

export type Lane = string | undefined;

export interface Waiting {
  lane: Lane;
  /** Since when it waits, in monotonic milliseconds. */
  since: number;
}

export interface Line {
  readonly size: number;
  get(key: Key): Waiting | undefined;
  /** A key that waits already keeps its place, unless its lane is another now. */
  put(key: Key, waiting: Waiting): void;
  remove(key: Key): void;
  /** Takes out the next whose lane `mayGo`. */
  take(mayGo: (lane: Lane) => boolean): (Waiting & { key: Key }) | undefined;
  /** Since when the key waits that waits longest; undefined when none does. */
  oldest(): number | undefined;
}

export function createLine(): Line {
  const places = new Map<Key, Waiting>();
  /** In the order in which their turns come: a Map keeps the order of insertion, so who had a turn is put in anew. */
  const namespaces = new Map<string, Map<Lane, Set<Key>>>();

  function remove(key: Key): void {
    const place = places.get(key);
    if (place === undefined) return;
    places.delete(key);
    const namespace = namespaceOf(key);
    const lanes = namespaces.get(namespace);
    const keys = lanes?.get(place.lane);
    keys?.delete(key);
    if (keys?.size === 0) lanes?.delete(place.lane);
    if (lanes?.size === 0) namespaces.delete(namespace);
  }

  return {
    get size() {
      return places.size;
    },
    get: (key) => places.get(key),

    put(key, waiting) {
      const before = places.get(key);
      if (before !== undefined && before.lane === waiting.lane) return;
      remove(key);
      places.set(key, waiting);
      const lanes = entryOf(namespaces, namespaceOf(key), () => new Map<Lane, Set<Key>>());
      entryOf(lanes, waiting.lane, () => new Set<Key>()).add(key);
    },

    remove,

    take(mayGo) {
      for (const [namespace, lanes] of namespaces) {
        for (const [lane, keys] of lanes) {
          const [key] = keys;
          const place = key === undefined ? undefined : places.get(key);
          if (key === undefined || place === undefined || !mayGo(lane)) continue;
          remove(key);
          moveToEnd(lanes, lane);
          moveToEnd(namespaces, namespace);
          return { ...place, key };
        }
      }
      return undefined;
    },

    oldest() {
      // Of each lane the first came first.
      const firsts = [...namespaces.values()].flatMap((lanes) => [...lanes.values()].map(([key]) => key));
      const times = firsts.flatMap((key) => (key === undefined ? [] : (places.get(key)?.since ?? [])));
      return times.length === 0 ? undefined : times.reduce((a, b) => Math.min(a, b));
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
