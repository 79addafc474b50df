/**
 * Reads a file that arrives slowly by further connections, which take it over from the first one.
 *
 * Guarantees: the first connection goes on until the others have begun to send; their bytes are used only if they are proven to be of the
 * same file, or are compared with a digest; after a failure one connection reads the rest.
 */
import { linked } from '../../lib/abort.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Assembly } from '../assembly.ts';
import { createArrivals } from './arrivals.ts';
import type { Channels } from './channels.ts';
import { type AllDownloads, shareBytes } from './downloads.ts';
import { createStripes, type Stripes } from './stripes.ts';

/** Further connections are not worth their requests for less than this. */
const leastRestBytes = 64 * 2 ** 20;
/**
 * The first connection goes on while the second one begins to send, and then for so long. Where both share one limit, it is half as fast, and
 * that takes as long as a trial.
 */
const trialSeconds = 0.4;
/** Of what the first response took. A second connection takes about the same time to begin. */
const beginFactor = 2;
/** It gets more time if it has missed the first one. */
const mostBeginSeconds = [1, 3] as const;
const stripeShare = 1 / 2;
/** At a lower rate a stripe takes about a second. */
const leastStripeBytes = 2 ** 18;
/** Of the second connection, whose bytes are not delivered before the first one ends. */
const trialShares = 4;

export interface WideningOptions {
  assembly: Assembly;
  clock: Pick<Clock, 'monotonic'>;
  hasDigest: boolean;
  downloads: AllDownloads;
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
  /** Since when the second connection can begin. */
  readonly since: number;
  /** Where they begin. */
  readonly from: number;
  readonly stripes: Stripes;
  /** The first connection is closed. */
  takeOver(): void;
  end(): void;
}

export function createWidening(options: WideningOptions): Widening {
  const { assembly, clock, hasDigest, hasParts, createChannels, downloads, signal } = options;
  const arrivals = createArrivals({ clock, downloads });
  const opened = clock.monotonic();
  /** Of the first response, or how long a second connection has not begun; undefined before both. */
  let secondsToBegin: number | undefined;
  let hasMissed = false;
  let open: Further | undefined;
  const leases: Disposable[] = [];

  /** As many connections as there is memory for. */
  function affordable(connections: number): number {
    while (leases.length < Math.max(connections, trialShares)) {
      const lease = downloads.readAhead.spare(shareBytes);
      if (lease === undefined) break;
      leases.push(lease);
    }
    return Math.min(connections, leases.length);
  }

  function release(): void {
    for (const lease of leases.splice(0)) lease[Symbol.dispose]();
  }

  /** The memory of a second connection that sends so much before the first one ends. With less of it the trial would show no gain. */
  function reserve(bytes: number): boolean {
    const shares = Math.min(Math.ceil(bytes / shareBytes), trialShares);
    const isThere = affordable(shares) === shares;
    if (!isThere) release();
    return isThere;
  }

  function begin(): Further | undefined {
    const { size, delivered, hasValidator } = assembly;
    const isProven = hasDigest || hasValidator;
    const isWorthIt = size !== undefined && size - delivered >= leastRestBytes && hasParts() && isProven;
    if (!isWorthIt) {
      arrivals.settle();
      return undefined;
    }
    const { bytesPerSecond } = arrivals;
    const seconds = Math.min(beginFactor * (secondsToBegin ?? 0), mostBeginSeconds[hasMissed ? 1 : 0]);
    const distance = Math.max(
      Math.round(bytesPerSecond * seconds + Math.min(bytesPerSecond * trialSeconds, trialShares * shareBytes)),
      leastStripeBytes,
    );
    if (!reserve(distance)) {
      arrivals.postpone();
      return undefined;
    }
    const over = linked(signal);
    // Where the file has a validator, each part has to have it: a digest would only find the mixture in the end.
    const channels = createChannels({ hasDigest: !hasValidator, signal: over.signal });
    const from = Math.min(delivered + distance, size - leastRestBytes / 2);
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
        if (over.signal.aborted) return;
        if (!hasBegun) arrivals.begin();
        hasBegun = true;
        arrivals.arrived(bytes);
      },
    });
    return {
      since: clock.monotonic(),
      ...{ from, stripes },
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
    release();
  }

  /** No further connection is used. */
  function settle(): void {
    end();
    arrivals.settle();
  }

  /** A second connection is tried once more, with more time. */
  function miss({ since }: Further): void {
    secondsToBegin = (clock.monotonic() - since) / 1000;
    hasMissed = true;
    end();
    arrivals.miss();
  }

  /** Ends the second connection if it has failed, or if its trial has ended without a gain. */
  function endInVain(): void {
    if (open === undefined) return;
    if (open.stripes.hasBegun() === false) settle();
    else if (arrivals.connections === 1) end();
  }

  return {
    end() {
      end();
      arrivals.end();
    },
    async *first(chunks) {
      arrivals.waiting();
      for await (const chunk of chunks) {
        secondsToBegin ??= (clock.monotonic() - opened) / 1000;
        arrivals.received(chunk.length);
        endInVain();
        const here = open === undefined ? chunk : chunk.subarray(0, open.from - assembly.delivered);
        assembly.deliver(here.length);
        yield here;
        if (open !== undefined && assembly.delivered === open.from) {
          if (open.stripes.hasBegun() === true) return true;
          miss(open);
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
