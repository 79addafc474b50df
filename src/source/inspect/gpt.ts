/**
 * A disk with a partition table, MBR or GPT. Both have an MBR, which is checked here.
 *
 * Invariant: the rules are those of Glance. An MBR that no partitioning tool writes is unsafe, even if the declared format is raw;
 * as in Glance, the installation can tolerate it.
 */
import * as read from './reader.ts';

const sector = 512;
const firstEntry = 446;
const entryLength = 16;
/** The type of the entry that protects a GPT from tools that do not support GPT. */
const protective = 0xee;

export function* inspectGpt(): read.Inspection<read.FormatVerdict> {
  const mbr = yield* read.bytes(0, sector);
  if (mbr.length < sector || mbr.readUInt16LE(510) !== 0xaa55 || isFat(mbr)) return read.other;
  yield read.recognised;
  const problem = mbrProblem(mbr);
  return problem ?? read.sound;
}

/** The boot sector of a FAT file system has the same signature. */
function isFat(sector: Buffer): boolean {
  const [tables, medium] = [sector[0x10], sector[0x15]];
  return tables === 2 && medium === 0xf8;
}

/** The names that Glance's option gpt_safety_checks_nonfatal has for a check of any MBR, and of a protective one. */
const anyMbr = ['mbr'];
const protectiveMbr = ['mbr', 'gptmbr'];

function mbrProblem(mbr: Buffer): read.FormatVerdict | undefined {
  const used: number[] = [];
  let hasProtective = false;
  for (let index = 0; index < 4; index++) {
    const entry = mbr.subarray(firstEntry + index * entryLength);
    const [bootFlag, type] = [entry.readUInt8(0), entry.readUInt8(4)];
    if (bootFlag !== 0 && bootFlag !== 0x80)
      return read.unsafe(`has an MBR whose entry ${index + 1} has an invalid boot flag`, anyMbr);
    if (type !== 0) used.push(index);
    if (type !== protective) continue;
    hasProtective = true;
    if (entry.readUIntBE(1, 3) !== 0x000200 || entry.readUInt32LE(8) !== 1)
      return read.unsafe('has a protective MBR whose partition does not start at sector 1', protectiveMbr);
  }
  if (hasProtective && (used.length > 1 || used[0] !== 0))
    return read.unsafe('has a protective MBR with more than the protective partition', protectiveMbr);
  if (used.length === 0) return read.unsafe('has an MBR without partitions', anyMbr);
  return undefined;
}
