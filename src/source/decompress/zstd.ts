/**
 * zstd, by node:zlib, which gets the frames of the file one by one.
 *
 * Guarantees: the checksums are verified, and the structure as `zstd-frames.ts` says. No byte of a frame goes to a decoder before the
 * memory that its header requires is granted.
 */
import { memoryGranted } from './bounds.ts';
import type { Job } from './errors.ts';
import type { Input } from './input.ts';
import { Questions } from './team.ts';
import { decodeAhead, type FrameSizes, formZstdTeam, leastData, type ZstdTeam } from './zstd-ahead.ts';
import { startZstd, ZstdOutput } from './zstd-decoder.ts';
import { framesOf } from './zstd-frames.ts';

/** `start`: starts each decoder. */
export async function* unzstd(input: Input, job: Job, start = startZstd): AsyncGenerator<Uint8Array, void, undefined> {
  const parts = framesOf(input, job);
  const output = new ZstdOutput(job);
  let decoder = start(job);
  let largest: FrameSizes = { data: 0, window: 0 };
  /** The data before the frame. */
  let before = 0;
  const questions = new Questions();
  const now = () => job.helpers?.clock.monotonic() ?? 0;
  /** Milliseconds that were spent in the decoder since `since`, which is the beginning of the file, or the end of the last team. */
  let decoding = 0;
  let since = now();

  /** Otherwise the source or the reader is the limit, and frames that are decoded ahead only cost memory and processor time. */
  const isDecoderTheLimit = () => 4 * decoding >= 3 * (now() - since);

  /** After a frame that was decoded here. */
  async function teamAfter(window: number): Promise<ZstdTeam | undefined> {
    largest = {
      data: Math.max(largest.data, output.bytes - before),
      window: Math.max(largest.window, window),
    };
    before = output.bytes;
    if (output.bytes < leastData || !questions.areDue(output.bytes)) return undefined;
    const team = isDecoderTheLimit() ? await formZstdTeam(job, largest) : undefined;
    if (team === undefined) questions.refused(output.bytes);
    return team;
  }

  try {
    let step = await parts.next();
    while (step.done !== true) {
      const part = step.value;
      output.begin(part);
      await memoryGranted(job);
      let at = now();
      for await (const chunk of decoder.decode(part)) {
        decoding += now() - at;
        yield output.count(chunk, part);
        at = now();
      }
      decoding += now() - at;
      const team = part.isEnd ? await teamAfter(part.window) : undefined;
      if (team === undefined) step = await parts.next();
      else {
        // Its memory is that of a decoder of the team.
        decoder.close();
        step = yield* decodeAhead({ parts, job, output, start }, team);
        decoder = start(job);
        before = output.bytes;
        decoding = 0;
        since = now();
      }
    }
    yield* decoder.end();
  } finally {
    decoder.close();
  }
}
