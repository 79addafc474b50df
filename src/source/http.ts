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
import { safeUrl } from '../lib/secret.ts';
import { Assembly } from './assembly.ts';
import { readBody } from './body.ts';
import { progress, SourceError } from './errors.ts';
import type { DeclaredHeaders } from './headers.ts';
import { createChannels } from './parallel/channels.ts';
import { type AllDownloads, createSharedDownloads, downloadsOf } from './parallel/downloads.ts';
import { createWidening } from './parallel/widening.ts';
import { createRangeReader } from './ranges.ts';
import { createRequests } from './requests.ts';
import type { ResponseRange } from './response-range.ts';
import { limitTime, type Source, type SourceLimits } from './source.ts';
import type { SourceTransport } from './transport.ts';
import type { Validators } from './validators.ts';

/** Limit on the time to the response header, unless the stall window is shorter. */
const longestFirstByteMs = 30_000;

export interface HttpSourceOptions {
  /** The URL, then its mirrors, in the order in which they are tried. */
  urls: readonly [string, ...string[]];
  /** As `readHeaders` makes them. Sent to the server of the URL, and to a mirror only if it is the same server. */
  headers?: DeclaredHeaders;
  transport: SourceTransport;
  clock: Clock;
  random: Random;
  limits: SourceLimits;
  /** What this download shares with others. Default: nothing. */
  downloads?: AllDownloads | undefined;
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
  const { downloads = downloadsOf(createSharedDownloads().join(), clock) } = options;
  const assembly = new Assembly({ limits, hasDigest });
  const time = limitTime(options, () => `${safeUrl(urls[0])} had sent ${progress(assembly.delivered, assembly.size)}`);
  const { signal } = time;
  const firstByteMs = Math.min(longestFirstByteMs, limits.stallWindowMs);
  const declared = { declared: headers, declaredFor: URL.parse(urls[0])?.origin };
  const common = { urls, ...declared, transport, clock, random, limits, firstByteMs, signal };
  const requests = createRequests({ ...common, hasDigest, assembly });
  const widening = createWidening({
    ...{ assembly, clock, hasDigest, downloads, signal },
    hasParts: () => !requests.isWholeOnly,
    createChannels: (more) =>
      createChannels({
        transport,
        signal: more.signal,
        createReader: (connection) =>
          createRangeReader({
            ...{ ...common, ...more, transport: connection },
            onResponse: (received, continuity) => assembly.usePart(received, continuity),
            onWarnings: (found) => assembly.warn(found),
            known: () => assembly,
          }),
      }),
  });
  /** Parts of the file are read in addition to the body. */
  let hasRanges = false;

  /** Delivers the bytes of a response; returns the failure if the file does not end there. */
  async function* deliver(received: ResponseRange): AsyncGenerator<Uint8Array, Delivered, undefined> {
    const { size } = assembly;
    const { body, url, start, end = size } = received;
    const stop = (error: SourceError) => void body.destroy(error);
    try {
      const part = { url, start, end, wanted: assembly.delivered, size };
      if (yield* widening.first(readBody({ body, stop, ...part, clock, limits, signal }))) return 'goesOnParallel';
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof SourceError)) throw error;
      // If all bytes are there, it does not matter how the connection ended.
      return error.code !== 'SourceTooLong' && assembly.delivered === size ? undefined : error;
    }
    // A body of unknown length is the whole rest, unless the response is a range with an end.
    if (size === undefined ? end === undefined : assembly.delivered === size) return undefined;
    const message = `${safeUrl(url)} sent only a part of the file, up to ${progress(assembly.delivered, size)}`;
    return new SourceError('SourceTooShort', message);
  }

  async function* body(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        const from = assembly.delivered;
        const failure = yield* deliver(current);
        if (failure === undefined) return;
        if (failure === 'goesOnParallel') {
          yield* widening.further();
          if (assembly.delivered === assembly.size) return;
          current = await requests.next();
          continue;
        }
        widening.end();
        // Bytes that are read again do not count: a server without ranges could prolong the download without limit.
        const isProgress = assembly.delivered - from >= Math.max(limits.stallBytes, from - current.start);
        if (isProgress) requests.progressed();
        current = await requests.next(failure);
        onResume?.(failure, assembly.delivered);
      }
    } finally {
      widening.end();
      // The limit is on both. It ends with the signal.
      if (!hasRanges) time.stop();
    }
  }

  /** The response that is being read, or was read last. */
  let current: ResponseRange;
  try {
    current = await requests.next();
  } catch (error) {
    time.stop();
    throw error;
  }
  const { size, endIsCertain } = current;
  return {
    ranges: createRangeReader({
      ...common,
      onWarnings: (found) => assembly.warn(found),
      known() {
        hasRanges = true;
        return assembly;
      },
    }),
    get url() {
      return current.url.href;
    },
    size,
    endIsCertain,
    get isSpliced() {
      return assembly.isSpliced;
    },
    get isPublic() {
      return assembly.isPublic;
    },
    get isAdmitted() {
      return assembly.isAdmitted;
    },
    get validators() {
      return assembly.file?.validators ?? { etag: undefined, lastModified: undefined };
    },
    get warnings() {
      return assembly.warnings;
    },
    body: body(),
  };
}

/** Of one response: undefined after the last byte of the file. */
type Delivered = SourceError | 'goesOnParallel' | undefined;
