/**
 * Rotation over the endpoints of a service. They are shuffled once. Each call starts one endpoint further than the call before, and
 * each of its attempts goes one endpoint further.
 *
 * Guarantees: a call uses every endpoint before it uses one twice; an endpoint that failed comes last for a while, so that a dead
 * endpoint slows few calls.
 */
import type { Clock, Random } from '../lib/clock.ts';

/** The endpoints in the order of one call. */
export interface Route {
  /** The endpoint for the next attempt. */
  next(endpoints: readonly string[]): string;
  /** Reports that the endpoint which `next` returned last has failed. */
  failed(): void;
  /** Whether there is an endpoint that this call has not tried. */
  hasUntried(): boolean;
}

export interface Endpoints {
  route(): Route;
}

/** How long an endpoint that failed comes last. */
const restMs = 30_000;

export function createEndpoints(clock: Clock, random: Random): Endpoints {
  let cycle: readonly string[] = [];
  let calls = 0;
  const restingUntil = new Map<string, number>();

  /** The endpoints in the order of the next call, with those that failed recently at the end. */
  function arranged(endpoints: readonly string[]): readonly string[] {
    if (!isSame(endpoints, cycle)) {
      cycle = shuffled(endpoints, random);
      restingUntil.clear();
    }
    const start = calls++ % cycle.length;
    const order = [...cycle.slice(start), ...cycle.slice(0, start)];
    const rests = (one: string) => clock.monotonic() < (restingUntil.get(one) ?? 0);
    return [...order.filter((one) => !rests(one)), ...order.filter(rests)];
  }

  return {
    route() {
      let order: readonly string[] = [];
      let tried = 0;
      let current = '';
      return {
        next(endpoints) {
          if (!isSame(endpoints, order)) order = arranged(endpoints);
          current = order[tried++ % order.length] ?? '';
          return current;
        },
        failed() {
          restingUntil.set(current, clock.monotonic() + restMs);
        },
        hasUntried: () => tried < order.length,
      };
    },
  };
}

/** In any order: the catalog of a new token may have another one. */
function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one) => b.includes(one));
}

/** A copy in random order. Every order is equally likely. */
function shuffled<T>(all: readonly T[], random: Random): T[] {
  const rest = [...all];
  return all.flatMap(() => rest.splice(Math.floor(random() * rest.length), 1));
}
