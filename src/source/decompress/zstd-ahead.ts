/**
 * Decodes several frames of zstd at once, each by a decoder of its own.
 *
 * Guarantees: the data and the error are those of one decoder, except that the last chunk before an error may be missing; as many
 * frames are decoded at once as cores and memory are granted, and one more is held; a frame is decoded while it arrives. Once a frame
 * is more than twice as long as those before, no other one is decoded, and cores and memory are returned.
 *
 * `pzstd` and tools for seekable files write such files. `zstd -T0` writes one frame.
 */
import { Changes } from '../../lib/changes.ts';
import { bytesOfDecoder } from './bounds.ts';
import { chunkSize } from './engine.ts';
import type { Job } from './errors.ts';
import { Outputs } from './outputs.ts';
import { createTeam, type Team } from './team.ts';
import type { startZstd, ZstdDecoder, ZstdOutput } from './zstd-decoder.ts';
import type { FramePart, FramePlace } from './zstd-frames.ts';

/** The largest ones so far. */
export interface FrameSizes {
  /** Bytes of data. */
  readonly data: number;
  readonly window: number;
}

/** Decoders for frames of these sizes. */
export interface ZstdTeam extends FrameSizes {
  readonly team: Team;
}

/** Shorter frames are decoded several in a row. */
export const leastData = 2 ** 20;
/** A team for larger ones would need more than the memory of all decoders. `pzstd` makes 8 MiB, `pzstd -19` 32 MiB. */
const mostData = 16 * 2 ** 20;
/** What is kept of a frame in bytes of its data: the data, and half as much that is not decoded yet. */
const inputPerByte = 0.5;
/** Larger than usual, because output is kept anyway and each call of a thread costs; malloc would map and unmap larger ones each time. */
const aheadChunk = 120 * 1024;
/** Of a part or chunk, in addition to its bytes: very short ones need memory too. */
const objectBytes = 4096;

/** Undefined unless the frames are short enough, and a core and memory are free. */
export async function formZstdTeam(job: Job, largest: FrameSizes): Promise<ZstdTeam | undefined> {
  if (job.helpers === undefined || largest.data > mostData) return undefined;
  const data = Math.max(largest.data, leastData);
  const each = bytesOfDecoder('zstd', largest.window) + aheadChunk + (1 + inputPerByte) * data;
  // Of two decoders, a frame each, and the one that is delivered. The memory of one decoder itself is granted already.
  const team = createTeam(job.helpers, { first: 3 * each, each });
  await team.grow(0);
  return team.size > 1 ? { team, data, window: largest.window } : undefined;
}

/** Frames for one decoder. */
interface Run {
  /** Read, and not decoded. */
  readonly parts: FramePart[];
  /** What they weigh. */
  held: number;
  /** A frame has ended, and none has begun. */
  isBetween: boolean;
  /** Whether more parts come, or the last frame is complete, or it is not because of an error. */
  input: 'open' | 'complete' | 'broken';
  /** The most data that its complete frames have. */
  mostData: number;
  /** Bytes that were decoded. */
  decoded: number;
}

/** Some data of a part; undefined where its data begins. It does not refer to the bytes of the part, which may be many for no data. */
interface Decoded {
  place: FramePlace;
  chunk: Uint8Array | undefined;
}

export interface ZstdFile {
  /** From the beginning of a frame on. */
  readonly parts: AsyncGenerator<FramePart, void, undefined>;
  readonly job: Job;
  readonly output: ZstdOutput;
  readonly start: typeof startZstd;
}

type Step = IteratorResult<FramePart, void>;
const over: Step = { done: true, value: undefined };

