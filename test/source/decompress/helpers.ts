/** Cores and memory for further threads of decoders, as many as a test gives, and what became of them. */
import type { Helpers } from '../../../src/source/decompress/index.ts';

export interface CountedHelpers extends Helpers {
  /** How many were taken, and how many of these were returned. */
  readonly taken: number;
  readonly returned: number;
}

export function countedHelpers(most: number): CountedHelpers {
  const count = { taken: 0, returned: 0 };
  return {
    get taken() {
      return count.taken;
    },
    get returned() {
      return count.returned;
    },
    async take() {
      if (count.taken - count.returned === most) return undefined;
      count.taken++;
      return {
        [Symbol.dispose]() {
          count.returned++;
        },
      };
    },
  };
}
