/**
 * The input of a decoder, or of the reader of an archive.
 *
 * Guarantees: one read at a time, and only on demand; bytes are passed on without a copy; stopping early closes the body, once.
 */
/**
 * The bytes that a reader makes of `body`. `begin` looks at its first bytes and returns the reader, or undefined to pass the body on
 * unchanged; `end` is called once, at the end of the bytes, after an error, or when the consumer stops.
 *
 * It is not a generator: each generator that chunks pass through costs as much as the smallest chunk takes to be hashed.
 */
export function readBy(
  body: AsyncIterable<Uint8Array>,
  begin: (input: Input) => Promise<AsyncIterator<Uint8Array, void, undefined> | undefined>,
  end: () => void,
): AsyncIterable<Uint8Array> {
  const over = { done: true, value: undefined } as const;
  let input: Input | undefined;
  let reader: AsyncIterator<Uint8Array, void, undefined> | undefined;
  let isOver = false;

  async function close(): Promise<void> {
    if (isOver) return;
    isOver = true;
    end();
    await input?.close();
  }

  async function begun(): Promise<Input> {
    input = new Input(body);
    reader = await begin(input);
    return input;
  }

  async function next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (isOver) return over;
    try {
      const source = input ?? (await begun());
      const step = reader === undefined ? await source.step() : await reader.next();
      if (step.done !== true) return step;
    } catch (error) {
      await close();
      throw error;
    }
    await close();
    return over;
  }

  async function stop(): Promise<typeof over> {
    await reader?.return?.();
    await close();
    return over;
  }
  return { [Symbol.asyncIterator]: () => ({ next, return: stop }) };
}

/** Small pieces keep the count of taken bytes accurate, and each wait of a decoder short. */
export const pieceBytes = 64 * 1024;

export class Input {
  readonly #source: AsyncIterator<Uint8Array>;
  /** Read, but not passed on yet. */
  #held: Uint8Array[] = [];
  #state: 'open' | 'reading' | 'over' = 'open';
  #taken = 0;

  constructor(body: AsyncIterable<Uint8Array>) {
    this.#source = body[Symbol.asyncIterator]();
  }

  /** Number of bytes that were passed on. */
  get taken(): number {
    return this.#taken;
  }

  /** The first `bytes` bytes, or all if there are fewer. `next` returns them as well. */
  async peek(bytes: number): Promise<Uint8Array> {
    let held = 0;
    for (const chunk of this.#held) held += chunk.length;
    while (held < bytes) {
      const chunk = await this.#read();
      if (chunk === undefined) break;
      this.#held.push(chunk);
      held += chunk.length;
    }
    return Buffer.concat(this.#held.map((chunk) => chunk.subarray(0, bytes))).subarray(0, bytes);
  }

  /** The next chunk, of at most `most` bytes; undefined at the end. Throws the errors of the body. */
  async next(most: number): Promise<Uint8Array | undefined> {
    const chunk = this.#held.shift() ?? (await this.#read());
    if (chunk === undefined) return undefined;
    const piece = chunk.length > most ? chunk.subarray(0, most) : chunk;
    if (piece.length < chunk.length) this.#held.unshift(chunk.subarray(piece.length));
    this.#taken += piece.length;
    return piece;
  }

  /** The next chunk as an iterator returns it, for a reader that passes on everything. It is not counted. */
  step(): Promise<IteratorResult<Uint8Array, undefined>> {
    const value = this.#held.shift();
    return value === undefined ? this.#step() : Promise.resolve({ done: false, value });
  }

  /** The next `bytes` bytes, or all if there are fewer. For small fields. */
  async take(bytes: number): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    for (let left = bytes; left > 0; ) {
      const piece = await this.next(left);
      if (piece === undefined) break;
      left -= piece.length;
      parts.push(piece);
    }
    return Buffer.concat(parts);
  }

  /** Returns the end of the last piece, which `next` gives again. */
  putBack(piece: Uint8Array): void {
    if (piece.length === 0) return;
    this.#held.unshift(piece);
    this.#taken -= piece.length;
  }

  /**
   * Closes the body unless it has ended. A running read is not awaited: it ends with the signal that the body was opened with.
   */
  async close(): Promise<void> {
    if (this.#state === 'over') return;
    const closing = this.#source.return?.();
    if (this.#state === 'reading') closing?.catch(() => {});
    else await closing;
    this.#state = 'over';
  }

  async #read(): Promise<Uint8Array | undefined> {
    const { value } = await this.#step();
    return value;
  }

  async #step(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#state === 'over') return { done: true, value: undefined };
    this.#state = 'reading';
    try {
      const step = await this.#source.next();
      // It may have been closed meanwhile.
      if (this.#state === 'reading') this.#state = step.done === true ? 'over' : 'open';
      return step;
    } catch (error) {
      this.#state = 'over';
      throw error;
    }
  }
}
