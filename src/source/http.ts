/**
 * Downloads a file from a URL and its mirrors.
 *
 * Guarantees: the body consists of the bytes of one version of the file, as served, in order, each once, however often a server
 * fails. If that cannot be proven, the download continues only with a declared digest, and fails without one.
 *
 * The rest of a file is requested by Range and If-Range. If a server sends the whole file again, the bytes that were delivered
 * already are dropped. If it rejects the request, the next one is for the whole file.
 */
import type { Clock, Random } from '../lib/clock.ts';
import { OperatorError, responseFieldsOf } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';
import { readBody } from './body.ts';
import { afterRedirect, progress, SourceError, tooLong } from './errors.ts';
import type { DeclaredHeaders } from './headers.ts';
import { createRangeReader } from './ranges.ts';
import { fetchFollowing } from './request.ts';
import { type ResponseRange, rangeIn, rejectsRange } from './response-range.ts';
import { createRotation } from './rotation.ts';
import { limitTime, type Source, type SourceLimits } from './source.ts';
import type { SourceTransport } from './transport.ts';
import { checkRestart, checkResume, ifRangeOf, type KnownFile, type Validators } from './validators.ts';

/** Limit on the time to the response header, unless the stall window is shorter. */
const longestFirstByteMs = 30_000;
/** A mirror network can lead to another server at each resume. */
const mostWarnings = 4;

export interface HttpSourceOptions {
  /** The URL, then its mirrors, in the order in which they are tried. */
  urls: readonly [string, ...string[]];
  /** As `readHeaders` makes them. Sent to the server of the URL, and to a mirror only if it is the same server. */
  headers?: DeclaredHeaders;
  transport: SourceTransport;
  clock: Clock;
  random: Random;
  limits: SourceLimits;
  /** The reader compares the body with a digest. Then responses without a common validator may be joined. */
  hasDigest: boolean;
  /** Governs the body as well as the opening. */
  signal: AbortSignal;
  /** Called when the body resumes after a failure, with the failure and the next byte. Must not throw. */
  onResume?: (why: SourceError, from: number) => void;
}

export type HttpSource = Source & {
  /** Of the first response with the present version of the file. */
  readonly validators: Pick<Validators, 'etag' | 'lastModified'>;
  /** Whether all bytes so far came from public addresses, or from hosts that the installation names. */
  readonly isAdmitted: boolean;
};

/**
 * Resolves when a server has begun to send the file. Throws SourceError, EgressRefused, or the signal's reason; if several
 * addresses failed, an OperatorError with the code of the failure that may pass soonest.
 */
