/**
 * zstd, by node:zlib. Law: every frame counts, those to be skipped are, nothing else may stand between or behind them, and
 * the checksums of the frames that have one are right.
 */
import { constants, createZstdDecompress } from 'node:zlib';
import { describe } from '../../lib/errors.ts';
import { chunkSize, Engine } from './engine.ts';
import { damagedStream, type Job } from './errors.ts';
import { type Input, pieceBytes } from './input.ts';
import { ZstdFrames } from './zstd-frames.ts';

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
