/**
 * One transfer: source → digest → format → PUT, as one chain of async generators in constant memory. Laws: the last chunk
 * is held back until length, digest and format are known to be right, so Glance never activates what was not verified; and
 * the error that comes out is the first cause, not what it brought about at the other end.
 */
import type { Clock } from '../lib/clock.ts';
import { OperatorError, retry } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';
import { createDigestVerifier, type Digest, formatDigest, parseDigest } from '../source/digest.ts';
import { SourceError, upstreamRetry } from '../source/errors.ts';
import { createFormatCheck } from '../source/format.ts';
import type { Source } from '../source/source.ts';
import type { TransferPlan, TransferProgress, TransferResult } from './plan.ts';
import type { OpenSource } from './sources.ts';

/**
 * PUTs `body` as the data of the image; resolves when Glance has accepted all of it. Must reject, and never let Glance see
 * a regular end, when `body` throws. `size` is the length of the body in bytes where it is known.
 */
export type Upload = (
  imageID: string,
  body: AsyncIterable<Uint8Array>,
  options: { size?: number; signal: AbortSignal },
) => Promise<void>;

export interface TransferOptions {
  openSource: OpenSource;
  upload: Upload;
  clock: Clock;
  /** Called for every chunk: must be cheap. */
  onProgress: (progress: TransferProgress) => void;
  signal: AbortSignal;
}

/** Rejects with the first cause (an OperatorError, as a rule), or with the signal's reason. */
export async function runTransfer(plan: TransferPlan, options: TransferOptions): Promise<TransferResult> {
  const { openSource, clock, signal } = options;
  signal.throwIfAborted();
  const startedAt = clock.now().toISOString();
  const start = clock.monotonic();
  const expected = plan.source.digest === undefined ? undefined : parseDigest(plan.source.digest);
  // Closes the source once the upload is through, well or ill.
  const over = new AbortController();
  try {
    const source = await openSource(plan, AbortSignal.any([signal, over.signal]));
    if (!source.endIsCertain && expected === undefined) throw uncertainEnd(source);
    const { bytes, digest } = await send(plan, source, expected, options);
    const durationMs = Math.round(clock.monotonic() - start);
    return { bytes, digest: formatDigest(digest), url: safeUrl(source.url), startedAt, durationMs };
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    over.abort(new Error('the transfer is over'));
  }
}

interface Verified {
  bytes: number;
  digest: Digest;
}

/**
 * Where the body has got to. A body that failed is the cause of whatever the upload says after it; an upload that rejects
 * while its body is well has a cause of its own, such as an early answer of Glance.
 */
type BodyState = { kind: 'open' } | ({ kind: 'verified' } & Verified) | { kind: 'failed'; error: unknown };

async function send(
  plan: TransferPlan,
  source: Source,
  expected: Digest | undefined,
  { upload, onProgress, signal }: TransferOptions,
): Promise<Verified> {
  const digest = createDigestVerifier(expected, source.url);
  const format = createFormatCheck(plan.diskFormat, source.url);
  let state: BodyState = { kind: 'open' };
  const current = (): BodyState => state;

  async function* body(): AsyncGenerator<Uint8Array, void, undefined> {
    let bytes = 0;
    let held: Uint8Array | undefined;
    try {
      for await (const chunk of source.body) {
        if (chunk.length === 0) continue;
        digest.update(chunk);
        format.update(chunk);
        if (held !== undefined) {
          yield held;
          bytes += held.length;
          onProgress({ bytes, total: source.size });
        }
        held = chunk;
      }
      if (held === undefined) throw emptySource(source);
      format.finish();
      state = { kind: 'verified', bytes: bytes + held.length, digest: digest.finish() };
    } catch (error) {
      state = { kind: 'failed', error };
      throw error;
    }
    yield held;
  }

  try {
    await upload(plan.imageID, body(), { signal, ...(source.size === undefined ? {} : { size: source.size }) });
  } catch (error) {
    const end = current();
    throw end.kind === 'failed' ? end.error : error;
  }
  const end = current();
  switch (end.kind) {
    case 'verified':
      return end;
    case 'failed':
      throw end.error;
    case 'open':
      throw new OperatorError('Glance accepted the upload before all of the data was sent; the image is not complete', {
        code: 'ContentMismatch',
        retry: retry.backoff,
      });
  }
}

function uncertainEnd(source: Source): SourceError {
  return new SourceError(
    'SourceInvalid',
    upstreamRetry,
    `${safeUrl(source.url)} announces no length, so a broken download would look complete: declare a digest`,
  );
}

function emptySource(source: Source): SourceError {
  return new SourceError('EmptySource', upstreamRetry, `${safeUrl(source.url)} is an empty file`);
}
