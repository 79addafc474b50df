/**
 * A thread that decodes blocks of bzip2, one at a time.
 *
 * Guarantees: it holds at most one block and two pieces of its output, however far it expands; a thread that fails decodes nothing more,
 * and its reader decodes the block itself.
 */
import { startWorker, threadProgram } from '../../lib/thread-program.ts';
import type { FromHelper, ToHelper } from './bzip2-thread.ts';

/** The block, its input, two pieces of output, and the thread itself. */
export const helperBytes = 24 * 2 ** 20;
/** Buffers do not count. */
const heapMiB = 16;

/** A block that a thread decodes, or has decoded. */
export interface BlockAhead {
  /** Resolves when it is decoded; with undefined if no block is there, or the thread has ended. */
  readonly decoded: Promise<DecodedBlock | undefined>;
  /** Resolves with its next piece; undefined after the last one; `failed` if the block is damaged or the thread has ended. */
  next(): Promise<Uint8Array | 'failed' | undefined>;
  /** Nothing reads it. */
  drop(): void;
}

export interface DecodedBlock {
  /** Where it ends, in bits after its beginning. */
  bits: number;
  /** Before the last run-length coding. */
  length: number;
  checksum: number;
}

export interface BlockHelper {
  /** Whether it can begin another block: the last piece of the block before is here. */
  readonly isFree: boolean;
  /** `bytes` are moved to the thread. The block begins at the bit `shift` of them, after its signature. */
  decode(bytes: Uint8Array<ArrayBuffer>, shift: number): BlockAhead;
  close(): void;
}

type Piece = Extract<FromHelper, { kind: 'piece' }>;

export function startHelper(): BlockHelper {
  const program = threadProgram(import.meta.url, {
    source: './bzip2-thread.ts',
    bundled: 'bzip2-thread.js',
  });
  const worker = startWorker(program, {
    name: 'bzip2',
    resourceLimits: { maxOldGenerationSizeMb: heapMiB, maxYoungGenerationSizeMb: 2 },
  });
  const send = (message: ToHelper, moved: ArrayBuffer[] = []) => worker.postMessage(message, moved);
  let hasEnded = false;
  let lastID = 0;
  /** Of the block that the thread works at. */
  let current: ((message: FromHelper | 'failed') => void) | undefined;

  function end(): void {
    hasEnded = true;
    current?.('failed');
    current = undefined;
  }

  worker.on('message', (message: FromHelper) => {
    if (message.id !== lastID) return;
    const receive = current;
    if (message.kind === 'failed' || (message.kind === 'piece' && message.isLast)) current = undefined;
    receive?.(message);
  });
  worker.on('error', end);
  worker.on('exit', end);

  return {
    get isFree() {
      return !hasEnded && current === undefined;
    },
    decode(bytes, shift) {
      const id = ++lastID;
      const decoded = Promise.withResolvers<DecodedBlock | undefined>();
      let next = Promise.withResolvers<Piece | 'failed'>();
      current = (message) => {
        if (message === 'failed' || message.kind === 'failed') {
          decoded.resolve(undefined);
          next.resolve('failed');
        } else if (message.kind === 'decoded') decoded.resolve(message);
        else next.resolve(message);
      };
      send({ kind: 'decode', id, bytes, shift }, [bytes.buffer]);
      let isOver = false;
      return {
        decoded: decoded.promise,
        async next() {
          if (isOver) return undefined;
          const piece = await next.promise;
          if (piece === 'failed') return piece;
          isOver = piece.isLast;
          next = Promise.withResolvers();
          if (hasEnded) next.resolve('failed');
          else if (!isOver) send({ kind: 'more', id });
          return piece.bytes;
        },
        drop() {
          if (id === lastID) current = undefined;
        },
      };
    },
    close() {
      end();
      void worker.terminate();
    },
  };
}
