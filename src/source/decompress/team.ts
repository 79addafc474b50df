/**
 * The decoders that work at one file at once.
 *
 * Guarantees: each further decoder has a core and memory of its own, as long as they are free; disposing of a team returns all, and
 * what is granted later.
 */
import type { Helpers } from './errors.ts';

/** More would need more memory than the budget of all decoders has, next to other transfers. */
const mostHelpers = 3;
/** Of data. Questions go to the main thread, so their number must not depend on the number of frames or blocks. */
const bytesPerQuestion = 2 ** 20;

export interface Team extends Disposable {
  /** Decoders that may work at once. */
  readonly size: number;
  /** Asks for one more, if some data was delivered since none was free. `delivered`: bytes of data. */
  grow(delivered: number): Promise<void>;
}

/** `first`: the memory that the first further decoder needs, with what the file needs once. `each`: of each one after it. */
export function createTeam(helpers: Helpers, { first, each }: { first: number; each: number }): Team {
  const leases: Disposable[] = [];
  let isClosed = false;
  let askAgainAt = 0;
  return {
    get size() {
      return 1 + leases.length;
    },
    async grow(delivered) {
      if (isClosed || leases.length === mostHelpers || delivered < askAgainAt) return;
      const lease = await helpers.take(Math.ceil(leases.length === 0 ? first : each));
      if (lease === undefined) {
        askAgainAt = delivered + bytesPerQuestion;
        return;
      }
      if (isClosed) return lease[Symbol.dispose]();
      leases.push(lease);
    },
    [Symbol.dispose]() {
      isClosed = true;
      for (const lease of leases.splice(0)) lease[Symbol.dispose]();
    },
  };
}
