/**
 * The body on its way into a decoder. Law: one read at a time and only when somebody asks; bytes are handed on, never
 * copied; and whoever stops early closes the body, once.
 */

/** A body in small pieces keeps the count of what was taken close to the truth, and each wait of a decoder short. */
export const pieceBytes = 64 * 1024;

export class Input {
  readonly #source: AsyncIterator<Uint8Array>;
  /** Read, but not handed out yet. */
  #held: Uint8Array[] = [];
  #state: 'open' | 'reading' | 'over' = 'open';
  #taken = 0;

  constructor(body: AsyncIterable<Uint8Array>) {
    this.#source = body[Symbol.asyncIterator]();
  }

  /** How many bytes were handed out. */
  get taken(): number {
    return this.#taken;
  }

  /** The first `bytes` bytes, or all if there are fewer; they are still to come from `next`. */
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

  /** The next chunk, cut to `most` bytes; undefined at the end. Throws what the body throws. */
  async next(most: number): Promise<Uint8Array | undefined> {
    const chunk = this.#held.shift() ?? (await this.#read());
    if (chunk === undefined) return undefined;
    const piece = chunk.length > most ? chunk.subarray(0, most) : chunk;
    if (piece.length < chunk.length) this.#held.unshift(chunk.subarray(piece.length));
    this.#taken += piece.length;
    return piece;
  }

  /**
   * Closes the body, unless it is over. A read under way is not waited for: it ends with the signal that the body was opened
   * with.
   */
  async close(): Promise<void> {
    if (this.#state === 'over') return;
    const closing = this.#source.return?.();
    if (this.#state === 'reading') closing?.catch(() => {});
    else await closing;
    this.#state = 'over';
  }

  async #read(): Promise<Uint8Array | undefined> {
    if (this.#state === 'over') return undefined;
    this.#state = 'reading';
    try {
      const { done, value } = await this.#source.next();
      this.#state = done ? 'over' : 'open';
      return done ? undefined : value;
    } catch (error) {
      this.#state = 'over';
      throw error;
    }
  }
}