export async function openHttpSource(options: HttpSourceOptions): Promise<HttpSource> {
  const { urls, headers = {}, transport, clock, random, limits, hasDigest, onResume } = options;
  const firstByteMs = Math.min(longestFirstByteMs, limits.stallWindowMs);
  /** Bytes delivered. */
  let delivered = 0;
  const time = limitTime(options, () => `${safeUrl(urls[0])} had sent ${progress(delivered, file?.size)}`);
  const { signal } = time;
  const rotation = createRotation(urls.length, random);
  const declaredFor = URL.parse(urls[0])?.origin;
  let file: KnownFile | undefined;
  /** By address: the validators of the bytes that were used. */
  const validators = new Map<number, Validators>();
  /** Addresses that reject requests for a range. */
  const wholeOnly = new Set<number>();
  let isSpliced = false;
  let isPublic = true;
  let isAdmitted = true;
  let warnings: readonly string[] = [];
  /** Parts of the file are read in addition to the body. */
  let hasRanges = false;

  /** The next range, from the first address that has it. `failure` ended the range before. */
  async function nextRange(failure?: OperatorError): Promise<ResponseRange> {
    for (let why = failure; ; ) {
      if (why !== undefined) await recover(why);
      try {
        return await request(rotation.index);
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
    if (delivered > 0 && !hasDigest && file !== undefined && ifRangeOf(file.validators) === undefined)
      throw cannotResume(why);
    await clock.sleep(step.pauseMs, signal);
  }

  async function request(index: number): Promise<ResponseRange> {
    const last = delivered === 0 ? undefined : validators.get(index);
    const asksRange = delivered > 0 && !wholeOnly.has(index);
    const validator = asksRange ? last && ifRangeOf(last) : undefined;
    const range = !asksRange ? {} : { range: `bytes=${delivered}-`, ...(validator ? { 'if-range': validator } : {}) };
    const url = urls[index] ?? urls[0];
    const options = { url, range, declared: headers, declaredFor, hasDigest, transport, clock, firstByteMs, signal };
    const { url: end, response, withheld, redirectedBy, warnings: found } = await fetchFollowing(options);
    if (asksRange && rejectsRange(response)) {
      response.body.destroy();
      wholeOnly.add(index);
      return request(index);
    }
    try {
      const ifRange = validator === undefined ? undefined : last;
      const received = rangeIn(end, response, { from: delivered, size: file?.size, ifRange, withheld, hasDigest });
      accept(received, last);
      isPublic &&= received.isPublic;
      isAdmitted &&= received.isPublic || received.isNamed;
      validators.set(index, received.validators);
      warnings = [...new Set([...warnings, ...found])].slice(0, mostWarnings);
      return received;
    } catch (error) {
      response.body.destroy();
      throw afterRedirect(error, redirectedBy);
    }
  }

  /** Throws if the bytes must not continue those that were delivered. */
  function accept(received: ResponseRange, last: Validators | undefined): void {
    const { url, size, endIsCertain } = received;
    if (size === 0) throw new SourceError('EmptySource', `${safeUrl(url)} is an empty file`);
    if (size !== undefined && size > limits.maxBytes) throw tooLong(url, `announces ${size} bytes`, limits.maxBytes);
    const circumstances = { hasDigest, isPublic: isPublic && received.isPublic };
    if (file !== undefined && delivered > 0) {
      if (checkResume(received, file, last, circumstances) === 'assumed') isSpliced = true;
      file.size ??= size;
      return;
    }
    if (file !== undefined) checkRestart(received, file, circumstances);
    file = {
      validators: received.validators,
      size: size ?? file?.size,
      endIsCertain: file?.endIsCertain ?? endIsCertain,
    };
    validators.clear();
  }

  /** Delivers the bytes of a range; returns the failure if the file does not end there. */
  async function* deliver(received: ResponseRange): AsyncGenerator<Uint8Array, SourceError | undefined, undefined> {
    const size = file?.size;
    const { body, url, start, end = size } = received;
    const stop = (error: SourceError) => void body.destroy(error);
    try {
      for await (const chunk of readBody({
        body,
        stop,
        url,
        start,
        end,
        wanted: delivered,
        size,
        clock,
        limits,
        signal,
      })) {
        delivered += chunk.length;
        yield chunk;
      }
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof SourceError)) throw error;
      // If all bytes are there, it does not matter how the connection ended.
      return error.code !== 'SourceTooLong' && delivered === size ? undefined : error;
    }
    // A body of unknown length is the whole rest, unless the response is a range with an end.
    if (size === undefined ? end === undefined : delivered === size) return undefined;
    const message = `${safeUrl(url)} sent only a part of the file, up to ${progress(delivered, size)}`;
    return new SourceError('SourceTooShort', message);
  }

  async function* body(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        const from = delivered;
        const failure = yield* deliver(current);
        if (failure === undefined) return;
        // Bytes that are read again do not count: a server without ranges could prolong the download without limit.
        if (delivered - from >= Math.max(limits.stallBytes, from - current.start)) rotation.progressed();
        current = await nextRange(failure);
        onResume?.(failure, delivered);
      }
    } finally {
      // The limit is on both. It ends with the signal.
      if (!hasRanges) time.stop();
    }
  }

  /** The range that is being read, or was read last. */
  let current: ResponseRange;
  try {
    current = await nextRange();
  } catch (error) {
    time.stop();
    throw error;
  }
  const { size, endIsCertain } = current;
  const whole = { urls, declared: headers, declaredFor, transport, clock, random, limits, firstByteMs, signal };
  return {
    ranges: createRangeReader({
      ...whole,
      known() {
        hasRanges = true;
        return { file, validators, isPublic };
      },
    }),
    get url() {
      return current.url.href;
    },
    size,
    endIsCertain,
    get isSpliced() {
      return isSpliced;
    },
    get isPublic() {
      return isPublic;
    },
    get isAdmitted() {
      return isAdmitted;
    },
    get validators() {
      return file?.validators ?? { etag: undefined, lastModified: undefined };
    },
    get warnings() {
      return warnings;
    },
    body: body(),
  };
}

/** The failure, and why the download cannot resume after it. */
function cannotResume(why: OperatorError): OperatorError {
  const hint = 'it cannot resume, because the server sends no validator of the file and no digest is declared';
  return new OperatorError(`${why.message}; ${hint}`, {
    code: why.code,
    cause: why,
    ...responseFieldsOf(why),
  });
}
