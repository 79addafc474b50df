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
import { createArrivals } from './arrivals.ts';
import type { Channels } from './channels.ts';
import { createStripes, type Stripes } from './stripes.ts';
import { mostConnections } from './width.ts';

/** Further connections are not worth their requests for less than this. */
const leastRestBytes = 64 * 2 ** 20;
/** The first connection goes on while the second one begins to send and is tried, but for no more than this. */
const mostDistance = 20 * 2 ** 20;
const trialSeconds = 0.5;
/** Of what the first response took. A second connection takes about the same time to begin. */
const beginFactor = 2;
const mostTrialSeconds = 1.5;
/** Memory of one connection for what it is ahead of the reader. It has a stripe, and the next one is requested already. */
const shareBytes = 4 * 2 ** 20;
const stripeShare = 1 / 2;
/** At a lower rate a stripe takes about a second. */
const leastStripeBytes = 2 ** 18;
/** Of the second connection, whose bytes are not delivered before the first one ends. */
const trialShares = 4;
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
  createChannels(options: { hasDigest: boolean; signal: AbortSignal }): Channels;
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
  const { assembly, clock, hasDigest, hasParts, createChannels, readAhead, signal } = options;
  const arrivals = createArrivals(clock);
  const opened = clock.monotonic();
  /** Of the first response; undefined before it. */
  let secondsToFirst: number | undefined;
  let open: Further | undefined;
  const leases: Disposable[] = [];

  /** As many connections as there is memory for. */
  function affordable(connections: number): number {
    while (leases.length < Math.max(connections, trialShares)) {
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
    const channels = createChannels({ hasDigest: !hasValidator, signal: over.signal });
    const { bytesPerSecond } = arrivals;
    const distance = bytesPerSecond * Math.min(trialSeconds + beginFactor * (secondsToFirst ?? 0), mostTrialSeconds);
    const from = delivered + Math.min(Math.max(Math.round(distance), leastStripeBytes), mostDistance);
    const stripeBytes = Math.min(Math.max(Math.round(bytesPerSecond), leastStripeBytes), shareBytes * stripeShare);
    let isAlone = false;
    let hasBegun = false;
    // The first connection goes on until its bytes end where theirs begin. Where one is enough, it is the first, which goes on then.
    const connections = () =>
      affordable(isAlone && arrivals.connections > 1 ? arrivals.connections : arrivals.connections - 1);
    const stripes = createStripes({
      openChannel: channels.open,
      ...{ from, to: size, connections },
      stripeBytes: () => stripeBytes,
      heldBytes: () => leases.length * shareBytes,
      onArrival(bytes) {
        if (!hasBegun) arrivals.begin();
        hasBegun = true;
        arrivals.arrived(bytes);
      },
    });
    return {
      from,
      stripes,
      takeOver() {
        isAlone = true;
        // Another connection takes the place of the first one, and has to begin too.
        if (arrivals.connections === 2) arrivals.begin();
      },
      end() {
        over.abort(new Error('the file is read by one connection'));
        over[Symbol.dispose]();
        channels.close();
      },
    };
  }

  function end(): void {
    open?.end();
    open = undefined;
    for (const lease of leases.splice(0)) lease[Symbol.dispose]();
  }

  /** No further connection is used. */
  function settle(): void {
    end();
    arrivals.settle();
  }

  /** The second connection has failed, or its trial has ended without a gain. */
  function isInVain(): boolean {
    return open !== undefined && (arrivals.connections === 1 || open.stripes.hasBegun() === false);
  }

  return {
    end,
    async *first(chunks) {
      arrivals.waiting();
      for await (const chunk of chunks) {
        secondsToFirst ??= (clock.monotonic() - opened) / 1000;
        arrivals.received(chunk.length);
        if (isInVain()) settle();
        const here = open === undefined ? chunk : chunk.subarray(0, open.from - assembly.delivered);
        assembly.deliver(here.length);
        yield here;
        if (open !== undefined && assembly.delivered === open.from) {
          if (open.stripes.hasBegun() === true) return true;
          settle();
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
      settle();
    },
  };
}
