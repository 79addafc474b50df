/**
 * Requests the rest of a file, from its addresses in turn.
 *
 * Guarantees: each address is tried a bounded number of times between two steps of progress; an address that rejects a request for a
 * range is asked for the whole file from then on.
 */
import type { Random } from '../lib/clock.ts';
import { OperatorError, responseFieldsOf } from '../lib/errors.ts';
import type { Assembly } from './assembly.ts';
import { afterRedirect } from './errors.ts';
import { fetchFollowing, type SourceRequest } from './request.ts';
import { type ResponseRange, rangeIn, rejectsRange } from './response-range.ts';
import { createRotation } from './rotation.ts';
import { ifRangeOf } from './validators.ts';

export interface RequestsOptions extends Omit<SourceRequest, 'url' | 'range'> {
  urls: readonly [string, ...string[]];
  random: Random;
  assembly: Assembly;
}

export interface Requests {
  /** The rest of the file, from the first address that has it. `failure` ended the response before. */
  next(failure?: OperatorError): Promise<ResponseRange>;
  /** Enough bytes have arrived for all addresses to be tried again. */
  progressed(): void;
  /** Whether the address in use rejects requests for a range. */
  readonly isWholeOnly: boolean;
}

export function createRequests({ urls, random, assembly, ...common }: RequestsOptions): Requests {
  const { clock, hasDigest, signal } = common;
  const rotation = createRotation(urls.length, random);
  /** Addresses that reject requests for a range. */
  const wholeOnly = new Set<number>();

  async function recover(why: OperatorError): Promise<void> {
    const step = rotation.failed(why);
    if (step.kind === 'over') throw step.error;
    if (assembly.delivered > 0 && !hasDigest && !assembly.hasValidator) throw cannotResume(why);
    await clock.sleep(step.pauseMs, signal);
  }

  async function request(index: number): Promise<ResponseRange> {
    const { delivered } = assembly;
    const last = delivered === 0 ? undefined : assembly.validators.get(index);
    const asksRange = delivered > 0 && !wholeOnly.has(index);
    const validator = asksRange ? last && ifRangeOf(last) : undefined;
    const range = !asksRange ? {} : { range: `bytes=${delivered}-`, ...(validator ? { 'if-range': validator } : {}) };
    const answer = await fetchFollowing({ ...common, url: urls[index] ?? urls[0], range });
    const { url, response, withheld, redirectedBy, warnings } = answer;
    if (asksRange && rejectsRange(response)) {
      response.body.destroy();
      wholeOnly.add(index);
      return request(index);
    }
    try {
      const ifRange = validator === undefined ? undefined : last;
      const expected = { from: delivered, size: assembly.size, ifRange, withheld, hasDigest };
      const received = rangeIn(url, response, expected);
      assembly.use(index, received, warnings);
      return received;
    } catch (error) {
      response.body.destroy();
      throw afterRedirect(error, redirectedBy);
    }
  }

  return {
    async next(failure) {
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
    },
    progressed: rotation.progressed,
    get isWholeOnly() {
      return wholeOnly.has(rotation.index);
    },
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
