/**
 * Downloads the data of an image from Glance.
 *
 * Guarantees: only an image that has data is read; the digest that its Glance reports is part of the source, so that the reader
 * can verify the bytes.
 *
 * The data of an active image never changes. After a failure the download starts again, and the bytes that were delivered already
 * are dropped.
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
import { OperatorError, responseFieldsOf } from '../lib/errors.ts';
import { readBody } from './body.ts';
import { type Digest, digestOf } from './digest.ts';
import { progress, type SourceCode, SourceError, tooLong } from './errors.ts';
import { createRotation } from './rotation.ts';
import { limitTime, type Source, type SourceLimits } from './source.ts';

export interface ImageSourceOptions {
  /** Of the cloud that holds the image. */
  images: Pick<ImageClient, 'get' | 'download'>;
  id: string;
  clock: Clock;
  random: Random;
  limits: SourceLimits;
  /** Governs the body as well as the opening. */
  signal: AbortSignal;
  /** Called when the body resumes after a failure, with the failure and the next byte. Must not throw. */
  onResume?: (why: SourceError, from: number) => void;
}

export interface ImageSource extends Source {
  /** `os_hash_value`, or the older MD5; undefined if the cloud shows neither. */
  readonly digest: Digest | undefined;
}

function imageSourceURL(id: string): string {
  return `glance://${id}`;
}

/**
 * Resolves when Glance has begun to send the data. Throws SourceError for a problem of the image or its Glance, the errors of the
 * session, or the signal's reason.
 */
export async function openImageSource(options: ImageSourceOptions): Promise<ImageSource> {
  const { images, id, clock, random, limits, onResume } = options;
  const url = imageSourceURL(id);
  /** Bytes delivered. */
  let delivered = 0;
  let size: number | undefined;
  const time = limitTime(options, () => `the image ${id} had sent ${progress(delivered, size)}`);
  const { signal } = time;
  const rotation = createRotation(1, random);

  interface Download {
    data: ImageData;
    stop: (error: SourceError) => void;
  }

  async function begin(): Promise<Download> {
    const over = new AbortController();
    const data = await asSource(() => images.download(id, { signal: AbortSignal.any([signal, over.signal]) }));
    return { data, stop: (error) => over.abort(error) };
  }

  async function beginAgain(failure: SourceError): Promise<Download> {
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

  /** Errors must name the source image: they must not look like errors of the image that is being filled. */
  async function asSource<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      signal.throwIfAborted();
      throw asSourceError(id, error);
    }
  }

  /** Delivers the bytes of a download; returns the failure that ended it too early. */
  async function* deliver({ data, stop }: Download): AsyncGenerator<Uint8Array, SourceError | undefined, undefined> {
    const place = { start: 0, end: size, wanted: delivered, size };
    try {
      for await (const chunk of readBody({ ...place, body: data.body, stop, url, clock, limits, signal })) {
        delivered += chunk.length;
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

  async function* body(first: Download): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (let download = first; ; ) {
        const from = delivered;
        const failure = yield* deliver(download);
        if (failure === undefined) return;
        // Bytes that are read again are no progress.
        if (delivered - from >= Math.max(limits.stallBytes, from)) rotation.progressed();
        download = await beginAgain(failure);
        onResume?.(failure, delivered);
      }
    } finally {
      time.stop();
    }
  }

  try {
    const image = await asSource(() => images.get(id, signal));
    checkState(image);
    if (image.size !== null && image.size > limits.maxBytes)
      throw tooLong(url, `has ${image.size} bytes`, limits.maxBytes);
    const first = await begin();
    size = image.size ?? first.data.size;
    const endIsCertain = size !== undefined;
    return { url, size, endIsCertain, digest: digestInRecord(image), body: body(first) };
  } catch (error) {
    time.stop();
    throw error;
  }
}

/** Glance's own digest of the data, in the best algorithm that is known here. */
export function digestInRecord({ hash, checksum }: Image): Digest | undefined {
  const digest = hash === null ? undefined : digestOf(hash.algorithm, hash.value);
  return digest ?? (checksum === null ? undefined : digestOf('md5', checksum));
}

function checkState({ id, status, size }: Image): void {
  const say = (code: SourceCode, why: string) => new SourceError(code, `the source image ${id} ${why}`);
  switch (status) {
    case 'active':
      if (size === 0) throw say('EmptySource', 'has no bytes');
      return;
    case 'queued':
    case 'saving':
    case 'uploading':
    case 'importing':
      throw say('SourceNotReady', `is ${status}: its data is not there yet`);
    case 'deactivated':
      throw say('SourceDeactivated', 'is deactivated: an administrator has blocked the download of its data');
    case 'deleted':
    case 'pending_delete':
      throw say('SourceNotFound', `is ${status}: its data was deleted`);
    case 'killed':
      throw say('SourceNotFound', 'is killed: its upload failed, and it will never have data');
    default:
      throw say('SourceUnavailable', `is ${status}: an image in that state has no data`);
  }
}

/** Errors of Glance about the image become errors of the source; other errors stay as they are. */
function asSourceError(id: string, error: unknown): unknown {
  if (!(error instanceof OperatorError) || error instanceof SourceError) return error;
  const code = codeOf(error);
  if (code === undefined) return error;
  return new SourceError(code, `the source image ${id}: ${error.message}`, {
    cause: error,
    ...responseFieldsOf(error),
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
