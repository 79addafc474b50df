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
      const known = new Map<string, { reading: Reading; startedMs: number }>();
      const running = new Map<string, number>();
      return {
        publishers: {
          /** A reading ends before the next reconcile. */
          read(_key, { question: { url: list, looksFor } }, { isPinned, sinceMs }) {
            const isOutdated = () => sinceMs !== undefined && (known.get(list)?.startedMs ?? -1) < sinceMs;
            const startedMs = running.get(list);
            if (startedMs !== undefined) {
              running.delete(list);
              const file = looksFor.kind === 'firstUse' ? looksFor.file : url;
              const data = at[list] ?? assert.fail();
              const reading: Reading =
                data instanceof OperatorError
                  ? { kind: 'failed', error: data }
                  : { kind: 'resolved', resolution: { url: file, digest: sha256(data) } };
              known.set(list, { reading, startedMs });
            } else if ((!known.has(list) && !isPinned) || isOutdated()) {
              running.set(list, clock.monotonic());
              read.push(list);
            }
            const reading = isOutdated() ? undefined : known.get(list)?.reading;
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
  candidates: {
    current: () => undefined,
    make: () => {},
    get: () => undefined,
    reject: () => {},
    reread: () => {},
    settle: () => {},
    forget: () => {},
  },
};
