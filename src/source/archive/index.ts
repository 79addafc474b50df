/**
 * Takes the disk image out of an archive while it streams.
 *
 * Guarantees: the body ends only after the whole archive was read and accepted, so the last bytes of an image in a hostile or damaged
 * archive are never released; memory does not depend on the archive; nothing is read before it is requested.
 *
 * An archive is recognised by its first bytes after decompression, not by its name. One compression inside another, or an archive inside
 * another, is not opened.
 */
import type { MemoryShare } from '../../lib/memory-budget.ts';
import type { DecompressLimits } from '../decompress/errors.ts';
import { type Input, readBy } from '../decompress/input.ts';
import { MemberChoice } from './choice.ts';
import { type ArchiveKind, noArchive } from './errors.ts';
import { untar } from './tar.ts';
import { blockBytes, isTar } from './tar-header.ts';
import { unzip } from './zip.ts';

export type { ArchiveKind } from './errors.ts';

export interface UnpackOptions {
  /** `Auto` takes the only file of an archive, and passes on any other body unchanged. `None` passes on everything. */
  mode: 'Auto' | 'None';
  /** The file to take, with `*` for any characters but `/`. A body that is no archive is an error then. */
  member: string | undefined;
  /** Source of the body, for messages. */
  url: string;
  limits: DecompressLimits;
  /** Names of files are content, and shown only if this returns true. */
  isPublic: () => boolean;
  /** How the body was compressed, known when its first bytes are. */
  compression: () => string | undefined;
  /** The memory that a decoder may use. */
  memory?: MemoryShare | undefined;
}

export interface Unpacked {
  /** Can be read once. */
  readonly body: AsyncIterable<Uint8Array>;
  /** After the first bytes; undefined for a body that passes unchanged. */
  archive(): ArchiveKind | undefined;
  /** The file that is taken. */
  member(): string | undefined;
  /** Its length, if the archive states it in front. */
  size(): number | undefined;
}

/** A second file is noticed before so many bytes of the first one are passed on: notes and checksums are not inspected as a disk. */
const heldBytes = 64 * 1024;

export function unpack(body: AsyncIterable<Uint8Array>, options: UnpackOptions): Unpacked {
  const { mode, member, url, limits, isPublic, compression, memory } = options;
  if (mode === 'None') return { body, archive: () => undefined, member: () => undefined, size: () => undefined };
  let kind: ArchiveKind | undefined;
  let choice: MemberChoice | undefined;
  let size: number | undefined;
  const onSize = (bytes: number) => {
    size = bytes;
  };

  async function* fileOf(input: Input, found: ArchiveKind): AsyncGenerator<Uint8Array, void, undefined> {
    const { maxBytes, maxRatio } = limits;
    const job = { kind: found, url, member, maxBytes, maxRatio, isPublic };
    choice = new MemberChoice(job);
    const chosen =
      found === 'tar' ? untar(input, job, choice, onSize) : unzip(input, job, choice, { limits, memory }, onSize);
    yield* member === undefined ? late(chosen) : chosen;
    choice.finish();
  }

  const unpacked = readBy(
    body,
    async (input) => {
      kind = kindOf(await input.peek(blockBytes), compression());
      if (kind === undefined && member !== undefined) throw noArchive(url, member);
      return kind === undefined ? undefined : fileOf(input, kind);
    },
    // The decoder of a compressed tar archive returns its memory itself.
    () => {
      if (kind === 'zip') memory?.[Symbol.dispose]();
    },
  );
  return { body: unpacked, archive: () => kind, member: () => choice?.chosen, size: () => size };
}

function kindOf(head: Uint8Array, compression: string | undefined): ArchiveKind | undefined {
  if (isTar(head)) return 'tar';
  // A zip archive is compressed itself.
  return compression === undefined && Buffer.from(head.subarray(0, 4)).toString('latin1') === 'PK\x03\x04'
    ? 'zip'
    : undefined;
}

/** The same bytes, the first ones only when there are more than `heldBytes` or all of the archive was read. */
async function* late(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let early: Uint8Array[] | undefined = [];
  let bytes = 0;
  for await (const chunk of body) {
    if (early === undefined) {
      yield chunk;
      continue;
    }
    early.push(chunk);
    bytes += chunk.length;
    if (bytes <= heldBytes) continue;
    yield* early;
    early = undefined;
  }
  if (early !== undefined) yield* early;
}
