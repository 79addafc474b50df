/**
 * Detects the format of an image while its bytes stream, and checks that the image is safe.
 *
 * Guarantees: the result depends on the bytes only, not on how they were split into chunks; it is available as soon as it is
 * certain; it is never milder than that of Glance, where a rejected image is unusable from then on; it holds little more than
 * 64 KiB, apart from the descriptor of a VMDK (1 MiB).
 *
 * All formats read until each has either recognised the file or not, which takes 34 KiB unless the file is a text. Then the
 * format policy decides, and the remaining format reads on until it has a verdict.
 *
 * Caveat: where the store of Glance reads megabytes at once, as on Ceph, Glance misses the size of a VHDX and rejects it. That
 * cannot be detected here.
 */

import { usualContainer } from '../../api/fields.ts';
import { createErrors } from './errors.ts';
import { type Format, formats, policyFor } from './format-policy.ts';
import { inspectGpt } from './gpt.ts';
import { inspectIso, inspectLuks, inspectQed, inspectVdi, inspectVhd } from './header-formats.ts';
import { inspectQcow2 } from './qcow2.ts';
import { createReader, type FormatVerdict, type Inspection, type Reader } from './reader.ts';
import { sniff } from './sniff.ts';
import { inspectVhdx } from './vhdx.ts';
import { inspectVmdk } from './vmdk.ts';

export interface InspectorOptions {
  /** As declared, by Glance's name: qcow2, raw, … */
  diskFormat: string;
  /** Glance inspects `bare` images only. Default: the usual one for the format, `bare` for all but ami, ari and aki. */
  containerFormat?: string;
  /** 0: not declared. */
  minDiskGiB: number;
  /** Limit on the size of the disk, for any length of the file. At most 2^53 - 1. */
  maxVirtualBytes: number;
  /** Safety checks, by their names in Glance, that accept a partitioned disk although they fail. Default: none. */
  nonfatal?: readonly string[];
  /** For messages. */
  url: string;
  /** The file in the archive at `url`, if it is one. */
  member?: string | undefined;
}

export interface Inspected {
  /** The recognised format; `raw` if none, `gpt` for any partition table. */
  format: string;
  /** In bytes, as Glance computes it; undefined if Glance does not know it either. */
  virtualSize: number | undefined;
}

export interface Inspector {
  /** Throws FormatMismatch, UnsafeImage, VirtualSizeExceeded or MinDiskTooSmall as soon as that is certain. */
  update(chunk: Uint8Array): void;
  /** Skips the bytes up to a position. Returns false if a format needs one of them; then the inspection has ended. */
  skipTo(position: number): boolean;
  /** Call it once, at the end of the image. Throws the errors that can only be detected there. */
  finish(): Inspected;
}

const inspections: Record<Format, () => Inspection<FormatVerdict>> = {
  qcow2: () => inspectQcow2(),
  qed: inspectQed,
  vmdk: inspectVmdk,
  vhd: inspectVhd,
  vhdx: inspectVhdx,
  vdi: inspectVdi,
  iso: inspectIso,
  gpt: inspectGpt,
  luks: inspectLuks,
};

/** The accepted format, and the reader of its details, which raw does not have. */
interface Accepted {
  format: Format | 'raw';
  reader: Reader<FormatVerdict> | undefined;
}

