/**
 * Bodies of requests and responses. Guarantees: `readBounded` never keeps more than its limit, whatever a peer sends; a
 * reader of a body that `holdBack` returned sees its regular end only if every check has passed.
 */

/** How the reading of a body ended. `bytes` never exceeds the limit. */
export type BoundedRead =
  | { end: 'complete'; bytes: Buffer }
  /** The body is longer; the rest was not read. */
  | { end: 'limit'; bytes: Buffer }
  /** The body failed after these bytes. */
  | { end: 'failed'; bytes: Buffer; error: unknown };

/** Reads a body up to `limitBytes`. Never rejects: callers decide whether a part of it is of use. */
export async function readBounded(body: AsyncIterable<Uint8Array>, limitBytes: number): Promise<BoundedRead> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const bytes = () => Buffer.concat(chunks).subarray(0, limitBytes);
  try {
    for await (const chunk of body) {
      length += chunk.byteLength;
      chunks.push(chunk);
      if (length > limitBytes) return { end: 'limit', bytes: bytes() };
    }
    return { end: 'complete', bytes: bytes() };
  } catch (error) {
    return { end: 'failed', bytes: bytes(), error };
  }
}

/** A check of a whole body, made while it passes. */
export interface BodyCheck {
  /** Gets each chunk before it is passed on. Throws if the body is already known to be wrong. */
  update?(chunk: Uint8Array): void;
  /** Called when the body has ended, before its last chunk is passed on. Throws if the body is wrong. */
  finish(): void;
  /** Called when the reader asks for what follows this chunk. */
  passed?(chunk: Uint8Array): void;
}

/**
 * The same body with its last chunk held back until `check` has passed, so that a wrong body is never complete. A body that
 * is held back already gets the check added to its own: no second chunk is held back. To be read once; returning it closes
 * `body`, even before the first chunk was read. Chunks must not be changed after they were passed on.
 */
export function holdBack(body: AsyncIterable<Uint8Array>, check: BodyCheck): AsyncIterable<Uint8Array> {
  return body instanceof HeldBack ? body.with(check) : new HeldBack(body, [check]);
}

class HeldBack implements AsyncIterable<Uint8Array> {
  readonly #body: AsyncIterable<Uint8Array>;
  readonly #checks: readonly BodyCheck[];

  constructor(body: AsyncIterable<Uint8Array>, checks: readonly BodyCheck[]) {
    this.#body = body;
    this.#checks = checks;
  }

  with(check: BodyCheck): HeldBack {
    return new HeldBack(this.#body, [...this.#checks, check]);
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, void, undefined> {
    const source = this.#body[Symbol.asyncIterator]();
    const chunks = released({ [Symbol.asyncIterator]: () => source }, this.#checks);
    return {
      next: () => chunks.next(),
      // A generator that was never started would not close its source, and one that is waiting would do so too late.
      async return() {
        await source.return?.();
        return chunks.return();
      },
    };
  }
}

async function* released(
  body: AsyncIterable<Uint8Array>,
  checks: readonly BodyCheck[],
): AsyncGenerator<Uint8Array, void, undefined> {
  let held: Uint8Array | undefined;
  const passed = (chunk: Uint8Array) => {
    for (const check of checks) check.passed?.(chunk);
  };
  for await (const chunk of body) {
    // Holding back an empty last chunk would keep nothing from the reader.
    if (chunk.byteLength === 0) continue;
    for (const check of checks) check.update?.(chunk);
    if (held !== undefined) {
      yield held;
      passed(held);
    }
    held = chunk;
  }
  for (const check of checks) check.finish();
  if (held === undefined) return;
  yield held;
  passed(held);
}
