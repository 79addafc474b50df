/**
 * The bytes between the source and Glance: counted and hashed as served, decompressed and unpacked, hashed and inspected as the image.
 *
 * Guarantees: the last chunk is held back until everything is verified, so that a reader never gets a regular end of wrong data;
 * memory is constant; the source is read only on demand.
 */
import { type BodyCheck, holdBack } from '../http/body.ts';
import { giveBack } from '../http/receive-buffers.ts';
import { OperatorError } from '../lib/errors.ts';
import type { MemoryShare } from '../lib/memory-budget.ts';
import { safeUrl } from '../lib/secret.ts';
import { type Unpacked, unpack } from '../source/archive/index.ts';
import { convertToRaw } from '../source/convert/index.ts';
import { type Compression, decompress, type Helpers } from '../source/decompress/index.ts';
import { sizeAhead } from '../source/decompress/size-ahead.ts';
import { type Digest, type DigestAlgorithm, parseDigest } from '../source/digest.ts';
import { SourceError } from '../source/errors.ts';
import { createInspector, type Inspector } from '../source/inspect/index.ts';
import type { OpenedSource } from '../source/kind.ts';
import { decompresses, unpacks } from '../source/packing.ts';
import { createDigests, type Expected, type MadeBy } from './digests.ts';
import type { TransferPhase, TransferPlan, TransferProgress } from './plan.ts';

/** The properties of the data after all of it was verified. */
export interface Verified {
  /** Of the image. */
  bytes: number;
  servedBytes: number;
  /** Of the image, in the requested algorithm. */
  imageDigest: Digest;
  compression: Compression | 'zip' | undefined;
  /** The file of the archive that was served. */
  member: string | undefined;
  format: string;
  virtualSize: number | undefined;
  /** Notes on the transfer that users should know. */
  warnings: readonly string[];
}

/**
 * The state of the body. If the body has failed, that is also the cause of a later error of its reader. Otherwise an error of the
 * reader has a cause of its own.
 */
export type PipelineState = { kind: 'open' } | ({ kind: 'verified' } & Verified) | { kind: 'failed'; error: unknown };

export interface Pipeline {
  /** Can be read once. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Length of the body, if it is known before its end. */
  readonly size: number | undefined;
  state(): PipelineState;
  /** The reader does not read this piece of the body any more, nor any before it. */
  sent(piece: Uint8Array): void;
  /** Releases the unread rest. */
  close(): void;
}

/** Throws the error of the data, which is the cause of an error of the reader. */
export function throwIfFailed(pipeline: Pipeline): void {
  const state = pipeline.state();
  if (state.kind === 'failed') throw state.error;
}

export interface PipelineOptions {
  /** Glance's algorithm, in which the image is hashed. */
  hashAlgorithm: DigestAlgorithm;
  /** The memory that decoders may use. */
  memory?: MemoryShare | undefined;
  /** Further threads that the decoder may use. Default: none. */
  helpers?: Helpers | undefined;
  /** Whether a compressed file may state the length of its data. It may be wrong, which fails with StatedSizeWrong. Default: true. */
  believesSize?: boolean;
  /** Called for every chunk. */
  onProgress: (progress: TransferProgress) => void;
}

/** The file states another length of its data than it has. Nothing is wrong with the data itself. */
export class StatedSizeWrong extends OperatorError {}

/** Resolves when the first bytes have arrived and are valid. Throws their error otherwise. */
export async function openPipeline(
  plan: TransferPlan,
  source: OpenedSource,
  options: PipelineOptions,
): Promise<Pipeline> {
  const { chunks, check, sizeOf, isServedUnchanged, state } = flow(plan, source, options);
  // Two chunks, because a file that ends with its first one is verified as a whole before anything is sent.
  const first = await chunks.next();
  const second = await chunks.next();
  if (second.done === true) check.finish();
  const size = await sizeOf();
  const early = [first, second];
  // No generator, which would cost time for each chunk.
  const body = {
    [Symbol.asyncIterator]: () => ({
      next: async () => early.shift() ?? chunks.next(),
      return: () => chunks.return(),
    }),
  };
  return {
    body: holdBack(body, check),
    size,
    state,
    sent(piece) {
      if (isServedUnchanged()) giveBack(piece);
    },
    // Not awaited: a hanging source must not delay the end of the transfer.
    close: () => void chunks.return().catch(() => {}),
  };
}