export function createInspector(options: InspectorOptions): Inspector {
  const { diskFormat, minDiskGiB, maxVirtualBytes, nonfatal = [] } = options;
  const containerFormat = options.containerFormat ?? usualContainer(diskFormat);
  const errors = createErrors(options.url, options.member);
  const head = createReader(sniff());
  const readers = formats.map((format) => ({ format, reader: createReader(inspections[format]()) }));
  let length = 0;
  let accepted: Accepted | undefined;

  function decide(): Accepted | undefined {
    if (head.result === undefined) return undefined;
    if (!readers.every(({ reader }) => reader.recognised || reader.result !== undefined)) return undefined;
    if (head.result.page !== undefined) throw errors.page(head.result.page);
    const found = readers.filter(({ reader }) => reader.recognised);
    const decision = policyFor(
      { diskFormat, containerFormat },
      found.map(({ format }) => format),
      head.result,
    );
    if (decision.kind === 'rejected') throw errors.mismatch(diskFormat, decision.what);
    return { format: decision.format, reader: found.find(({ format }) => format === decision.format)?.reader };
  }

  /** Whether the disk of a server is the file itself. */
  function isPlain(format: Format | 'raw'): boolean {
    return containerFormat === 'bare' && (diskFormat === 'raw' || format === 'gpt' || format === 'iso');
  }

  function isTolerated({ checks = [] }: { checks?: readonly string[] }): boolean {
    return checks.some((name) => nonfatal.includes(name));
  }

  function limit(disk: number): void {
    if (disk > maxVirtualBytes) throw errors.virtualSize(disk, maxVirtualBytes);
  }
  function fit(disk: number): void {
    if (minDiskGiB > 0 && disk > minDiskGiB * 2 ** 30) throw errors.minDisk(disk, minDiskGiB);
  }

  /** In the order in which it becomes known: the size in a header, the verdict on the rest, the length. */
  function check({ format, reader }: Accepted): void {
    const stated = statedSize(reader);
    if (stated !== undefined) {
      limit(stated.disk);
      fit(stated.disk);
    }
    const verdict = reader?.result;
    // Outside a bare container an MBR has no meaning.
    if (verdict?.kind === 'unsafe' && !(format === 'gpt' && containerFormat !== 'bare') && !isTolerated(verdict))
      throw errors.unsafe(format, verdict.how, verdict.checks ?? []);
    if (verdict?.kind === 'damaged') throw errors.damaged(format, verdict.how);
    if (isPlain(format)) limit(length);
  }

  /** The size of an image that is declared as raw is its length, not the size in its header. */
  function statedSize(reader: Reader<FormatVerdict> | undefined): Reader<FormatVerdict>['size'] {
    return diskFormat === 'raw' ? undefined : reader?.size;
  }

  /** The size of the disk as Glance computes it. */
  function virtualSize({ format, reader }: Accepted): number | undefined {
    if (containerFormat !== 'bare') return undefined;
    const bytes = diskFormat === 'raw' || format === 'gpt' ? length : statedSize(reader)?.reported;
    return bytes === 0 ? undefined : bytes;
  }

  function evaluate(): void {
    accepted ??= decide();
    if (accepted !== undefined) check(accepted);
  }

  return {
    update(chunk) {
      head.update(chunk, length);
      for (const { reader } of readers) reader.update(chunk, length);
      length += chunk.length;
      evaluate();
    },
    skipTo(position) {
      const all = [head, ...readers.map(({ reader }) => reader)];
      if (all.some((reader) => reader.needsBefore(position))) return false;
      length = position;
      return true;
    },
    finish() {
      head.finish(length);
      for (const { reader } of readers) reader.finish(length);
      evaluate();
      if (accepted === undefined) throw new Error('an inspection has no result');
      // Not earlier, because the message names the required size.
      if (isPlain(accepted.format)) fit(length);
      return { format: accepted.format, virtualSize: virtualSize(accepted) };
    },
  };
}

/** The format that the first bytes of an image show, for a person who has to declare it. */
export interface Recognised {
  /** Glance's name. `raw`: no other was recognised. */
  format: string;
  /** Bytes of the disk, where the head has it. */
  virtualSize: number | undefined;
  /** Such as `an HTML page`, which servers send in place of a file. */
  page: string | undefined;
}

export function recognise(head: Uint8Array): Recognised {
  const sniffed = createReader(sniff());
  sniffed.update(head, 0);
  if (sniffed.result === undefined) sniffed.finish(head.length);
  // A raw image of a disk begins with a partition table.
  const found = formats
    .filter((format) => format !== 'gpt')
    .map((format) => ({ format, reader: createReader(inspections[format]()) }))
    .find(({ reader }) => {
      reader.update(head, 0);
      return reader.recognised;
    });
  return {
    format: found?.format ?? 'raw',
    virtualSize: found?.reader.size?.reported,
    page: sniffed.result?.page,
  };
}
