/**
 * Runs one transfer, from a plan to a verified image: a new one, or one that exists.
 *
 * Guarantees: no data becomes active without verification; an error is the first cause, not its effect on the other side.
 */
import { Conflict, ImageGone } from '../glance/errors.ts';
import { linked } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { OperatorError } from '../lib/errors.ts';
import type { MemoryBudget } from '../lib/memory-budget.ts';
import { safeUrl } from '../lib/secret.ts';
import type { Helpers } from '../source/decompress/index.ts';
import { formatDigest } from '../source/digest.ts';
import { sourceOf } from '../source/registry.ts';
import { isFailedDownload, soonestOf } from '../source/rotation.ts';
import {
  contentMismatch,
  type Deliver,
  type Delivery,
  isOutcomeUnknown,
  pollImage,
  staleMs,
  type Target,
  verifiedOf,
} from './delivery.ts';
import { algorithmOf } from './digests.ts';
import { openPipeline, StatedSizeWrong } from './pipeline.ts';
import { noProgress, type TransferPlan, type TransferProgress, type TransferResult } from './plan.ts';
import type { OpenSource } from './sources.ts';
import { stageImage } from './stage.ts';
import { uploadImage } from './upload.ts';
import { verifyImage } from './verify.ts';

export interface TransferOptions {
  openSource: OpenSource;
  target: Target;
  /** The memory that the decoders of all transfers share. Default: only the limits of each plan apply. */
  memory?: Pick<MemoryBudget, 'share'> | undefined;
  /** Further threads that decoders may use. Default: none. */
  helpers?: Helpers | undefined;
  clock: Clock;
  /** Called for every chunk, so it must be cheap. */
  onProgress: (progress: TransferProgress) => void;
  signal: AbortSignal;
}

/** Rejects with the first cause, usually an OperatorError, or with the signal's reason. */
export async function runTransfer(plan: TransferPlan, options: TransferOptions): Promise<TransferResult> {
  const { clock, onProgress, signal } = options;
  signal.throwIfAborted();
  const startedAt = clock.now().toISOString();
  const start = clock.monotonic();
  // Aborts the source when the delivery ends, whether it succeeded or failed.
  using over = linked(signal);
  try {
    onProgress(noProgress);
    const outcome = await move(plan, options, over.signal);
    return { ...outcome, startedAt, durationMs: Math.round(clock.monotonic() - start) };
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    over.abort(new Error('the transfer is over'));
  }
}

const deliveries: Readonly<Record<TransferPlan['method'], Deliver>> = {
  Upload: uploadImage,
  Stage: stageImage,
  Verify: verifyImage,
};

type Outcome = Omit<TransferResult, 'startedAt' | 'durationMs'>;

/** From the first file of the image whose download does not fail. Rejects with the failure that may pass soonest, and all of them. */
async function move(plan: TransferPlan, options: TransferOptions, open: AbortSignal): Promise<Outcome> {
  const { target, clock, onProgress, signal } = options;
  const failures: OperatorError[] = [];
  const files = filesOf(plan).map((file) => ({ file, believesSize: true, isSecond: false }));
  for (let next = files.shift(); next !== undefined; next = files.shift()) {
    const { file, believesSize, isSecond } = next;
    const isFirst = failures.length === 0 && believesSize;
    using over = linked(open);
    try {
      if (!isFirst) {
        await becomesEmpty(plan, { images: target.images, clock, signal });
        onProgress(noProgress);
      }
      return await moveFile(file, believesSize, options, over.signal);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof StatedSizeWrong) {
        files.unshift({ ...next, believesSize: false });
        continue;
      }
      if (isOverlap(error) && !isFirst && !isSecond) {
        files.unshift({ ...next, isSecond: true });
        continue;
      }
      if (!(error instanceof OperatorError) || !isFailedDownload(error)) throw error;
      failures.push(error);
    } finally {
      over.abort(new Error('this file is not read any more'));
    }
  }
  throw soonestOf(failures) ?? new TypeError('a plan has no file');
}

/**
 * Glance may not have begun with the upload that was aborted when the image is fetched. It then rejects the next one, whose rest it does
 * not read, so the response may get lost. Or it puts the status back during the next one, which ends with 410.
 */
function isOverlap(error: unknown): boolean {
  return error instanceof Conflict || error instanceof ImageGone || isOutcomeUnknown(error);
}

/** The plans for the files that have the image, in the order in which they are tried. */
function filesOf(plan: TransferPlan): TransferPlan[] {
  return [plan, ...sourceOf(plan.source).alternatives.map((other) => ({ ...plan, ...other }))];
}

/** Resolves when Glance has dropped what it got of the file before. Rejects if it does not. */
async function becomesEmpty({ imageID }: TransferPlan, delivery: Delivery): Promise<void> {
  await pollImage(imageID, delivery, ({ status, size }, elapsedMs) => {
    if (status === 'queued' && size === null) return true;
    if (elapsedMs < staleMs) return undefined;
    throw contentMismatch(`image ${imageID} is ${status}, with a part of its data`);
  });
}

/** `open` aborts the source, `options.signal` the upload. */
async function moveFile(
  plan: TransferPlan,
  believesSize: boolean,
  options: TransferOptions,
  open: AbortSignal,
): Promise<Outcome> {
  const { openSource, target, helpers, clock, onProgress, signal } = options;
  let resumes = 0;
  const source = await openSource(plan, {
    signal: open,
    onResume: () => {
      resumes++;
    },
  });
  // An image that is read back has been hashed already.
  const recorded = plan.method === 'Verify' ? source.digest?.algorithm : undefined;
  const hashAlgorithm = algorithmOf(recorded ?? target.hashAlgorithm);
  using memory = options.memory?.share(open);
  const pipeline = await openPipeline(plan, source, { hashAlgorithm, onProgress, memory, helpers, believesSize });
  try {
    const image = await deliveries[plan.method](plan, pipeline, { images: target.images, clock, signal });
    target.hashAlgorithm = image.hash?.algorithm ?? target.hashAlgorithm;
    const { bytes, servedBytes, compression, member, format, virtualSize, warnings, ...digests } = verifiedOf(pipeline);
    const { imageDigest: sent } = digests;
    // If both have the same algorithm they are equal, unless an import plugin of Glance has changed the data.
    const imageDigest = image.hash === null ? formatDigest(sent) : `${image.hash.algorithm}:${image.hash.value}`;
    return {
      bytes,
      servedBytes,
      digest: plan.digest?.toLowerCase() ?? imageDigest,
      imageDigest,
      ...(compression === undefined ? {} : { compression }),
      ...(member === undefined ? {} : { member }),
      format,
      ...(virtualSize === undefined ? {} : { virtualSize }),
      url: safeUrl(source.url),
      ...(warnings.length === 0 ? {} : { warnings: [...warnings] }),
      resumes,
      image,
    };
  } finally {
    pipeline.close();
  }
}
