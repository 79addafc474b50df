/** Time that moves only when a test says so. */
import type { Clock } from '../../src/lib/clock.ts';

export class ManualClock implements Clock {
  #now = 0;
  #timers = new Set<{ at: number; fire: () => void }>();
  /** The durations of all sleeps so far. */
  readonly slept: number[] = [];
  readonly #start: number;

  constructor(start = '2026-01-01T00:00:00Z') {
    this.#start = Date.parse(start);
  }

  now(): Date {
    return new Date(this.#start + this.#now);
  }

  monotonic(): number {
    return this.#now;
  }

  /** Sleeps pass at once; the clock shows it. */
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.slept.push(ms);
    this.advance(ms);
  }

  schedule(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, fire: callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  advance(ms: number): void {
    this.#now += ms;
    for (const timer of this.#timers) {
      if (timer.at > this.#now) continue;
      this.#timers.delete(timer);
      timer.fire();
    }
  }

  get pending(): number {
    return this.#timers.size;
  }
}
