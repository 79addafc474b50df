/**
 * The memory of decoders in threads: one budget in the main thread, and its shares in the threads that use them. Spare memory goes
 * to further threads of a decoder, as long as cores are free.
 *
 * Guarantees: all threads together stay within the budget; a thread that has ended returns its part.
 */
import { abortable } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { BudgetExceeded, type MemoryBudget, type MemoryShare, ShareReturned } from '../lib/memory-budget.ts';
import type { Helpers } from '../source/decompress/index.ts';

export type MemoryRequest =
  /** The share is to have so many bytes in all. */
  | { kind: 'wantMemory'; id: number; bytes: number }
  /** A core and so many bytes, if they are free now. */
  | { kind: 'wantSpare'; id: number; bytes: number }
  | { kind: 'returnMemory'; id: number };

export type MemoryResponse =
  | {
      kind: 'memory';
      id: number;
      /** Absent if they were granted. */
      exceeded?: string;
    }
  | { kind: 'spare'; id: number; isGranted: boolean };

export interface CoresAndMemory extends Pick<MemoryBudget, 'share' | 'spare'> {
  /** A transfer begins to run. It gets a core in any case. */
  useCore(): Disposable;
}

/** The budget, of which memory is spare only together with a core. */
export function withCores({ share, spare }: Pick<MemoryBudget, 'share' | 'spare'>, cores: number): CoresAndMemory {
  let used = 0;

  function useCore(memory?: Disposable): Disposable {
    let isUsed = true;
    used++;
    return {
      [Symbol.dispose]() {
        if (isUsed) used--;
        isUsed = false;
        memory?.[Symbol.dispose]();
      },
    };
  }

  return {
    share,
    useCore: () => useCore(),
    spare(bytes) {
      const memory = used < cores ? spare(bytes) : undefined;
      return memory && useCore(memory);
    },
  };
}

export interface SharesOfThread {
  receive(request: MemoryRequest): void;
  returnAll(): void;
}

/** The shares that one thread has of the budget. */
export function serveMemory(
  budget: Pick<MemoryBudget, 'share' | 'spare'>,
  send: (response: MemoryResponse) => void,
): SharesOfThread {
  const shares = new Map<number, { share: MemoryShare; returned: AbortController }>();
  const spares = new Map<number, Disposable>();

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

  function offer(id: number, bytes: number): void {
    const spare = budget.spare(bytes);
    if (spare !== undefined) spares.set(id, spare);
    send({ kind: 'spare', id, isGranted: spare !== undefined });
  }

  function giveBack(id: number): void {
    spares.get(id)?.[Symbol.dispose]();
    spares.delete(id);
    const opened = shares.get(id);
    shares.delete(id);
    opened?.returned.abort();
    opened?.share[Symbol.dispose]();
  }

  return {
    receive(request) {
      switch (request.kind) {
        case 'wantMemory':
          return void want(request.id, request.bytes);
        case 'wantSpare':
          return offer(request.id, request.bytes);
        case 'returnMemory':
          return giveBack(request.id);
      }
    },
    returnAll() {
      for (const id of [...shares.keys(), ...spares.keys()]) giveBack(id);
    },
  };
}

export interface RemoteMemory extends Pick<MemoryBudget, 'share'> {
  readonly helpers: Helpers;
  receive(response: MemoryResponse): void;
}

/** The budget as it is seen in a thread. */
export function createRemoteMemory(
  send: (request: MemoryRequest) => void,
  clock: Pick<Clock, 'monotonic'>,
): RemoteMemory {
  const waiting = new Map<number, { resolve: () => void; reject: (error: Error) => void }>();
  const offers = new Map<number, (isGranted: boolean) => void>();
  let lastID = 0;
  return {
    share(signal) {
      const id = ++lastID;
      let wanted = 0;
      let held = 0;
      let isReturned = false;
      return {
        want(bytes) {
          wanted = Math.max(wanted, bytes);
        },
        async granted() {
          if (wanted <= held) return;
          if (isReturned) throw new ShareReturned();
          const bytes = wanted;
          const { promise, resolve, reject } = Promise.withResolvers<void>();
          waiting.set(id, { resolve, reject });
          send({ kind: 'wantMemory', id, bytes });
          await abortable(promise, signal);
          held = bytes;
        },
        [Symbol.dispose]() {
          if (isReturned) return;
          isReturned = true;
          waiting.get(id)?.reject(new ShareReturned());
          waiting.delete(id);
          held = 0;
          if (wanted > 0) send({ kind: 'returnMemory', id });
        },
      };
    },
    helpers: {
      clock,
      async take(bytes) {
        const id = ++lastID;
        const { promise, resolve } = Promise.withResolvers<boolean>();
        offers.set(id, resolve);
        send({ kind: 'wantSpare', id, bytes });
        if (!(await promise)) return undefined;
        return { [Symbol.dispose]: () => send({ kind: 'returnMemory', id }) };
      },
    },
    receive(response) {
      const { id } = response;
      if (response.kind === 'spare') {
        offers.get(id)?.(response.isGranted);
        offers.delete(id);
        return;
      }
      const { exceeded } = response;
      const waiter = waiting.get(id);
      waiting.delete(id);
      if (exceeded === undefined) waiter?.resolve();
      else waiter?.reject(new BudgetExceeded(exceeded));
    },
  };
}
