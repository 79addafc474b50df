/**
 * gzip, by node:zlib. Law: as `gzip -dc`, all members count and zeros after the last one are padding; unlike it, anything
 * else there is an error, for then the file is not what its publisher made.
 */
import { createGunzip } from 'node:zlib';
import { describe, errorCode } from '../../lib/errors.ts';
import { chunkSize, Engine } from './engine.ts';
import { cutOff, damagedStream, type Job } from './errors.ts';
import { type Input, pieceBytes } from './input.ts';

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
