/**
 * gzip and zstd, by node:zlib.
 *
 * Guarantees: gzip as `gzip -dc` reads it: all members, and zeros after the last one as padding; any other data there is an
 * error, because the file is then not what its publisher made. zstd: all frames, skippable ones skipped, no other data between
 * or after them, and the checksums of the frames that have one are correct.
 */
import { constants, createGunzip, createZstdDecompress } from 'node:zlib';
import { describe, errorCode } from '../../lib/errors.ts';
import { chunkSize, Engine } from './engine.ts';
import { cutOff, damagedStream, type Job } from './errors.ts';
import { type Input, pieceBytes } from './input.ts';
import { ZstdFrames } from './zstd-frames.ts';

export async function* gunzip(input: Input, job: Job): AsyncGenerator<Uint8Array, void, undefined> {
  const explain = (error: Error) =>
    errorCode(error) === 'Z_BUF_ERROR'
      ? cutOff(job, input.taken, error)
      : damagedStream(job, describe(error), input.taken, error);
  const engine = new Engine(createGunzip({ chunkSize }), explain);
  try {
    for (;;) {
      const piece = await input.next(pieceBytes);
      if (piece === undefined) return yield* engine.end();
      yield* engine.write(piece);
      // node:zlib goes on with the next member by itself, and stops at a zero.
      if (engine.unused > 0) return await padding(piece.subarray(piece.length - engine.unused), input, job);
    }
  } finally {
    engine.close();
  }
}

async function padding(first: Uint8Array, input: Input, job: Job): Promise<void> {
  for (let piece: Uint8Array | undefined = first; piece !== undefined; piece = await input.next(pieceBytes)) {
    const garbage = piece.findIndex((byte) => byte !== 0);
    if (garbage >= 0) throw damagedStream(job, 'something else follows its end', input.taken - piece.length + garbage);
  }
}

export async function* unzstd(input: Input, job: Job): AsyncGenerator<Uint8Array, void, undefined> {
  const frames = new ZstdFrames(job);
  const params = { [constants.ZSTD_d_windowLogMax]: windowLog(job.limits.maxDictionaryBytes) };
  const engine = new Engine(createZstdDecompress({ chunkSize, params }), (error) =>
    damagedStream(job, describe(error), input.taken, error),
  );
  try {
    for (;;) {
      const piece = await input.next(pieceBytes);
      if (piece === undefined) break;
      for (const part of frames.split(piece)) {
        yield* engine.write(part);
        if (engine.unused > 0)
          throw damagedStream(job, 'a frame ends before its blocks do', input.taken - engine.unused);
      }
    }
    frames.finish();
    yield* engine.end();
  } finally {
    engine.close();
  }
}

/** The decoder has a limit of its own, a power of two: it must not be below ours. */
function windowLog(bytes: number): number {
  return Math.min(Math.max(Math.ceil(Math.log2(bytes)), 10), 31);
}
