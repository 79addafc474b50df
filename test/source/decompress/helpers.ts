/** Cores and memory for further threads of decoders, as many as a test gives, and what became of them. */
import type { Helpers } from '../../../src/source/decompress/index.ts';

export interface CountedHelpers extends Helpers {
  /** How often one was asked for. */
  readonly asked: number;
  /** How many were taken, and how many of these were returned. */
  readonly taken: number;
  readonly returned: number;
  /** Of memory, of all that were taken. */
  readonly bytes: number;
}

/** Time does not pass. */
export const stillClock = { monotonic: () => 0 };

export function countedHelpers(most: number): CountedHelpers {
  const count = { asked: 0, taken: 0, returned: 0, bytes: 0 };
  return {
    clock: stillClock,
    get asked() {
      return count.asked;
    },
    get taken() {
      return count.taken;
    },
    get returned() {
      return count.returned;
    },
    get bytes() {
      return count.bytes;
    },
    async take(bytes) {
      count.asked++;
      if (count.taken - count.returned === most) return undefined;
      count.taken++;
      count.bytes += bytes;
      return {
        [Symbol.dispose]() {
          count.returned++;
        },
      };
    },
  };
}

/** The same helpers, of which the third one is granted only when a test releases it. */
export function withLateThird(helpers: CountedHelpers) {
  const [asked, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const late: Helpers = {
    clock: helpers.clock,
    async take(bytes) {
      if (helpers.taken === 2) {
        asked.resolve();
        await released.promise;
      }
      return helpers.take(bytes);
    },
  };
  return { helpers: late, isAsked: asked.promise, release: () => released.resolve() };
}
