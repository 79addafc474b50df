/**
 * The memory of decoders in threads: one budget in the main thread, and its shares in the threads that use them.
 *
 * Guarantees: all threads together stay within the budget; the shares of a thread that has ended are returned.
 */
import { abortable } from '../lib/abort.ts';
import { BudgetExceeded, type MemoryBudget, type MemoryShare } from '../lib/memory-budget.ts';

export type MemoryRequest =
  /** The share is to have so many bytes in all. */
  { kind: 'wantMemory'; id: number; bytes: number } | { kind: 'returnMemory'; id: number };

export interface MemoryResponse {
  kind: 'memory';
  id: number;
  /** Absent if they were granted. */
  exceeded?: string;
}

export interface SharesOfThread {
  receive(request: MemoryRequest): void;
  returnAll(): void;
}

/** The shares that one thread has of the budget. */
export function serveMemory(
  budget: Pick<MemoryBudget, 'share'>,
  send: (response: MemoryResponse) => void,
): SharesOfThread {
  const shares = new Map<number, { share: MemoryShare; returned: AbortController }>();

  function open(id: number) {
    const returned = new AbortController();
    const opened = { share: budget.share(returned.signal), returned };
    shares.set(id, opened);
    return opened;
  }

  async function want(id: number, bytes: number): Promise<void> {
    const { share, returned } = shares.get(id) ?? open(id);
    share.want(bytes);
    try {
      await share.granted();
      if (!returned.signal.aborted) send({ kind: 'memory', id });
    } catch (error) {
      if (!returned.signal.aborted && error instanceof BudgetExceeded)
        send({ kind: 'memory', id, exceeded: error.message });
    }
  }

  function giveBack(id: number): void {
    const opened = shares.get(id);
    shares.delete(id);
    opened?.returned.abort();
    opened?.share[Symbol.dispose]();
  }

  return {
    receive: (request) => (request.kind === 'wantMemory' ? void want(request.id, request.bytes) : giveBack(request.id)),
    returnAll() {
      for (const id of [...shares.keys()]) giveBack(id);
    },
  };
}

export interface RemoteMemory extends Pick<MemoryBudget, 'share'> {
  receive(response: MemoryResponse): void;
}

/** The budget as it is seen in a thread. */
export function createRemoteMemory(send: (request: MemoryRequest) => void): RemoteMemory {
  const waiting = new Map<number, { resolve: () => void; reject: (error: Error) => void }>();
  let lastID = 0;
  return {
    share(signal) {
      const id = ++lastID;
      let wanted = 0;
      let held = 0;
      return {
        want(bytes) {
          wanted = Math.max(wanted, bytes);
        },
        async granted() {
          if (wanted <= held) return;
          const bytes = wanted;
          const { promise, resolve, reject } = Promise.withResolvers<void>();
          waiting.set(id, { resolve, reject });
          send({ kind: 'wantMemory', id, bytes });
          await abortable(promise, signal);
          held = bytes;
        },
        [Symbol.dispose]() {
          waiting.delete(id);
          if (wanted > 0) send({ kind: 'returnMemory', id });
        },
      };
    },
    receive({ id, exceeded }) {
      const waiter = waiting.get(id);
      waiting.delete(id);
      if (exceeded === undefined) waiter?.resolve();
      else waiter?.reject(new BudgetExceeded(exceeded));
    },
  };
}
