/**
 * The endpoints of a service, in turn. Law: they are shuffled once and then cycled, each call beginning one further than the last
 * and each of its tries one further than the try before, so that a call meets every endpoint before it meets one twice; one
 * that failed is met last for a while, so that a dead one costs few calls any time.
 */
import type { Clock, Random } from '../lib/clock.ts';

/** The way of one call through the endpoints. */
export interface Route {
  /** For the next try. */
  next(endpoints: readonly string[]): string;
  /** What `next` gave last has failed. */
  failed(): void;
  /** Whether there is an endpoint that this call has not met. */
  hasUntried(): boolean;
}

export interface Endpoints {
  route(): Route;
}

/** How long an endpoint that failed is met last. */
const restMs = 30_000;

export function createEndpoints(clock: Clock, random: Random): Endpoints {
  let cycle: readonly string[] = [];
  let turn = 0;
  const restingUntil = new Map<string, number>();

  /** The cycle of these endpoints from where the next call begins, the resting ones last. */
  function arranged(endpoints: readonly string[]): readonly string[] {
    if (!isSame(endpoints, cycle)) {
      cycle = shuffled(endpoints, random);
      restingUntil.clear();
    }
    const start = turn++ % cycle.length;
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

/** In whatever order: a new token may have a catalog in another one. */
function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one) => b.includes(one));
}

/** A copy in an order that `random` gives, each as likely as any other. */
function shuffled<T>(all: readonly T[], random: Random): T[] {
  const rest = [...all];
  return all.flatMap(() => rest.splice(Math.floor(random() * rest.length), 1));
}
