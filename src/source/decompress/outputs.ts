/**
 * Outputs that are made at once and read one after the other.
 *
 * Guarantees: the items are in order, and complete up to an error; of each output no more is made ahead than it may hold.
 */
import type { Changes } from '../../lib/changes.ts';

interface Output<T> {
  /** Made, and not read. */
  items: T[];
  /** What they weigh. */
  held: number;
  state: 'running' | 'ended' | { error: unknown };
}

/** One that is made only while it is read. */
interface Direct<T> {
  direct: AsyncIterable<T>;
}

export class Outputs<T> {
  readonly #changes: Changes;
  readonly #weigh: (item: T) => number;
  /** In their order, those included of which all is made. The first one is being read. */
  readonly #outputs: (Output<T> | Direct<T>)[] = [];
  readonly #running = new Set<Promise<void>>();
  #hasEnded = false;

  constructor(changes: Changes, weigh: (item: T) => number) {
    this.#changes = changes;
    this.#weigh = weigh;
  }

  /** Begins to make it. `most`: the weight that its unread items may have. */
  add(items: AsyncIterable<T>, most: () => number): void {
    const output: Output<T> = { items: [], held: 0, state: 'running' };
    const making = this.#make(output, items, most).finally(() => {
      this.#running.delete(making);
      this.#changes.happened();
    });
    this.#outputs.push(output);
    this.#running.add(making);
    this.#changes.happened();
  }

  addDirect(direct: AsyncIterable<T>): void {
    this.#outputs.push({ direct });
    this.#changes.happened();
  }

  /** Nothing more is added. `failure`: thrown after all that was added. */
  end(failure?: { error: unknown }): void {
    if (failure !== undefined) this.#outputs.push({ items: [], held: 0, state: failure });
    this.#hasEnded = true;
    this.#changes.happened();
  }

  /** Resolves when another output may be made; with false if nothing is read any more. */
  haveRoom(most: number): Promise<boolean> {
    return this.#changes.until(() => this.#running.size < most && this.#outputs.length <= most);
  }

  /** As `haveRoom`, when all that was added is read. */
  areDelivered(): Promise<boolean> {
    return this.#changes.until(() => this.#outputs.length === 0);
  }

  /** As `haveRoom`, when all that was made is read. */
  areEmpty(): Promise<boolean> {
    return this.#changes.until(() => this.#outputs.every((output) => 'direct' in output || output.items.length === 0));
  }

  async *deliver(): AsyncGenerator<T, void, undefined> {
    for (;;) {
      await this.#changes.until(() => this.#outputs.length > 0 || this.#hasEnded);
      const [first] = this.#outputs;
      if (first === undefined) return;
      yield* 'direct' in first ? first.direct : this.#read(first);
      this.#outputs.shift();
      this.#changes.happened();
    }
  }

  /** Resolves when nothing is made any more. */
  async stop(): Promise<void> {
    this.#changes.stop();
    await Promise.all(this.#running);
  }

  async *#read(output: Output<T>): AsyncGenerator<T, void, undefined> {
    for (;;) {
      await this.#changes.until(() => output.items.length > 0 || output.state !== 'running');
      const item = output.items.shift();
      if (item === undefined) break;
      output.held -= this.#weigh(item);
      this.#changes.happened();
      yield item;
    }
    if (typeof output.state === 'object') throw output.state.error;
  }

  async #make(output: Output<T>, items: AsyncIterable<T>, most: () => number): Promise<void> {
    try {
      for await (const item of items) {
        output.items.push(item);
        output.held += this.#weigh(item);
        this.#changes.happened();
        if (!(await this.#changes.until(() => output.held <= most()))) return;
      }
      output.state = 'ended';
    } catch (error) {
      output.state = { error };
    }
  }
}
