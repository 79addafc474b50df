/** Publishers for reconciles in memory. */
import assert from 'node:assert/strict';
import { createCandidates } from '../../src/image/publishers/candidates.ts';
import type { Following } from '../../src/image/publishers/resolution.ts';
import type { Clock } from '../../src/lib/clock.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import type { Reading } from '../../src/source/resolve/publishers.ts';
import { sha256 } from './world-glance.ts';

/** The URLs of publishers, and the data of the file at each or the failure to read it; a new process reads it when it is due. */
export function publishersOf(start: Readonly<Record<string, string | OperatorError>>, url: string) {
  let at = start;
  const read: string[] = [];
  return {
    /** URLs of what was read. */
    read,
    publish(list: string, data: string | OperatorError) {
      at = { ...at, [list]: data };
    },
    following: (clock: Clock): Following => {
      const known = new Map<string, Reading>();
      const running = new Set<string>();
      return {
        publishers: {
          /** A reading ends before the next reconcile. */
          read(_key, { question: { url: list, looksFor } }, { isPinned, sinceMs }) {
            if (running.delete(list)) {
              const file = looksFor.kind === 'firstUse' ? looksFor.file : url;
              const data = at[list] ?? assert.fail();
              known.set(
                list,
                data instanceof OperatorError
                  ? { kind: 'failed', error: data }
                  : { kind: 'resolved', resolution: { url: file, digest: sha256(data) } },
              );
            } else if ((!known.has(list) && !isPinned) || sinceMs !== undefined) {
              running.add(list);
              read.push(list);
            }
            const reading = sinceMs === undefined ? known.get(list) : undefined;
            return { reading: reading ?? { kind: 'pending' }, nextMs: undefined };
          },
          forget: () => {},
          close: async () => {},
        },
        candidates: createCandidates(clock, () => 0.5),
      };
    },
  };
}

export const followsNothing: Following = {
  publishers: {
    read: () => assert.fail('a publisher was read'),
    forget: () => {},
    close: async () => {},
  },
  candidates: { current: () => undefined, make: () => {}, get: () => undefined, reject: () => {}, forget: () => {} },
};
