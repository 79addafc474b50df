/**
 * The program of a thread that decodes blocks of bzip2 for `bzip2-helper.ts`. It is bundled into a file of its own, which holds little
 * else.
 *
 * Guarantees: it holds one block, and at most one piece of output that was not requested.
 */
import { parentPort } from 'node:worker_threads';
import { BitReader, OutOfBits, usualCapacity } from './bits.ts';
import { BrokenBlock, Bzip2Block, blockUnit } from './bzip2-block.ts';

/** What the thread receives. */
export type ToHelper =
  /** A block begins at the bit `shift` of the bytes, after its signature. It is decoded, and its first piece is sent. */
  { kind: 'decode'; id: number; bytes: Uint8Array<ArrayBuffer>; shift: number } | { kind: 'more'; id: number };

export type FromHelper =
  /** Where it ends, in bits after its beginning, and its length before the last run-length coding. */
  | { kind: 'decoded'; id: number; bits: number; length: number; checksum: number }
  | { kind: 'piece'; id: number; bytes: Uint8Array<ArrayBuffer>; isLast: boolean }
  /** It is no block, or not all of one, or a damaged one. */
  | { kind: 'failed'; id: number };

/** A block has 900 000 bytes before runs are written out, which is all of it for most data. */
const pieceBytes = 2 ** 20;

const port = parentPort;
if (port === null) throw new Error('this file runs as a worker thread only');
const send = (message: FromHelper, bytes?: Uint8Array<ArrayBuffer>) =>
  port.postMessage(message, bytes === undefined ? [] : [bytes.buffer]);
const bits = new BitReader();
const block = new Bzip2Block();

port.on('message', (message: ToHelper) => {
  const { id } = message;
  try {
    if (message.kind === 'decode') {
      const { length, start } = decode(message);
      send({ kind: 'decoded', id, bits: bits.position - start, length, checksum: block.checksum });
    }
    sendPiece(id);
  } catch (error) {
    if (!(error instanceof BrokenBlock || error instanceof OutOfBits)) throw error;
    send({ kind: 'failed', id });
  }
});

function decode({ bytes, shift }: Extract<ToHelper, { kind: 'decode' }>): { length: number; start: number } {
  bits.clear();
  bits.grow(Math.max(bytes.length, usualCapacity));
  const start = bits.position + shift;
  bits.append(bytes);
  bits.seek(start);
  return { length: block.decode(bits, 9 * blockUnit), start };
}

function sendPiece(id: number): void {
  const piece = new Uint8Array(pieceBytes);
  const filled = block.read(piece);
  const isLast = filled < pieceBytes;
  const bytes = isLast ? piece.slice(0, filled) : piece;
  send({ kind: 'piece', id, bytes, isLast }, bytes);
}
