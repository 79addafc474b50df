/**
 * Reads a file that arrives slowly by further connections, which take it over from the first one.
 *
 * Guarantees: the first connection goes on until the others have begun to send; their bytes are used only if they are proven to be of the
 * same file, or are compared with a digest; after a failure one connection reads the rest.
 */
import { linked } from '../../lib/abort.ts';
import type { Clock } from '../../lib/clock.ts';
import type { MemoryBudget } from '../../lib/memory-budget.ts';
import type { Assembly } from '../assembly.ts';
import type { RangeReader } from '../source.ts';
import { createArrivals } from './arrivals.ts';
import { createStripes, type Stripes } from './stripes.ts';
import { mostConnections } from './width.ts';

/** Further connections are not worth their requests for less than this. */
const leastRestBytes = 64 * 2 ** 20;
/** The first connection goes on for about a second, in which the second one has to begin to send, but for no more than this. */
const mostDistance = 20 * 2 ** 20;
/** Of a stripe. At a lower rate it takes about a second: a connection that begins the next one is idle for two round trips. */
const leastStripeBytes = 2 ** 18;
/** A share of the memory for what connections are ahead of the reader, and how much of it the stripes may have that are being read. */
const shareBytes = 6 * 2 ** 20;
const stripesPerShare = 5 / 6;
/** Few connections take two shares each, because longer stripes have shorter pauses between them. */
const sharesOf = (connections: number) => Math.min(2 * connections, mostConnections);
/** For all downloads that have one budget: 8 connections of one, or fewer of several. */
export const readAheadBytes = mostConnections * shareBytes;

export interface WideningOptions {
  assembly: Assembly;
  clock: Pick<Clock, 'monotonic'>;
  hasDigest: boolean;
  /** The memory of what further connections are ahead. */
  readAhead: Pick<MemoryBudget, 'spare'>;
  /** Whether the address in use can be asked for parts. */
  hasParts(): boolean;
  /** `hasDigest`: whether parts without a validator of the file are used. */
  createReader(options: { hasDigest: boolean; signal: AbortSignal }): RangeReader;
  signal: AbortSignal;
}

export interface Widening {
  /** The bytes of the first connection; returns whether further ones go on from there. */
  first(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, boolean, undefined>;
  /** The bytes of several connections, up to the end or to where one has to go on. */
  further(): AsyncGenerator<Uint8Array, void, undefined>;
  /** Closes further connections. */
  end(): void;
}

interface Further {
  /** Where they begin. */
  readonly from: number;
  readonly stripes: Stripes;
  /** The first connection is closed. */
  takeOver(): void;
  end(): void;
}

export function createWidening(options: WideningOptions): Widening {
  const { assembly, clock, hasDigest, hasParts, createReader, readAhead, signal } = options;
  const arrivals = createArrivals(clock);
  let open: Further | undefined;
  const leases: Disposable[] = [];

  /** As many connections as there is memory for. */
  function affordable(connections: number): number {
    while (leases.length < sharesOf(connections)) {
      const lease = readAhead.spare(shareBytes);
      if (lease === undefined) break;
      leases.push(lease);
    }
    return Math.min(connections, leases.length);
  }

  function begin(): Further | undefined {
    const { size, delivered, hasValidator } = assembly;
    const isProven = hasDigest || hasValidator;
    const isWorthIt = size !== undefined && size - delivered >= leastRestBytes && hasParts() && isProven;
    if (!isWorthIt || affordable(1) === 0) {
      arrivals.settle();
      return undefined;
    }
    const over = linked(signal);
    // Where the file has a validator, each part has to have it: a digest would only find the mixture in the end.
    const reader = createReader({ hasDigest: !hasValidator, signal: over.signal });
    const second = Math.max(Math.round(arrivals.bytesPerSecond), leastStripeBytes);
    const from = delivered + Math.min(second, mostDistance);
    let isAlone = false;
    // The first connection goes on until its bytes end where theirs begin. Where one is enough, it is the first, which goes on then.
    const connections = () =>
      affordable(isAlone && arrivals.connections > 1 ? arrivals.connections : arrivals.connections - 1);
    const heldBytes = () => leases.length * shareBytes;
    const stripes = createStripes({
      read: (begins, ends) => reader.read(begins, ends, 'once'),
      ...{ from, to: size, connections },
      stripeBytes: () => Math.min(second, Math.floor((heldBytes() * stripesPerShare) / Math.max(connections(), 1))),
      heldBytes,
      onArrival: arrivals.arrived,
    });
    return {
      from,
      stripes,
      takeOver() {
        isAlone = true;
        arrivals.begin();
      },
      end() {
        over.abort(new Error('the file is read by one connection'));
        over[Symbol.dispose]();
      },
    };
  }

  function end(): void {
    open?.end();
    open = undefined;
    for (const lease of leases.splice(0)) lease[Symbol.dispose]();
  }

  return {
    end,
    async *first(chunks) {
      arrivals.waiting();
      for await (const chunk of chunks) {
        const here = open === undefined ? chunk : chunk.subarray(0, open.from - assembly.delivered);
        if (open === undefined) arrivals.received(chunk.length);
        assembly.deliver(here.length);
        yield here;
        if (open !== undefined && assembly.delivered === open.from) {
          if (open.stripes.hasBegun() === true) return true;
          end();
          arrivals.settle();
          const rest = chunk.subarray(here.length);
          assembly.deliver(rest.length);
          if (rest.length > 0) yield rest;
        }
        if (open === undefined && arrivals.connections > 1) open = begin();
        arrivals.waiting();
      }
      return false;
    },
    async *further() {
      if (open === undefined) return;
      const { stripes, takeOver } = open;
      takeOver();
      arrivals.waiting();
      for (let chunk = await stripes.next(); chunk !== undefined; chunk = await stripes.next()) {
        // Its bytes were counted when they arrived.
        arrivals.received(0);
        assembly.deliver(chunk.length);
        yield chunk;
        arrivals.waiting();
      }
      arrivals.settle();
      end();
    },
  };
}
