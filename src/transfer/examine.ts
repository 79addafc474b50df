/**
 * Reads a file as a transfer would, without a Glance: its digests, how it is packed, its format, and the verdict of the inspection.
 *
 * Guarantees: the bytes take the way of a transfer (`pipeline.ts`), so the verdict is that of the operator; memory is constant.
 */
import { createHash, type Hash } from 'node:crypto';
import { OperatorError } from '../lib/errors.ts';
import type { ArchiveKind } from '../source/archive/index.ts';
import { unpack } from '../source/archive/index.ts';
import { type Compression, decompress } from '../source/decompress/index.ts';
import { createInspector, type InspectorOptions, type Recognised, recognise } from '../source/inspect/index.ts';
import type { OpenedSource } from '../source/kind.ts';
import { fileAt } from '../source/registry.ts';
import { openPipeline, throwIfFailed } from './pipeline.ts';
import { defaultLimits, type TransferPlan, type TransferProgress } from './plan.ts';

export interface Examined {
  /** Of the file as served. */
  size: number;
  sha256: string;
  sha512: string;
  /** Bytes of the image, which differ where the file is compressed or an archive. */
  imageSize: number;
  /** `<algorithm>:<hex>` of the image. */
  imageDigest: string;
  compression: string | undefined;
  member: string | undefined;
  format: string;
  virtualSize: number | undefined;
  warnings: readonly string[];
}

export interface Expectation {
  diskFormat: string;
  /** `<algorithm>:<hex>` of the file as served. */
  digest?: string | undefined;
  decompress: 'Auto' | 'None';
  member?: string | undefined;
}

/** No Glance is called, so the place of the image has no meaning. */
const nowhere = {
  imageID: '00000000-0000-0000-0000-000000000000',
  cloud: { namespace: 'local', secretRef: { name: 'local' }, name: 'local', address: 'http://localhost' },
};

/** Throws the error with which a transfer would fail. */
export async function examine(
  source: OpenedSource,
  { diskFormat, digest, decompress: mode, member }: Expectation,
  onProgress: (progress: TransferProgress) => void,
): Promise<Examined> {
  const hashes = { sha256: createHash('sha256'), sha512: createHash('sha512') };
  const hashed: OpenedSource = {
    ...source,
    url: source.url,
    size: source.size,
    // The digest is computed in any case, and shows the user whether the file is whole.
    endIsCertain: true,
    isPublic: true,
    body: through(source.body, [hashes.sha256, hashes.sha512]),
  };
  const plan: TransferPlan = {
    ...nowhere,
    source: fileAt('http://localhost'),
    ...(digest === undefined ? {} : { digest }),
    digestOf: 'Served',
    decompress: mode,
    ...(member === undefined ? {} : { member }),
    diskFormat,
    minDiskGiB: 0,
    method: 'Upload',
    stores: { kind: 'default' },
    limits: defaultLimits,
  };
  const pipeline = await openPipeline(plan, hashed, { hashAlgorithm: 'sha512', onProgress });
  try {
    for await (const _ of pipeline.body);
    throwIfFailed(pipeline);
    const state = pipeline.state();
    if (state.kind !== 'verified') throw new Error('the file was not read to its end');
    const { bytes, servedBytes, imageDigest, compression, format, virtualSize, warnings } = state;
    return {
      size: servedBytes,
      sha256: hashes.sha256.digest('hex'),
      sha512: hashes.sha512.digest('hex'),
      imageSize: bytes,
      imageDigest: `${imageDigest.algorithm}:${imageDigest.hex}`,
      compression,
      member: state.member,
      format,
      virtualSize,
      warnings,
    };
  } finally {
    pipeline.close();
  }
}

async function* through(
  body: AsyncIterable<Uint8Array>,
  hashes: readonly Hash[],
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of body) {
    for (const hash of hashes) hash.update(chunk);
    yield chunk;
  }
}

export interface FileHead extends Recognised {
  /** Why a transfer of the file fails, as far as the first bytes show it. */
  rejection: OperatorError | undefined;
  compression: Compression | undefined;
  archive: ArchiveKind | undefined;
  member: string | undefined;
}

/** An ISO 9660 file shows its format after 34 KiB. */
const headBytes = 64 * 1024;

/** What the first bytes of a file show. The rest is not read. `member`: the declared file of an archive. */
export async function examineHead({ url, body, isPublic }: OpenedSource, member?: string): Promise<FileHead> {
  const decoders = { url, limits: defaultLimits };
  const decompressed = decompress(body, { ...decoders, mode: 'Auto' });
  const unpacked = unpack(decompressed.body, {
    ...decoders,
    mode: 'Auto',
    member,
    compression: decompressed.compression,
    isPublic: () => true,
  });
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of unpacked.body) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= headBytes) break;
  }
  const head = Buffer.concat(chunks);
  const recognised = recognise(head);
  const file = isPublic === true ? unpacked.member() : undefined;
  return {
    ...recognised,
    rejection: rejectionOf(head, { diskFormat: recognised.format, url, member: file }, length < headBytes),
    compression: decompressed.compression(),
    archive: unpacked.archive(),
    member: unpacked.member(),
  };
}

/** The limits of operators differ, so no size is a reason. */
function rejectionOf(
  head: Uint8Array,
  file: Pick<InspectorOptions, 'diskFormat' | 'url' | 'member'>,
  isWhole: boolean,
): OperatorError | undefined {
  const inspector = createInspector({ ...file, minDiskGiB: 0, maxVirtualBytes: Number.MAX_SAFE_INTEGER });
  try {
    inspector.update(head);
    if (isWhole) inspector.finish();
    return undefined;
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    return error.code === 'VirtualSizeExceeded' ? undefined : error;
  }
}
