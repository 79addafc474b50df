/**
 * The format policy: which detected formats are accepted for which declared formats.
 *
 * Guarantees: no file is accepted that Glance (version 30 and later) rejects. A file that Glance accepts is rejected only if its
 * declaration is a mistake, and the message names the mistake.
 */
import { isAmazonFormat } from '../../api/fields.ts';
import type { Sniffed } from './sniff.ts';

export const formats = ['qcow2', 'qed', 'vmdk', 'vhd', 'vhdx', 'vdi', 'iso', 'gpt', 'luks'] as const;
export type Format = (typeof formats)[number];

export function isKnownFormat(name: string): boolean {
  return formats.some((known) => known === name);
}

export interface DeclaredFormats {
  diskFormat: string;
  containerFormat: string;
}

export type Decision =
  | { kind: 'accepted'; format: Format | 'raw' }
  /** `what` ends the sentence "is declared as <diskFormat>, but it …". */
  | { kind: 'rejected'; what: string };

/** `found`: every format that the bytes were recognised as. */
export function policyFor(declared: DeclaredFormats, found: readonly Format[], head: Sniffed): Decision {
  const isHybridIso = found.length === 2 && found.includes('iso') && found.includes('gpt');
  if (found.length > 1 && !isHybridIso)
    return rejected(
      `is several formats at once (${found.join(', ')}), one of which may hide in another; Glance rejects it`,
    );
  const format = isHybridIso ? 'iso' : (found[0] ?? 'raw');
  const what = describeFormat(format, head, declared.diskFormat);

  const is = (accepted: boolean): Decision => (accepted ? { kind: 'accepted', format } : rejected(what));
  const { diskFormat, containerFormat } = declared;
  // The bytes of any other container are not those of the disk, and Glance does not inspect them.
  if (containerFormat !== 'bare' && !isAmazonFormat(diskFormat)) return is(true);
  if (diskFormat === 'raw') return policyForRaw(format, isHybridIso, head, what);
  if (isKnownFormat(diskFormat)) return is(format === diskFormat);
  // A format without a signature must not have another one's. Kernels look like an MBR, which Glance rejects in a bare container only.
  return is(format === 'raw' || (format === 'gpt' && containerFormat !== 'bare'));
}

/** Glance accepts any format as raw. To declare a qcow2 file as raw is a mistake that would show only on a server. */
function policyForRaw(format: Format | 'raw', isHybridIso: boolean, head: Sniffed, what: string): Decision {
  if (isHybridIso) return rejected('is a hybrid ISO image, which Glance takes as iso only');
  if (format === 'raw' && (head.compression !== undefined || head.isTar)) return rejected(what);
  if (['raw', 'gpt', 'iso', 'luks'].includes(format)) return { kind: 'accepted', format };
  return rejected(`${what}, and a server that reads it as raw would find no disk in it`);
}

function describeFormat(format: Format | 'raw', { compression, isTar }: Sniffed, diskFormat: string): string {
  if (format === 'gpt') return 'is a raw disk with a partition table';
  if (format !== 'raw') return `is ${format}`;
  const archive = isTar ? 'tar' : compression === 'zip' ? 'zip' : undefined;
  if (archive !== undefined)
    return `is a ${archive} archive. One is unpacked only during a transfer with decompress Auto and another method than WebDownload, and only where it is not inside another one`;
  if (compression !== undefined) return `is a file compressed with ${compression}`;
  // For Glance a fixed VHD is raw, because its signature is only at its end.
  if (diskFormat === 'vhd')
    return (
      'does not begin like a dynamic VHD. Glance does not support a fixed VHD, which has its signature at its end only: ' +
      'convert it with qemu-img convert -O vpc, or declare it as raw, which it is except for its last 512 bytes'
    );
  return 'has no signature of that format';
}

function rejected(what: string): Decision {
  return { kind: 'rejected', what };
}