function flow(plan: TransferPlan, source: OpenedSource, options: PipelineOptions) {
  const { hashAlgorithm, onProgress, memory, helpers, believesSize = true } = options;
  const { diskFormat, containerFormat, minDiskGiB, limits } = plan;
  const { url, size: total } = source;
  const expected = expectedDigests(plan, source);
  if (!source.endIsCertain && expected.length === 0) throw uncertainEnd(url);
  const digests = createDigests(expected, hashAlgorithm, source);
  let inspector: Inspector | undefined;
  const allowTrailingData = expected.some((each) => each.of === 'Served');
  let servedBytes = 0;
  let imageBytes = 0;
  let passedBytes = 0;
  /** Bytes of the image, as the compressed file states them. */
  let stated: number | undefined;
  let state: PipelineState = { kind: 'open' };
  let decoderMemory: TransferProgress['decoderMemory'];
  const decoders = { url, limits, memory: memory && shown(memory) };
  const converted =
    plan.convert === undefined
      ? undefined
      : convertToRaw(served(), {
          ...{ ...decoders, ranges: source.ranges, minDiskGiB },
          onPassed: () => digests.finishServed(),
          onBytes: received,
        });
  const {
    body: decompressed,
    compression,
    warnings,
  } = decompress(converted?.body ?? served(), {
    ...decoders,
    helpers,
    mode: decompresses(plan) ? 'Auto' : 'None',
    allowTrailingData,
  });
  const unpacked = unpack(decompressed, {
    ...decoders,
    mode: unpacks(plan) ? 'Auto' : 'None',
    member: plan.member,
    compression,
    isPublic: () => source.isPublic === true,
  });

  /** A conversion reads the file twice. */
  const passes = plan.convert === undefined ? 1 : 2;
  function report(phase: TransferPhase): void {
    const shownMemory = decoderMemory === undefined ? {} : { decoderMemory };
    onProgress({ bytes: passedBytes, servedBytes, total: total && passes * total, phase, ...shownMemory });
  }

  /** These bytes of the source are none of the image yet. */
  function received(bytes: number): void {
    servedBytes += bytes;
    report('transferring');
  }

  function showMemory(next: 'awaited' | 'held'): void {
    if (decoderMemory === next) return;
    decoderMemory = next;
    report(imageBytes === 0 ? 'connecting' : 'transferring');
  }

  /** The share of this transfer, whose state its progress shows. */
  function shown(share: MemoryShare): MemoryShare {
    let isWanted = false;
    return {
      want(bytes) {
        isWanted = true;
        share.want(bytes);
      },
      async granted() {
        if (isWanted && decoderMemory === undefined) showMemory('awaited');
        await share.granted();
        if (isWanted) showMemory('held');
      },
      [Symbol.dispose]() {
        decoderMemory = undefined;
        share[Symbol.dispose]();
      },
    };
  }

  /** Messages name the file of an archive. */
  function inspect(): Inspector {
    return createInspector({
      diskFormat,
      ...(containerFormat === undefined ? {} : { containerFormat }),
      minDiskGiB,
      maxVirtualBytes: limits.maxVirtualBytes,
      nonfatal: limits.nonfatalChecks ?? [],
      url,
      member: source.isPublic === true ? unpacked.member() : undefined,
    });
  }

  /** How the image is made of the bytes that are served. */
  function madeBy(): MadeBy {
    if (converted !== undefined) return 'converted';
    if (unpacked.archive() !== undefined) return 'unpacked';
    return compression() === undefined ? undefined : 'decompressed';
  }

  async function* served(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of source.body) {
      if (chunk.length === 0) continue;
      if (converted === undefined) servedBytes += chunk.length;
      else received(chunk.length);
      digests.served(chunk);
      yield chunk;
    }
  }

  async function* chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for await (const chunk of unpacked.body) {
        if (chunk.length === 0) continue;
        inspector ??= inspect();
        inspector.update(chunk);
        digests.image(chunk, madeBy());
        const isFirst = imageBytes === 0;
        imageBytes += chunk.length;
        checkStated(imageBytes <= (stated ?? imageBytes));
        if (isFirst) report('transferring');
        yield chunk;
      }
    } catch (error) {
      state = { kind: 'failed', error };
      throw error;
    }
  }

  const check: BodyCheck = {
    finish() {
      // A short file was verified when the pipeline was opened.
      if (state.kind === 'verified') return;
      try {
        if (inspector === undefined) throw emptySource(url, compression(), unpacked);
        checkStated(imageBytes === (stated ?? imageBytes));
        const findings = inspector.finish();
        const imageDigest = digests.finish();
        const noticed = [...(source.warnings ?? []), ...warnings()];
        const sizes = { bytes: imageBytes, servedBytes };
        const origin = {
          compression: unpacked.archive() === 'zip' ? ('zip' as const) : compression(),
          member: unpacked.member(),
        };
        state = { kind: 'verified', ...sizes, imageDigest, ...origin, warnings: noticed, ...findings };
      } catch (error) {
        state = { kind: 'failed', error };
        throw error;
      }
    },
    passed(chunk) {
      passedBytes += chunk.length;
      report(state.kind === 'verified' && passedBytes === imageBytes ? 'finishing' : 'transferring');
    },
  };

  /** Of the image, once its first bytes are there. */
  async function sizeOf(): Promise<number | undefined> {
    if (converted !== undefined) return converted.size();
    if (unpacked.archive() !== undefined) return unpacked.size();
    const packed = compression();
    if (packed === undefined) return source.size;
    if (!believesSize) return undefined;
    const size = await sizeAhead(packed, source.ranges, source.size);
    const isPossible = size !== undefined && size > imageBytes && size <= limits.maxBytes;
    stated = isPossible ? size : undefined;
    return stated;
  }

  function checkStated(isRight: boolean): void {
    if (isRight) return;
    const message = `${safeUrl(url)} states that it has ${stated} bytes of ${compression()} data, and it has others; the transfer starts again without that length`;
    throw new StatedSizeWrong(message, { code: 'CompressionInvalid' });
  }

  const isServedUnchanged = () => imageBytes > 0 && madeBy() === undefined;
  return { chunks: chunks(), check, sizeOf, isServedUnchanged, state: () => state };
}

/** The digest in the plan, and the one that the source has recorded. */
function expectedDigests({ digest, digestOf }: TransferPlan, source: OpenedSource): Expected[] {
  const declared = digest === undefined ? [] : [{ of: digestOf, digest: parseDigest(digest) }];
  return source.digest === undefined ? declared : [...declared, { of: 'Served', digest: source.digest }];
}

function uncertainEnd(url: string): SourceError {
  return new SourceError(
    'SourceInvalid',
    `${safeUrl(url)} announces no length, so a truncated download would look complete: declare a digest`,
  );
}

function emptySource(url: string, compression: Compression | undefined, unpacked: Unpacked): SourceError {
  const archive = unpacked.archive();
  const what =
    archive !== undefined
      ? `a ${archive} archive with an empty file`
      : compression === undefined
        ? 'an empty file'
        : `an empty file, compressed with ${compression}`;
  return new SourceError('EmptySource', `${safeUrl(url)} is ${what}`);
}
