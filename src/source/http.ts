/**
 * A file behind HTTP URLs: the declared one and its mirrors. Law: the bytes that come out are those of one version of the
 * file, as served, in order, each once, however often a server breaks; where that cannot be known, only a declared digest
 * makes going on right, and without one the download fails.
 *
 * Going on means asking for the rest by Range and If-Range. A server that sends the whole file again is read up to the byte
 * where we were.
 */
import type { Clock, Random } from '../lib/clock.ts';
import { OperatorError, retry } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';
import { readBody } from './body.ts';
import { progress, SourceError, tooLong, upstreamRetry } from './errors.ts';
import type { DeclaredHeaders } from './headers.ts';
import { checkBeginning, joinPart, type KnownFile } from './join.ts';
import { type Part, readPart } from './part.ts';
import { ask } from './request.ts';
import { createRotation } from './rotation.ts';
import type { Source, SourceLimits } from './source.ts';
import { limitTime } from './time.ts';
import type { SourceTransport } from './transport.ts';
import { type Version, validatorOf } from './version.ts';

/** How long a server may take for the header of its answer, unless a stall is called one sooner. */
const longestFirstByteMs = 30_000;

export interface HttpSourceOptions {
  /** The URL, then its mirrors, in the order in which they are asked. */
  urls: readonly [string, ...string[]];
  /** As `readHeaders` makes them. Sent to the server of the URL, and to a mirror only if it is the same server. */
  headers?: DeclaredHeaders;
  transport: SourceTransport;
  clock: Clock;
  random: Random;
  limits: SourceLimits;
  /** Whoever reads the body compares it with a digest: then answers that share no validator may be joined. */
  hasDigest: boolean;
  /** Governs the body as well as the opening. */
  signal: AbortSignal;
  /** Called when the body goes on after a failure: what the failure was, and at which byte it goes on. Must not throw. */
  onResume?: (why: SourceError, from: number) => void;
}

/**
 * Resolves once a server has begun to send the file. Throws SourceError, EgressRefused, or the signal's reason; if several
 * addresses failed, an OperatorError with the code of the failure that may pass soonest.
 */
export async function openHttpSource(options: HttpSourceOptions): Promise<Source> {
  const { urls, headers = {}, transport, clock, random, limits, hasDigest, onResume } = options;
  const firstByteMs = Math.min(longestFirstByteMs, limits.stallWindowMs);
  /** Bytes given out. */
  let given = 0;
  const time = limitTime(options, () => `${safeUrl(urls[0])} had sent ${progress(given, file?.size)}`);
  const { signal } = time;
  const rotation = createRotation(urls.length, random);
  const declaredFor = URL.parse(urls[0])?.origin;
  let file: KnownFile | undefined;
  /** By address: the version whose bytes were used. */
  const versions = new Map<number, Version>();
  let isPatchwork = false;
  let isPublic = true;

  /** The part that comes next, from wherever it can be had. `failure` is what ended the one before. */
  async function nextPart(failure?: OperatorError): Promise<Part> {
    for (let why = failure; ; ) {
      if (why !== undefined) await recover(why);
      try {
        return await askFor(rotation.index);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof OperatorError)) throw error;
        why = error;
      }
    }
  }

  async function recover(why: OperatorError): Promise<void> {
    const step = rotation.failed(why);
    if (step.kind === 'over') throw step.error;
    if (given > 0 && !hasDigest && file !== undefined && validatorOf(file.version) === undefined) throw cannotGoOn(why);
    await clock.sleep(step.pauseMs, signal);
  }

  async function askFor(index: number): Promise<Part> {
    const last = given === 0 ? undefined : versions.get(index);
    const validator = last && validatorOf(last);
    const range = given === 0 ? {} : { range: `bytes=${given}-`, ...(validator ? { 'if-range': validator } : {}) };
    const url = urls[index] ?? urls[0];
    const request = { url, range, declared: headers, declaredFor, transport, clock, firstByteMs, signal };
    const { url: answered, response, withheld } = await ask(request);
    try {
      const ifRange = validator === undefined ? undefined : last;
      const part = readPart(answered, response, { from: given, size: file?.size, ifRange, withheld });
      accept(part, last);
      isPublic &&= part.isPublic;
      versions.set(index, part.version);
      return part;
    } catch (error) {
      response.body.destroy();
      throw error;
    }
  }

  /** Throws if the bytes of the part must not follow those that were given out. */
  function accept(part: Part, last: Version | undefined): void {
    const { url, version, size, endIsCertain } = part;
    if (size === 0) throw new SourceError('EmptySource', upstreamRetry, `${safeUrl(url)} is an empty file`);
    if (size !== undefined && size > limits.maxBytes) throw tooLong(url, `announces ${size} bytes`, limits.maxBytes);
    const circumstances = { hasDigest, isPublic: isPublic && part.isPublic };
    if (file !== undefined && given > 0) {
      if (joinPart(part, file, last, circumstances) === 'assumed') isPatchwork = true;
      file.size ??= size;
      return;
    }
    if (file !== undefined) checkBeginning(part, file, circumstances);
    file = { version, size: size ?? file?.size, endIsCertain: file?.endIsCertain ?? endIsCertain };
    versions.clear();
  }

  /** Gives out what a part brings; returns what is wrong if the file does not end there. */
  async function* give(part: Part): AsyncGenerator<Uint8Array, SourceError | undefined, undefined> {
    const size = file?.size;
    const { body, url, start, end = size } = part;
    const stop = (error: SourceError) => void body.destroy(error);
    try {
      for await (const chunk of readBody({ body, stop, url, start, end, wanted: given, size, clock, limits, signal })) {
        given += chunk.length;
        yield chunk;
      }
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof SourceError)) throw error;
      // Once all of it is there, it does not matter how the connection ended.
      return error.code !== 'SourceTooLong' && given === size ? undefined : error;
    }
    // A body of unknown length is the whole rest, unless it was asked for as a range and says itself where it ends.
    if (size === undefined ? end === undefined : given === size) return undefined;
    const message = `${safeUrl(url)} sent only a part of the file, up to ${progress(given, size)}`;
    return new SourceError('SourceTooShort', retry.backoff, message);
  }

  async function* body(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        const from = given;
        const failure = yield* give(part);
        if (failure === undefined) return;
        // What had to be read again does not count, or a server without ranges could keep us reading without end.
        if (given - from >= Math.max(limits.stallBytes, from - part.start)) rotation.progressed();
        part = await nextPart(failure);
        onResume?.(failure, given);
      }
    } finally {
      time.stop();
    }
  }

  /** The one that is being read, or was read last. */
  let part: Part;
  try {
    part = await nextPart();
  } catch (error) {
    time.stop();
    throw error;
  }
  const { size, endIsCertain } = part;
  return {
    get url() {
      return part.url.href;
    },
    size,
    get etag() {
      return part.etag;
    },
    endIsCertain,
    get isPatchwork() {
      return isPatchwork;
    },
    get isPublic() {
      return isPublic;
    },
    body: body(),
  };
}

/** The failure that ended the part before, and why it cannot be made good. */
function cannotGoOn(why: OperatorError): OperatorError {
  const hint = 'it cannot be gone on with, because the server names no version of the file and no digest is declared';
  return new OperatorError(`${why.message}; ${hint}`, {
    code: why.code,
    retry: why.retry,
    cause: why,
    ...(why.httpStatus === undefined ? {} : { httpStatus: why.httpStatus }),
  });
}
