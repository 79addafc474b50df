/**
 * The decoders that work at one file at once.
 *
 * Guarantees: each further decoder has a core and memory of its own, as long as they are free; disposing of a team returns all, and
 * what is granted later.
 */
import type { Helpers } from './errors.ts';

/** More would need more memory than the budget of all decoders has, next to other transfers. */
const mostHelpers = 3;
/** Bytes between two questions. */
const leastPause = 2 ** 20;
const longestPause = 64 * 2 ** 20;

/**
 * When to ask for a core again after there was none.
 *
 * A decoder waits for the main thread, which may be busy. So the pause is measured in bytes, not in frames or blocks, which may hold next to
 * nothing, and doubles each time.
 */
export class Questions {
  #next = 0;
  #pause = leastPause;

  /** `done`: bytes so far. */
  areDue(done: number): boolean {
    return done >= this.#next;
  }

  /** There was none, or it was of no use. */
  refused(done: number): void {
    this.#next = done + this.#pause;
    this.#pause = Math.min(2 * this.#pause, longestPause);
  }
}

export interface Team extends Disposable {
  /** Decoders that may work at once. */
  readonly size: number;
  /** Asks for one more. `done`: bytes of data so far. */
  grow(done: number): Promise<void>;
}

/** `first`: the memory that the first further decoder needs, with what the file needs once. `each`: of each one after it. */
export function createTeam(helpers: Helpers, { first, each }: { first: number; each: number }): Team {
  const leases: Disposable[] = [];
  const questions = new Questions();
  let isClosed = false;
  return {
    get size() {
      return 1 + leases.length;
    },
    async grow(done) {
      if (isClosed || leases.length === mostHelpers || !questions.areDue(done)) return;
      const lease = await helpers.take(Math.ceil(leases.length === 0 ? first : each));
      if (lease === undefined) return questions.refused(done);
      if (isClosed) return lease[Symbol.dispose]();
      leases.push(lease);
    },
    [Symbol.dispose]() {
      isClosed = true;
      for (const lease of leases.splice(0)) lease[Symbol.dispose]();
    },
  };
}
