/**
 * Downloads a file from a URL and its mirrors.
 *
 * Guarantees: the body consists of the bytes of one version of the file, as served, in order, each once, however often a server
 * fails. If that cannot be proven, the download continues only with a declared digest, and fails without one.
 *
 * The rest of a file is requested by Range and If-Range. If a server sends the whole file again, the bytes that were delivered
 * already are dropped. If it rejects the request, the next one is for the whole file.
 */

import { linked } from '../lib/abort.ts';
import type { Clock, Random } from '../lib/clock.ts';
import { OperatorError, responseFieldsOf } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';
import { readBody } from './body.ts';
import { afterRedirect, progress, SourceError, tooLong } from './errors.ts';
import type { DeclaredHeaders } from './headers.ts';
import { createPace } from './parallel/pace.ts';
import { createStripes, type Stripes } from './parallel/stripes.ts';
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
/** Further connections are not worth their requests for less than this. */
const leastRestBytes = 64 * 2 ** 20;
/** Of a stripe. It should take about a second, because a connection that begins the next one is idle for two round trips. */
const leastStripeBytes = 2 ** 18;
/** Of all stripes that are being read. */
const stripesBytes = 32 * 2 ** 20;
/** Limit for bytes that were requested and that the reader has not used: a fast connection may be two of 8 stripes ahead. */
const heldBytes = 40 * 2 ** 20;

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
  const pace = createPace(clock);
  /** The rest of the file from this byte on, by several connections. */
  let parallel: Parallel | undefined;

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
      countOrigin(received);
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

  /** Its bytes are used. */
  function countOrigin(received: ResponseRange): void {
    isPublic &&= received.isPublic;
    isAdmitted &&= received.isPublic || received.isNamed;
  }

  /** Bytes of further connections are used only if they are proven to be of the same file, or are compared with a digest. */
  function beginParallel(): Parallel | undefined {
    const size = file?.size;
    const validator = file === undefined ? undefined : ifRangeOf(file.validators);
    const isProven = hasDigest || validator !== undefined;
    if (size === undefined || !isProven || wholeOnly.has(rotation.index) || size - delivered < leastRestBytes) {
      pace.settle();
      return undefined;
    }
    const over = linked(signal);
    const reader = createRangeReader({
      ...{ ...whole, signal: over.signal },
      // Where the file has a validator, each part has to have it: a digest would only find the mixture in the end.
      hasDigest: validator === undefined,
      onResponse(received, continuity) {
        if (continuity === 'assumed') isSpliced = true;
        countOrigin(received);
      },
      known: () => ({ file, validators, isPublic }),
    });
    const second = Math.min(Math.max(Math.round(pace.bytesPerSecond), leastStripeBytes), leastRestBytes / 2);
    const from = delivered + second;
    let isAlone = false;
    const stripes = createStripes({
      read: (begin, end) => reader.read(begin, end, 'once'),
      ...{ from, to: size, heldBytes },
      stripeBytes: () => Math.min(second, Math.floor(stripesBytes / pace.connections)),
      // The first connection goes on until its bytes end where theirs begin. Where one is enough, it is the first, which goes on then.
      connections: () => (isAlone && pace.connections > 1 ? pace.connections : pace.connections - 1),
    });
    return {
      from,
      stripes,
      takeOver() {
        isAlone = true;
        pace.begin();
      },
      end() {
        over.abort(new Error('the file is read by one connection'));
        over[Symbol.dispose]();
      },
    };
  }

  function endParallel(): void {
    parallel?.end();
    parallel = undefined;
  }

  /** The bytes of one connection, up to where those of several begin if these have begun to arrive by then. */
  async function* untilParallel(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, boolean, undefined> {
    pace.waiting();
    for await (const chunk of chunks) {
      const here = parallel === undefined ? chunk : chunk.subarray(0, parallel.from - delivered);
      if (parallel === undefined) pace.received(chunk.length);
      delivered += here.length;
      yield here;
      if (parallel !== undefined && delivered === parallel.from) {
        if (parallel.stripes.hasBegun() === true) return true;
        endParallel();
        pace.settle();
        const rest = chunk.subarray(here.length);
        delivered += rest.length;
        if (rest.length > 0) yield rest;
      }
      if (parallel === undefined && pace.connections > 1) parallel = beginParallel();
      pace.waiting();
    }
    return false;
  }

  /** Up to the end, or to where one connection has to go on. */
  async function* deliverParallel({ stripes, takeOver }: Parallel): AsyncGenerator<Uint8Array, void, undefined> {
    takeOver();
    pace.waiting();
    for (let chunk = await stripes.next(); chunk !== undefined; chunk = await stripes.next()) {
      pace.received(chunk.length);
      delivered += chunk.length;
      yield chunk;
      pace.waiting();
    }
    pace.settle();
    endParallel();
  }

  /** Delivers the bytes of a range; returns the failure if the file does not end there. */
  async function* deliver(received: ResponseRange): AsyncGenerator<Uint8Array, Delivered, undefined> {
    const size = file?.size;
    const { body, url, start, end = size } = received;
    const stop = (error: SourceError) => void body.destroy(error);
    try {
      const chunks = readBody({ body, stop, url, start, end, wanted: delivered, size, clock, limits, signal });
      if (yield* untilParallel(chunks)) return 'goesOnParallel';
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
        if (failure === 'goesOnParallel') {
          if (parallel !== undefined) yield* deliverParallel(parallel);
          if (delivered === file?.size) return;
          current = await nextRange();
          continue;
        }
        endParallel();
        // Bytes that are read again do not count: a server without ranges could prolong the download without limit.
        if (delivered - from >= Math.max(limits.stallBytes, from - current.start)) rotation.progressed();
        current = await nextRange(failure);
        onResume?.(failure, delivered);
      }
    } finally {
      endParallel();
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

interface Parallel {
  readonly from: number;
  readonly stripes: Stripes;
  takeOver(): void;
  end(): void;
}

/** Of one response: undefined after the last byte of the file. */
type Delivered = SourceError | 'goesOnParallel' | undefined;

/** The failure, and why the download cannot resume after it. */
function cannotResume(why: OperatorError): OperatorError {
  const hint = 'it cannot resume, because the server sends no validator of the file and no digest is declared';
  return new OperatorError(`${why.message}; ${hint}`, {
    code: why.code,
    cause: why,
    ...responseFieldsOf(why),
  });
}
