/**
 * Decodes several blocks of xz at once, each as a stream of its own, in threads of the decoder.
 *
 * Guarantees: the output is in order, and complete up to an error; as many blocks are decoded at once as cores and memory are granted,
 * and one more is held. A block that does not fit into this memory returns it: this one and the following are decoded piece by piece.
 *
 * `xz -T` and others write the sizes of a block into its header, so that its memory is known when it begins.
 */
import { crc32 } from 'node:zlib';
import { Changes } from '../../lib/changes.ts';
import { describe } from '../../lib/errors.ts';
import { bytesOfDecoder, checkDictionary, memoryGranted } from './bounds.ts';
import { chunkSize } from './engine.ts';
import { damagedStream, type Helpers, type Job } from './errors.ts';
import type { Input } from './input.ts';
import { Outputs } from './outputs.ts';
import { createTeam, type Team } from './team.ts';
import { longestBlockHeader, type XzBlock, type XzBlockPart, XzStructure, xzMagic } from './xz-structure.ts';

/** As @napi-rs/lzma has it. */
export interface XzDecoder {
  decompress(input: Uint8Array): Promise<Uint8Array>;
  decompressStream(input: ReadableStream<Uint8Array>): ReadableStream<Uint8Array>;
}

const streamHeaderBytes = 12;
const pieceBytes = 64 * 1024;
/** Output of a block. `xz -6 -T` makes 24 MiB, `xz -9 -T` 192 MiB. */
const largestBlock = 32 * 2 ** 20;
/** What is kept of a block in bytes of its output: the output and the compressed bytes. */
const heldPerByte = 1.5;

/** Decoders of blocks like the first one. */
interface XzTeam {
  readonly team: Team;
  fits(block: XzBlock): boolean;
}

/** Undefined unless the file begins with a block that is known to be small, and a core and memory are free for another one. */
export async function formXzTeam(input: Input, job: Job): Promise<XzTeam | undefined> {
  const { helpers } = job;
  const first = helpers === undefined ? undefined : await firstBlock(input, job);
  if (helpers === undefined || first?.uncompressed === undefined || first.uncompressed > largestBlock) return undefined;
  // The memory of the decoder itself comes first, because it may have to be awaited.
  checkDictionary(job, first.dictionary);
  await memoryGranted(job);
  const formed = teamFor(first.dictionary, heldPerByte * first.uncompressed, helpers);
  if (!formed.fits(first)) return undefined;
  await formed.team.grow(0);
  return formed.team.size > 1 ? formed : undefined;
}

/** Nothing is taken from the input, and errors are left to its reader. */
async function firstBlock(input: Input, job: Job): Promise<XzBlock | undefined> {
  const head = await input.peek(streamHeaderBytes + longestBlockHeader);
  try {
    for (const { block } of new XzStructure({ ...job, memory: undefined }).split(head)) return block;
  } catch {}
  return undefined;
}

function teamFor(dictionary: number, held: number, helpers: Helpers): XzTeam {
  const each = bytesOfDecoder('xz', dictionary) + held;
  return {
    // The first one pays for the block of the decoder itself as well, and for the one that is delivered.
    team: createTeam(helpers, { first: each + 2 * held, each }),
    fits: (block) =>
      block.dictionary <= dictionary &&
      block.compressed !== undefined &&
      block.uncompressed !== undefined &&
      block.compressed + block.uncompressed <= held,
  };
}

export async function* unxzBlocks(
  input: Input,
  job: Job,
  decoder: XzDecoder,
  { team, fits }: XzTeam,
): AsyncGenerator<Uint8Array, void, undefined> {
  const parts = partsOf(input, job);
  const broken = (error: unknown) => damagedStream(job, describe(error), input.taken, error);
  const outputs = new Outputs<Uint8Array>(new Changes(), (chunk) => chunk.length);
  let delivered = 0;

  async function* decode(file: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
    const data = await decoder.decompress(file).catch((error: unknown) => Promise.reject(broken(error)));
    for (let from = 0; from < data.length; from += chunkSize) yield data.subarray(from, from + chunkSize);
  }

  /** Reads ahead of the reader of the output. */
  async function read(): Promise<void> {
    let isDivided = true;
    for (let part = await parts.next(); part.done !== true; part = await parts.next()) {
      isDivided &&= fits(part.value.block);
      if (isDivided) {
        const file = await wholeBlock(part.value, parts);
        await team.grow(delivered);
        if (!(await outputs.haveRoom(team.size))) return;
        outputs.add(decode(file), () => Number.POSITIVE_INFINITY);
      } else {
        if (!(await outputs.areDelivered())) return;
        team[Symbol.dispose]();
        await memoryGranted(job);
        outputs.addDirect(pieceByPiece(part.value, parts, decoder, broken));
        if (!(await outputs.areDelivered())) return;
      }
    }
  }

  read().then(
    () => outputs.end(),
    (error: unknown) => outputs.end({ error }),
  );
  try {
    for await (const chunk of outputs.deliver()) {
      delivered += chunk.length;
      yield chunk;
    }
  } finally {
    await outputs.stop();
    team[Symbol.dispose]();
  }
}

/** What the file holds of blocks. Throws its errors. */
async function* partsOf(input: Input, job: Job): AsyncGenerator<XzBlockPart, void, undefined> {
  const structure = new XzStructure(job);
  for (let piece = await input.next(pieceBytes); piece !== undefined; piece = await input.next(pieceBytes))
    yield* structure.split(piece);
  structure.finish();
}

type Parts = AsyncGenerator<XzBlockPart, void, undefined>;

async function wholeBlock(first: XzBlockPart, parts: Parts): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of asStream(first, parts)) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function* pieceByPiece(
  first: XzBlockPart,
  parts: Parts,
  decoder: XzDecoder,
  broken: (error: unknown) => Error,
): AsyncGenerator<Uint8Array, void, undefined> {
  let failure: { error: unknown } | undefined;
  const pieces = asStream(first, parts);
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
    try {
      const { done, value } = await pieces.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    } catch (error) {
      failure = { error };
      controller.error(error);
    }
  };
  const reader = decoder.decompressStream(new ReadableStream({ pull }, { highWaterMark: 0 })).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        throw failure === undefined ? broken(error) : failure.error;
      });
      if (failure !== undefined) throw failure.error;
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** A block as the only one of a stream. */
async function* asStream(first: XzBlockPart, parts: Parts): AsyncGenerator<Uint8Array, void, undefined> {
  const { streamFlags, header } = first.block;
  yield Buffer.concat([xzMagic, streamFlags, u32(crc32(streamFlags)), header]);
  for (let part = first; ; ) {
    yield part.bytes;
    if (part.end !== undefined) return yield endOfStream(streamFlags, part.end);
    const next = await parts.next();
    if (next.done === true) return;
    part = next.value;
  }
}

function endOfStream(flags: Buffer, { unpadded, uncompressed }: { unpadded: number; uncompressed: number }): Buffer {
  const records = Buffer.from([0, 1, ...numberOf(unpadded), ...numberOf(uncompressed)]);
  const index = Buffer.concat([records, Buffer.alloc(-records.length & 3)]);
  const footer = Buffer.concat([u32(index.length / 4), flags]);
  return Buffer.concat([index, u32(crc32(index)), u32(crc32(footer)), footer, Buffer.from('YZ')]);
}

function numberOf(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return [...bytes, rest];
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
