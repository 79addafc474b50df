/**
 * Reads a file in stripes, by several connections, and delivers their bytes in order.
 *
 * Guarantees: no more connections are used than `connections` says at the moment; at most `heldBytes` are requested and not delivered;
 * bytes that were delivered are the file from `from` on, without a gap, also if a stripe fails.
 *
 * A connection gets its next stripe as soon as it has begun to send the one before, so that it has no pause between them. Where there is
 * no memory for that, connections without a stripe come first, then those that have the least left to send.
 */

/** One connection, which sends the stripes in the order of the calls. */
export interface Channel {
  /** The bytes of a stripe, in order. They end with a signal of the caller. */
  read(from: number, to: number): AsyncIterable<Uint8Array>;
}

export interface StripesOptions {
  openChannel(): Channel;
  from: number;
  to: number;
  /** Of the next stripe. */
  stripeBytes(): number;
  /** At the moment. */
  heldBytes(): number;
  /** Bytes have arrived, in any stripe. */
  onArrival(bytes: number): void;
  /** How many connections may be used now. */
  connections(): number;
}

export interface Stripes {
  /**
   * Whether the first stripe has begun to arrive, so that the others can be expected to. Undefined while that is not known; false after
   * a failure.
   */
  hasBegun(): boolean | undefined;
  /** Resolves with the next bytes; undefined at the end, after a failure, and when no stripe may be read any more. */
  next(): Promise<Uint8Array | undefined>;
}

class Stripe {
  readonly #chunks: Uint8Array[] = [];
  #state: 'reading' | 'ended' | 'failed' = 'reading';
  #wake: (() => void) | undefined;
  #unsent: number;
  #undelivered: number;

  /** `onChange`: bytes have arrived, or all of them. */
  constructor(body: AsyncIterable<Uint8Array>, bytes: number, onChange: (bytes: number) => void) {
    this.#unsent = bytes;
    this.#undelivered = bytes;
    void this.#fill(body, onChange);
  }

  get isReading(): boolean {
    return this.#state === 'reading';
  }

  get hasFailed(): boolean {
    return this.#state === 'failed';
  }

  get hasBegun(): boolean {
    return this.#chunks.length > 0 || this.#unsent < this.#undelivered || this.#state === 'ended';
  }

  /** Bytes that have not arrived. */
  get unsent(): number {
    return this.#unsent;
  }

  /** Undefined at its end, or after a failure. */
  async next(): Promise<Uint8Array | undefined> {
    while (this.#chunks.length === 0 && this.#state === 'reading') {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    const chunk = this.#chunks.shift();
    this.#undelivered -= chunk?.length ?? 0;
    return chunk;
  }

  /** Whether all of it was delivered. */
  get isComplete(): boolean {
    return this.#undelivered === 0;
  }

  async #fill(body: AsyncIterable<Uint8Array>, onChange: (bytes: number) => void): Promise<void> {
    try {
      for await (const chunk of body) {
        this.#unsent -= chunk.length;
        this.#chunks.push(chunk);
        this.#wake?.();
        onChange(chunk.length);
      }
      this.#state = 'ended';
    } catch {
      // The reader goes on at the first byte that is missing, by one connection, and meets the cause again if it stays.
      this.#state = 'failed';
    }
    this.#wake?.();
    onChange(0);
  }
}

/** Of one channel: the one that is being sent, and one that follows. */
const stripesAhead = 2;

export function createStripes(options: StripesOptions): Stripes {
  const { openChannel, from, to, stripeBytes, heldBytes, onArrival, connections } = options;
  /** In the order of the file. */
  const begun: Stripe[] = [];
  const channels: { channel: Channel; reading: Stripe[] }[] = [];
  let claimed = from;
  let delivered = from;
  let hasFailed = false;

  /** The channel that needs a stripe first. */
  function neediest(): (typeof channels)[number] | undefined {
    const width = connections();
    while (channels.length < width) channels.push({ channel: openChannel(), reading: [] });
    let best: { channel: (typeof channels)[number]; left: number } | undefined;
    for (const channel of channels.slice(0, width)) {
      channel.reading = channel.reading.filter(({ isReading }) => isReading);
      const isOpen = channel.reading.length < stripesAhead && channel.reading.every(({ hasBegun }) => hasBegun);
      const left = channel.reading.reduce((sum, { unsent }) => sum + unsent, 0);
      if (isOpen && (best === undefined || left < best.left)) best = { channel, left };
    }
    return best?.channel;
  }

  function begin(): void {
    while (!begun.some((stripe) => stripe.hasFailed)) {
      const end = Math.min(claimed + stripeBytes(), to);
      if (claimed === to || end - delivered > heldBytes()) return;
      const next = neediest();
      if (next === undefined) return;
      const body = next.channel.read(claimed, end);
      const stripe = new Stripe(body, end - claimed, (bytes) => {
        if (bytes > 0) onArrival(bytes);
        begin();
      });
      next.reading.push(stripe);
      begun.push(stripe);
      claimed = end;
    }
  }

  begin();
  return {
    hasBegun: () =>
      hasFailed || begun[0]?.hasFailed === true ? false : begun[0]?.hasBegun === true ? true : undefined,
    async next() {
      for (;;) {
        begin();
        const [first] = begun;
        if (first === undefined || hasFailed) return undefined;
        const chunk = await first.next();
        if (chunk !== undefined) {
          delivered += chunk.length;
          return chunk;
        }
        hasFailed = !first.isComplete;
        begun.shift();
      }
    },
  };
}
