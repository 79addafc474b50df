/**
 * Reads parts of the file that a source downloads, by range requests of their own.
 *
 * Guarantees: only a response that holds the requested range of the same file is used, by its length and validators; a failed
 * connection resumes at the next byte, here or at a mirror; each address is tried a bounded number of times between two steps of
 * progress.
 *
 * Caveat: the bytes are not verified. The reader compares them with those of the download, or uses them as a hint only.
 */
import type { Random } from '../lib/clock.ts';
import { OperatorError } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';
import { readBody } from './body.ts';
import { afterRedirect, needsRanges, progress, SourceError } from './errors.ts';
import { fetchFollowing, type SourceRequest } from './request.ts';
import { type ResponseRange, rangeIn, rejectsRange } from './response-range.ts';
import { createRotation } from './rotation.ts';
import type { RangeReader, RangeReading, SourceLimits } from './source.ts';
import { checkResume, type KnownFile, type Validators } from './validators.ts';

export interface RangeReaderOptions extends Omit<SourceRequest, 'url' | 'range' | 'hasDigest'> {
  urls: readonly string[];
  random: Random;
  limits: SourceLimits;
  /** Something compares the bytes with others, or with a digest. Default: true. */
  hasDigest?: boolean;
  /** Called with each response whose bytes are used. */
  onResponse?: (received: ResponseRange, continuity: ReturnType<typeof checkResume>) => void;
  /** What users should know about the redirects of such a response. */
  onWarnings: (warnings: readonly string[]) => void;
  /** The file that is downloaded, and the validators that each address had. */
  known(): { file: KnownFile | undefined; validators: ReadonlyMap<number, Validators>; isPublic: boolean };
}

export function createRangeReader(options: RangeReaderOptions): RangeReader {
  const { urls, random, clock, limits, signal, known, hasDigest = true, onResponse = () => {}, onWarnings } = options;
  const rotation = createRotation(urls.length, random);

  /** After so many bytes. A part that is read once ends with its first failure: its next request would follow others of its connection. */
  function goesOn(bytes: number, { tries }: RangeReading): boolean {
    return tries !== 'once' && bytes >= limits.stallBytes;
  }

  async function recover(why: OperatorError, tries: 'once' | undefined): Promise<void> {
    if (tries === 'once') throw why;
    const step = rotation.failed(why);
    if (step.kind === 'over') throw step.error;
    await clock.sleep(step.pauseMs, signal);
  }

  async function request(from: number, to: number, { tries, due }: RangeReading): Promise<ResponseRange> {
    for (;;) {
      try {
        return await requestAt(rotation.index, from, to, due);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof OperatorError)) throw error;
        await recover(error, tries);
      }
    }
  }

  async function requestAt(index: number, from: number, to: number, due?: Promise<void>): Promise<ResponseRange> {
    const range = { range: `bytes=${from}-${to - 1}` };
    const { file, validators, isPublic } = known();
    const one = { ...options, url: urls[index] ?? '', range, hasDigest, due };
    const { url, response, withheld, redirectedBy, warnings } = await fetchFollowing(one);
    try {
      if (response.status === 200 || rejectsRange(response)) throw withoutRanges(url, response.status);
      if (file === undefined) throw new TypeError('a part is read of a file that was not opened');
      const expected = { from, size: file.size, ifRange: undefined, withheld, hasDigest };
      const received = rangeIn(url, response, expected);
      const circumstances = { hasDigest, isPublic: isPublic && received.isPublic };
      const continuity = checkResume(received, file, validators.get(index), circumstances);
      file.size ??= received.size;
      onResponse(received, continuity);
      onWarnings(warnings);
      return received;
    } catch (error) {
      response.body.destroy();
      throw afterRedirect(error, redirectedBy);
    }
  }

  return {
    size: () => known().file?.size,
    async *read(from, to, reading = {}) {
      for (let at = from; at < to; ) {
        const began = at;
        const { url, body, end } = await request(at, to, reading);
        const stop = (error: SourceError) => void body.destroy(error);
        const part = { start: at, end, wanted: at, size: known().file?.size };
        let failure: SourceError | undefined;
        try {
          for await (const chunk of readBody({ ...part, body, stop, url, clock, limits, signal })) {
            const piece = chunk.subarray(0, to - at);
            at += piece.length;
            yield piece;
            // A response that ends here is read to its end, so that its connection can be used again.
            if (at === to && end !== to) break;
          }
        } catch (error) {
          signal.throwIfAborted();
          if (!(error instanceof SourceError)) throw error;
          failure = error;
        } finally {
          body.destroy();
        }
        if (at === to || goesOn(at - began, reading)) rotation.progressed();
        else await recover(failure ?? tooShort(url, at, to), reading.tries);
      }
    },
  };
}

function withoutRanges(url: URL, status: number): SourceError {
  return needsRanges(url, `its server responds with ${status} to a request for a part of a file`, {
    httpStatus: status,
  });
}

function tooShort(url: URL, at: number, to: number): SourceError {
  return new SourceError('SourceTooShort', `${safeUrl(url)} sent only ${progress(at, to)} of a part of the file`);
}
