/**
 * The data of an image that a Glance holds already, in this cloud or another. Law: only an image whose data is there is a
 * source, and the digest that its Glance has on record comes along, for the reader to verify.
 *
 * The data of an active image never changes under its id. So a download that broke is begun again and read up to the byte
 * where we were.
 */
import type { ImageClient, ImageData } from '../glance/client/index.ts';
import {
  GlanceConnectionFailed,
  GlanceUnavailable,
  ImageDownloadFailed,
  ImageNotAuthorized,
  ImageNotFound,
} from '../glance/errors.ts';
import type { Image } from '../glance/image.ts';
import type { Clock, Random } from '../lib/clock.ts';
import { OperatorError, retry } from '../lib/errors.ts';
import { readBody } from './body.ts';
import { type Digest, digestOf } from './digest.ts';
import { progress, type SourceCode, SourceError, tooLong, upstreamRetry } from './errors.ts';
import { createRotation } from './rotation.ts';
import type { Source, SourceLimits } from './source.ts';
import { limitTime } from './time.ts';

export interface ImageSourceOptions {
  /** Of the cloud that holds the image. */
  images: Pick<ImageClient, 'get' | 'download'>;
  id: string;
  clock: Clock;
  random: Random;
  limits: SourceLimits;
  /** Governs the body as well as the opening. */
  signal: AbortSignal;
  /** Called when the body goes on after a failure: what the failure was, and at which byte it goes on. Must not throw. */
  onResume?: (why: SourceError, from: number) => void;
}

export interface ImageSource extends Source {
  /** What the bytes must have: `os_hash_value`, or the older MD5; undefined where the cloud shows neither. */
  readonly digest: Digest | undefined;
}

/**
 * Resolves once Glance has begun to send the data. Throws SourceError for what is wrong with the image or its Glance, the
 * session's own errors, or the signal's reason.
 */
export async function openImageSource(options: ImageSourceOptions): Promise<ImageSource> {
  const { images, id, clock, random, limits, onResume } = options;
  const url = `glance://${id}`;
  /** Bytes given out. */
  let given = 0;
  let size: number | undefined;
  const time = limitTime(options, () => `the image ${id} had sent ${progress(given, size)}`);
  const { signal } = time;
  const rotation = createRotation(1, random);

  interface Part {
    data: ImageData;
    stop: (error: SourceError) => void;
  }

  async function begin(): Promise<Part> {
    const over = new AbortController();
    const data = await inOurTerms(() => images.download(id, { signal: AbortSignal.any([signal, over.signal]) }));
    return { data, stop: (error) => over.abort(error) };
  }

  async function beginAgain(failure: SourceError): Promise<Part> {
    for (let why: OperatorError = failure; ; ) {
      const step = rotation.failed(why);
      if (step.kind === 'over') throw step.error;
      await clock.sleep(step.pauseMs, signal);
      try {
        return await begin();
      } catch (error) {
        if (!(error instanceof OperatorError)) throw error;
        why = error;
      }
    }
  }

  /** What is thrown about an image that is a source must not read as if it were about the image that is being made. */
  async function inOurTerms<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      signal.throwIfAborted();
      throw asSourceError(id, error);
    }
  }

  /** Gives out what a part brings; returns what ended it too early. */
  async function* give({ data, stop }: Part): AsyncGenerator<Uint8Array, SourceError | undefined, undefined> {
    const place = { start: 0, end: size, wanted: given, size };
    try {
      for await (const chunk of readBody({ ...place, body: data.body, stop, url, clock, limits, signal })) {
        given += chunk.length;
        yield chunk;
      }
      return undefined;
    } catch (error) {
      signal.throwIfAborted();
      const failure = asSourceError(id, error);
      if (failure instanceof SourceError) return failure;
      throw failure;
    }
  }

  async function* body(first: Part): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (let part = first; ; ) {
        const from = given;
        const failure = yield* give(part);
        if (failure === undefined) return;
        // What had to be read again is no progress.
        if (given - from >= Math.max(limits.stallBytes, from)) rotation.progressed();
        part = await beginAgain(failure);
        onResume?.(failure, given);
      }
    } finally {
      time.stop();
    }
  }

  try {
    const image = await inOurTerms(() => images.get(id, signal));
    checkState(image);
    if (image.size !== null && image.size > limits.maxBytes)
      throw tooLong(url, `has ${image.size} bytes`, limits.maxBytes);
    const first = await begin();
    size = image.size ?? first.data.size;
    const endIsCertain = size !== undefined;
    return { url, size, etag: undefined, endIsCertain, digest: digestIn(image), body: body(first) };
  } catch (error) {
    time.stop();
    throw error;
  }
}

function digestIn({ hash, checksum }: Image): Digest | undefined {
  const digest = hash === null ? undefined : digestOf(hash.algorithm, hash.value);
  return digest ?? (checksum === null ? undefined : digestOf('md5', checksum));
}

function checkState({ id, status, size }: Image): void {
  const say = (code: SourceCode, again: OperatorError['retry'], why: string) =>
    new SourceError(code, again, `the source image ${id} ${why}`);
  switch (status) {
    case 'active':
      if (size === 0) throw say('EmptySource', upstreamRetry, 'has no bytes');
      return;
    case 'queued':
    case 'saving':
    case 'uploading':
    case 'importing':
      throw say('SourceUnavailable', retry.after(60_000), `is ${status}: its data is not there yet`);
    case 'deactivated':
      throw say('SourceForbidden', upstreamRetry, 'is deactivated: an administrator has closed its data');
    case 'deleted':
    case 'pending_delete':
      throw say('SourceNotFound', upstreamRetry, `is ${status}: its data is gone`);
    case 'killed':
      throw say('SourceNotFound', upstreamRetry, 'is killed: its upload failed, and its data will never come');
    default:
      throw say('SourceUnavailable', upstreamRetry, `is ${status}: that is no state in which it has data`);
  }
}

/** What Glance said about the image, as a failure of the source; other errors as they are. */
function asSourceError(id: string, error: unknown): unknown {
  if (!(error instanceof OperatorError) || error instanceof SourceError) return error;
  const code = codeOf(error);
  if (code === undefined) return error;
  const again = code === 'SourceNotFound' || code === 'EmptySource' ? upstreamRetry : error.retry;
  const { httpStatus, requestId } = error;
  return new SourceError(code, again, `the source image ${id}: ${error.message}`, {
    cause: error,
    httpStatus,
    requestId,
  });
}

function codeOf(error: OperatorError): SourceCode | undefined {
  if (error instanceof ImageNotFound) return 'SourceNotFound';
  if (error instanceof ImageNotAuthorized) return 'SourceForbidden';
  if (error instanceof GlanceUnavailable) return 'SourceUnavailable';
  if (error instanceof GlanceConnectionFailed)
    return error.code === 'GlanceUnreachable' ? 'SourceUnreachable' : 'SourceUnavailable';
  // Without a cause it is no failure, but an image without data.
  if (error instanceof ImageDownloadFailed) return error.cause === undefined ? 'EmptySource' : 'SourceTooShort';
  return undefined;
}
