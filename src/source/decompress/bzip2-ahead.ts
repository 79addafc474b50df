/**
 * Decodes blocks of bzip2 that follow the present one, by helpers, as long as cores and memory are free.
 *
 * Guarantees: a helper only saves work. Its block is used only if the block before ends where it begins, and if a helper fails, the
 * reader decodes the block itself, so errors are the same with and without helpers; at most two blocks for each helper are
 * decoded ahead; a file with signatures where no block begins gets no more help.
 *
 * The reader decodes blocks too: one after as many as there are helpers.
 */
import type { BitReader } from './bits.ts';
import { type BlockAhead, type BlockHelper, helperBytes, startHelper } from './bzip2-helper.ts';
import { findSignatures, signatureBytes } from './bzip2-signature.ts';
import type { Helpers } from './errors.ts';
import { createTeam } from './team.ts';

/** Unread bytes that are kept for each helper: some blocks, which have up to 0.9 MB for noise, and rarely more. */
const aheadBytes = 2 * 2 ** 20;
const blocksPerHelper = 2;
const signatureBits = 48;
/** Signatures in the data of a block are one in 10^14. */
const mostWasted = 8;
/** In the bytes of one search. The reader decodes the others. */
const mostFound = 1000;

interface Candidate {
  /** The first bit of its signature in the file. */
  position: number;
  ahead?: BlockAhead;
  /** Left to the reader. */
  isOwn: boolean;
}

export interface BlocksAhead {
  /** Unread bytes that it needs to find blocks. */
  readonly wantedBytes: number;
  /**
   * Begins with the blocks after the one at `position`; returns that one if a helper has begun with it. `isComplete`: all bytes of the
   * file are here.
   */
  at(position: number, isComplete: boolean): Promise<BlockAhead | undefined>;
  close(): void;
}

export function createBlocksAhead(bits: BitReader, helpers: Helpers, blockBytes: number): BlocksAhead {
  const team = createTeam(helpers, { first: helperBytes, each: helperBytes });
  const running: BlockHelper[] = [];
  let candidates: Candidate[] = [];
  /** The signatures in the bytes before this one have been found. */
  let searched = 0;
  let sinceOwn = 0;
  let wasted = 0;

  /** `done`: bytes of the file so far. */
  async function takeHelper(done: number): Promise<void> {
    await team.grow(done);
    if (team.size - 1 === running.length) return;
    running.push(startHelper());
    bits.grow(wantedBytes() + aheadBytes);
  }

  const wantedBytes = () => blockBytes + aheadBytes * blocksPerHelper * running.length;

  function search(after: number): void {
    const from = Math.max(searched, bits.offset) - bits.start;
    const end = bits.end;
    if (end - from < signatureBytes) return;
    const last = candidates.at(-1)?.position ?? after;
    for (const found of findSignatures(bits.bytes.subarray(from, end), mostFound)) {
      const position = (bits.start + from) * 8 + found;
      if (position > last) candidates.push({ position, isOwn: false });
    }
    // The last bytes may be the beginning of a signature.
    searched = bits.start + end - signatureBytes + 1;
  }

  /** Forgets signatures before `position`, where no block began. */
  function dropBefore(position: number): void {
    for (const { ahead, position: wrong } of candidates) {
      if (wrong >= position) break;
      if (ahead === undefined) continue;
      wasted++;
      ahead.drop();
    }
    candidates = candidates.filter((each) => each.position >= position);
  }

  function begin(isComplete: boolean): void {
    let waiting = candidates.filter(({ ahead }) => ahead !== undefined).length;
    for (const [index, candidate] of candidates.entries()) {
      if (candidate.isOwn || candidate.ahead !== undefined) continue;
      if (sinceOwn === running.length) {
        candidate.isOwn = true;
        sinceOwn = 0;
        continue;
      }
      const free = running.find(({ isFree }) => isFree);
      if (free === undefined || waiting >= running.length * blocksPerHelper) return;
      const from = Math.floor((candidate.position + signatureBits) / 8);
      const next = candidates[index + 1];
      // The rest of the last one may not be here yet.
      if (next === undefined && !isComplete && bits.start + bits.end - from < blockBytes) return;
      const to = next === undefined ? from + blockBytes : Math.ceil(next.position / 8);
      const shift = candidate.position + signatureBits - from * 8;
      candidate.ahead = free.decode(bits.copy(from, to), shift);
      sinceOwn++;
      waiting++;
    }
  }

  function close(): void {
    candidates = [];
    for (const helper of running.splice(0)) helper.close();
    team[Symbol.dispose]();
  }

  return {
    get wantedBytes() {
      return wantedBytes();
    },
    async at(position, isComplete) {
      dropBefore(position);
      if (wasted > mostWasted) close();
      const here = candidates[0]?.position === position ? candidates.shift() : undefined;
      if (here === undefined) sinceOwn = 0;
      if (here?.ahead === undefined) await takeHelper(position / 8);
      if (running.length > 0) {
        search(position);
        begin(isComplete);
      }
      return here?.ahead;
    },
    close,
  };
}
