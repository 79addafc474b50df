/**
 * What the bytes of an image are, and whether they are safe, found out while they stream by. Laws: the verdict depends on the
 * bytes only, never on how they were cut into chunks; it comes as soon as it is certain; it is never milder than Glance's, for
 * there a refused image is unusable from then on; and little more than 64 KiB is held, but for 1 MiB of a VMDK's descriptor.
 *
 * Every format reads along until each has either recognised the file or not, which takes 34 KiB unless it is a text. Then the
 * label decides, and the one format that is left goes on until it has judged.
 *
 * Caveat: where Glance's store reads megabytes at once, as on Ceph, Glance loses sight of the size of a VHDX and refuses it,
 * which cannot be known here.
 */
import { inspectGpt } from './gpt.ts';
import { inspectIso, inspectLuks, inspectQed, inspectVdi, inspectVhd } from './headers.ts';
import { type Format, formats, ruleOn, usualContainer } from './labels.ts';
import { inspectPreface } from './preface.ts';
import { inspectQcow2 } from './qcow2.ts';
import { createReader, type FormatVerdict, type Inspection, type Reader } from './reader.ts';
import { createRefusals } from './refusals.ts';
import { inspectVhdx } from './vhdx.ts';
import { inspectVmdk } from './vmdk.ts';

export interface InspectorOptions {
  /** What is declared, in Glance's words: qcow2, raw, … */
  diskFormat: string;
  /** Glance looks into `bare` images only. Default: what goes with the format, `bare` for all but ami, ari and aki. */
  containerFormat?: string;
  /** 0: not declared. */
  minDiskGiB: number;
  /** No disk may be larger, whatever the length of the file. At most 2^53 - 1. */
  maxVirtualBytes: number;
  /** For messages. */
  url: string;
}

export interface Inspected {
  /** What was recognised; `raw` if nothing was, `gpt` for any partition table. */
  format: string;
  /** In bytes, as Glance computes it; undefined where Glance does not know it either. */
  virtualSize: number | undefined;
}

export interface Inspector {
  /** Throws FormatMismatch, UnsafeImage, VirtualSizeExceeded or MinDiskTooSmall as soon as that is certain. */
  update(chunk: Uint8Array): void;
  /** Leaves out the bytes up to a position. Returns false if a format needs one of them; then the inspection is over. */
  skipTo(position: number): boolean;
  /** To be called once, at the end of the image; throws what can only be known there. */
  finish(): Inspected;
}

const inspections: Record<Format, () => Inspection<FormatVerdict>> = {
  qcow2: inspectQcow2,
  qed: inspectQed,
  vmdk: inspectVmdk,
  vhd: inspectVhd,
  vhdx: inspectVhdx,
  vdi: inspectVdi,
  iso: inspectIso,
  gpt: inspectGpt,
  luks: inspectLuks,
};

/** What the label has let through, and whoever knows more about it; nobody does about raw. */
interface Accepted {
  format: Format | 'raw';
  reader: Reader<FormatVerdict> | undefined;
}

export function createInspector(options: InspectorOptions): Inspector {
  const { diskFormat, minDiskGiB, maxVirtualBytes } = options;
  const containerFormat = options.containerFormat ?? usualContainer(diskFormat);
  const refusals = createRefusals(options.url);
  const preface = createReader(inspectPreface());
  const readers = formats.map((format) => ({ format, reader: createReader(inspections[format]()) }));
  let length = 0;
  let accepted: Accepted | undefined;

  function decide(): Accepted | undefined {
    if (preface.result === undefined) return undefined;
    if (!readers.every(({ reader }) => reader.recognised || reader.result !== undefined)) return undefined;
    if (preface.result.page !== undefined) throw refusals.page(preface.result.page);
    const found = readers.filter(({ reader }) => reader.recognised);
    const ruling = ruleOn(
      { diskFormat, containerFormat },
      found.map(({ format }) => format),
      preface.result,
    );
    if (ruling.kind === 'refused') throw refusals.mismatch(diskFormat, ruling.what);
    return { format: ruling.format, reader: found.find(({ format }) => format === ruling.format)?.reader };
  }

  /** Whether what a server sees as its disk is the file itself. */
  function isPlain(format: Format | 'raw'): boolean {
    return containerFormat === 'bare' && (diskFormat === 'raw' || format === 'gpt' || format === 'iso');
  }

  function limit(disk: number): void {
    if (disk > maxVirtualBytes) throw refusals.virtualSize(disk, maxVirtualBytes);
  }
  function fit(disk: number): void {
    if (minDiskGiB > 0 && disk > minDiskGiB * 2 ** 30) throw refusals.minDisk(disk, minDiskGiB);
  }

  /** In the order in which it becomes known: the size in a header, the verdict on what follows, the length. */
  function check({ format, reader }: Accepted): void {
    const stated = statedSize(reader);
    if (stated !== undefined) {
      limit(stated.disk);
      fit(stated.disk);
    }
    const verdict = reader?.result;
    // Outside a bare container an MBR is nobody's.
    if (verdict?.kind === 'unsafe' && !(format === 'gpt' && containerFormat !== 'bare'))
      throw refusals.unsafe(format, verdict.how);
    if (verdict?.kind === 'damaged') throw refusals.damaged(format, verdict.how);
    if (isPlain(format)) limit(length);
  }

  /** What is declared as raw is as large as it is long, whatever it says of itself. */
  function statedSize(reader: Reader<FormatVerdict> | undefined): Reader<FormatVerdict>['size'] {
    return diskFormat === 'raw' ? undefined : reader?.size;
  }

  /** Glance's number for the size of the disk. */
  function virtualSize({ format, reader }: Accepted): number | undefined {
    if (containerFormat !== 'bare') return undefined;
    const bytes = diskFormat === 'raw' || format === 'gpt' ? length : statedSize(reader)?.reported;
    return bytes === 0 ? undefined : bytes;
  }

  function look(): void {
    accepted ??= decide();
    if (accepted !== undefined) check(accepted);
  }

  return {
    update(chunk) {
      preface.update(chunk, length);
      for (const { reader } of readers) reader.update(chunk, length);
      length += chunk.length;
      look();
    },
    skipTo(position) {
      const all = [preface, ...readers.map(({ reader }) => reader)];
      if (all.some((reader) => reader.needsBefore(position))) return false;
      length = position;
      return true;
    },
    finish() {
      preface.finish(length);
      for (const { reader } of readers) reader.finish(length);
      look();
      if (accepted === undefined) throw new Error('an inspection came to no end');
      // Only now, since the message says which number would do.
      if (isPlain(accepted.format)) fit(length);
      return { format: accepted.format, virtualSize: virtualSize(accepted) };
    },
  };
}
