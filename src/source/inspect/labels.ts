/**
 * Which formats may come under which label, as the declared formats are called here. Law: nothing is accepted that Glance (from
 * 30 on) refuses; what Glance accepts is refused only where it is a mistake, and then the mistake is named.
 */
import type { Preface } from './preface.ts';

export const formats = ['qcow2', 'qed', 'vmdk', 'vhd', 'vhdx', 'vdi', 'iso', 'gpt', 'luks'] as const;
export type Format = (typeof formats)[number];

export interface Label {
  diskFormat: string;
  containerFormat: string;
}

export type Ruling =
  | { kind: 'accepted'; format: Format | 'raw' }
  /** `what` ends the sentence "is declared as <diskFormat>, but it …". */
  | { kind: 'refused'; what: string };

/** Formats of Amazon's, which have come in a container of the same name ever since. */
const amazon: readonly string[] = ['ami', 'ari', 'aki'];

/** The container that goes with a format where none is declared. */
export function usualContainer(diskFormat: string): string {
  return amazon.includes(diskFormat) ? diskFormat : 'bare';
}

/** `found`: every format that the bytes were recognised as. */
export function ruleOn(label: Label, found: readonly Format[], preface: Preface): Ruling {
  const isHybridIso = found.length === 2 && found.includes('iso') && found.includes('gpt');
  if (found.length > 1 && !isHybridIso)
    return refused(
      `is several formats at once (${found.join(', ')}), one of which may hide in another; Glance refuses it`,
    );
  const format = isHybridIso ? 'iso' : (found[0] ?? 'raw');
  const what = whatItIs(format, preface, label.diskFormat);

  const is = (accepted: boolean): Ruling => (accepted ? { kind: 'accepted', format } : refused(what));
  const { diskFormat, containerFormat } = label;
  // The bytes of any other container are not those of the disk, and Glance does not look at them.
  if (containerFormat !== 'bare' && !amazon.includes(diskFormat)) return is(true);
  if (diskFormat === 'raw') return ruleOnRaw(format, isHybridIso, preface, what);
  if (formats.some((known) => known === diskFormat)) return is(format === diskFormat);
  // What has no signature must not have another's. Kernels look like an MBR, which Glance minds in a bare container only.
  return is(format === 'raw' || (format === 'gpt' && containerFormat !== 'bare'));
}

/** Glance lets any format pass for raw. Whoever declares qcow2 so has made a mistake, and would only see it on a server. */
function ruleOnRaw(format: Format | 'raw', isHybridIso: boolean, preface: Preface, what: string): Ruling {
  if (isHybridIso) return refused('is a hybrid ISO image, which Glance takes as iso only');
  if (format === 'raw' && preface.compression !== undefined) return refused(what);
  if (['raw', 'gpt', 'iso', 'luks'].includes(format)) return { kind: 'accepted', format };
  return refused(`${what}, and a server that took it for raw would find no disk in it`);
}

function whatItIs(format: Format | 'raw', { compression, isTar }: Preface, diskFormat: string): string {
  if (format === 'gpt') return 'is a raw disk with a partition table';
  if (format !== 'raw') return `is ${format}`;
  if (compression !== undefined) return `is a file compressed with ${compression}`;
  if (isTar) return 'is a tar archive, such as an OVA';
  // Glance takes a fixed VHD, which has its signature only at its end, for raw.
  if (diskFormat === 'vhd')
    return 'does not begin as a dynamic VHD (qemu-img convert -O vpc makes one of a fixed VHD, which Glance does not know)';
  return 'has no signature of that format';
}

function refused(what: string): Ruling {
  return { kind: 'refused', what };
}