/** Returns the beginning of the first frame that is left to the caller, or the end of the file. */
export async function* decodeAhead(
  { parts, job, output, start }: ZstdFile,
  { team, data, window }: ZstdTeam,
): AsyncGenerator<Uint8Array, Step, undefined> {
  const changes = new Changes();
  const outputs = new Outputs<Decoded>(changes, ({ chunk }) => (chunk?.length ?? 0) + objectBytes);
  let isLong = false;
  const mostInput = () => (isLong ? 0 : inputPerByte * data);
  const mostOutput = () => (isLong ? 0 : data);

  /** Of runs that are complete. To start one costs as much time as some frames that hold next to nothing. */
  const idle: ZstdDecoder[] = [];

  /** All of their data is there. Throws if a frame is not complete. */
  async function endIdle(): Promise<void> {
    for (let decoder = idle.pop(); decoder !== undefined; decoder = idle.pop())
      try {
        for await (const _ of decoder.end());
      } finally {
        decoder.close();
      }
  }

  async function* decode(run: Run): AsyncGenerator<Decoded, void, undefined> {
    const decoder = idle.pop() ?? start(job, aheadChunk);
    let isComplete = false;
    try {
      while (await changes.until(() => run.parts.length > 0 || run.input !== 'open')) {
        const part = run.parts.shift();
        if (part === undefined) break;
        run.held -= weightOf(part);
        changes.happened();
        const { at, count } = part;
        const place = { at, count };
        yield { place, chunk: undefined };
        for await (const chunk of decoder.decode(part)) {
          run.decoded += chunk.length;
          yield { place, chunk };
        }
      }
      isComplete = run.parts.length === 0 && run.input === 'complete';
    } finally {
      if (isComplete) idle.push(decoder);
      else decoder.close();
    }
  }

  let run: Run | undefined;
  const begins = (part: FramePart) => part.bytes.length > 0 && (run === undefined || run.isBetween);

  function close(input: Run['input']): void {
    if (run !== undefined) run.input = input;
    changes.happened();
  }

  /** The run that the part belongs to. Undefined if nothing is read any more. */
  async function runOf(part: FramePart): Promise<Run | undefined> {
    if (run !== undefined && !(begins(part) && run.mostData >= data / 2)) return run;
    close('complete');
    await team.grow(output.bytes);
    if (!(await outputs.haveRoom(team.size))) return undefined;
    run = { parts: [], held: 0, input: 'open', isBetween: true, mostData: 0, decoded: 0 };
    outputs.add(decode(run), mostOutput);
    return run;
  }

  /** Resolves with false if nothing is read any more. */
  async function put(part: FramePart): Promise<boolean> {
    const current = await runOf(part);
    if (current === undefined || !(await changes.until(() => current.held <= mostInput()))) return false;
    // A copy, because the buffer of the connection may be needed for what comes after it.
    current.parts.push({ ...part, bytes: Buffer.from(part.bytes) });
    current.held += weightOf(part);
    if (part.isEnd) current.mostData += part.mostBytes;
    if (part.bytes.length > 0) current.isBetween = part.isEnd;
    changes.happened();
    if (!isLong && current.decoded > 2 * data + current.mostData) await release(current);
    return true;
  }

  /** Of a run whose frame is longer than those before, so that it is the one that is read. Holds next to nothing of it from now on. */
  async function release({ parts: waiting }: Run): Promise<void> {
    isLong = true;
    changes.happened();
    await changes.until(() => waiting.length === 0);
    if (!(await outputs.areEmpty())) return;
    await endIdle();
    team[Symbol.dispose]();
  }

  /** Reads ahead of the reader of the output. */
  async function read(): Promise<Step> {
    try {
      for (;;) {
        const step = await parts.next();
        if (step.done === true || (begins(step.value) && (isLong || step.value.window > window))) {
          close('complete');
          return step;
        }
        if (!(await put(step.value))) return over;
      }
    } catch (error) {
      close('broken');
      outputs.end({ error });
      return over;
    } finally {
      outputs.end();
    }
  }

  const reading = read();
  try {
    for await (const { place, chunk } of outputs.deliver()) {
      if (chunk === undefined) output.begin(place);
      else
        for (let from = 0; from < chunk.length; from += chunkSize)
          yield output.count(chunk.subarray(from, from + chunkSize), place);
    }
    await endIdle();
  } finally {
    await outputs.stop();
    for (const decoder of idle) decoder.close();
    team[Symbol.dispose]();
  }
  return await reading;
}

function weightOf({ bytes }: FramePart): number {
  return bytes.length + objectBytes;
}
