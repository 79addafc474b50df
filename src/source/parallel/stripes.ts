/**
 * Reads a file in stripes, several at a time, and delivers their bytes in order.
 *
 * Guarantees: no more stripes are being read than `connections` says at the moment; at most `heldBytes` are requested and not delivered;
 * bytes that were delivered are the file from `from` on, without a gap, also if a stripe fails.
 */
export interface StripesOptions {
  /** The bytes of a stripe, in order. They end with a signal of the caller. */
  read(from: number, to: number): AsyncIterable<Uint8Array>;
  from: number;
  to: number;
  /** Of the next stripe. */
  stripeBytes(): number;
  /** At the moment. */
  heldBytes(): number;
  /** Bytes have arrived, in any stripe. */
  onArrival(bytes: number): void;
  /** How many stripes may be read at once now. */
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
  readonly to: number;
  readonly #chunks: Uint8Array[] = [];
  #state: 'reading' | 'ended' | 'failed' = 'reading';
  #wake: (() => void) | undefined;
  #left: number;

  constructor(body: AsyncIterable<Uint8Array>, from: number, to: number, onArrival: (bytes: number) => void) {
    this.to = to;
    this.#left = to - from;
    void this.#fill(body, onArrival);
  }

  get isReading(): boolean {
    return this.#state === 'reading';
  }

  get hasBegun(): boolean | undefined {
    if (this.#chunks.length > 0 || this.#state === 'ended') return true;
    return this.#state === 'failed' ? false : undefined;
  }

  /** Undefined at its end, or after a failure. */
  async next(): Promise<Uint8Array | undefined> {
    while (this.#chunks.length === 0 && this.#state === 'reading') {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    const chunk = this.#chunks.shift();
    this.#left -= chunk?.length ?? 0;
    return chunk;
  }

  /** Whether all of it was delivered. */
  get isComplete(): boolean {
    return this.#left === 0;
  }

  async #fill(body: AsyncIterable<Uint8Array>, onArrival: (bytes: number) => void): Promise<void> {
    try {
      for await (const chunk of body) {
        onArrival(chunk.length);
        this.#chunks.push(chunk);
        this.#wake?.();
      }
      this.#state = 'ended';
    } catch {
      // The reader goes on at the first byte that is missing, by one connection, and meets the cause again if it stays.
      this.#state = 'failed';
    }
    this.#wake?.();
  }
}

export function createStripes(options: StripesOptions): Stripes {
  const { read, from, to, stripeBytes, heldBytes, onArrival, connections } = options;
  const begun: Stripe[] = [];
  let claimed = from;
  let delivered = from;
  let hasFailed = false;

  function begin(): void {
    const reading = begun.filter(({ isReading }) => isReading).length;
    for (let free = connections() - reading; free > 0; free--) {
      const end = Math.min(claimed + stripeBytes(), to);
      if (claimed === to || end - delivered > heldBytes()) return;
      begun.push(new Stripe(read(claimed, end), claimed, end, onArrival));
      claimed = end;
    }
  }

  begin();
  return {
    hasBegun: () => (hasFailed ? false : begun[0]?.hasBegun),
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
