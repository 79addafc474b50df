/**
 * Whether a file is decompressed, and whether the image is taken out of an archive.
 *
 * Invariant: pure. A file that may be an image as it is, in the declared formats, stays as it is unless the declaration names the file
 * inside of it.
 */
import { usualContainer } from '../api/fields.ts';
import { isKnownFormat } from './inspect/format-policy.ts';

export interface Packing {
  diskFormat: string;
  containerFormat?: string | undefined;
  decompress: 'Auto' | 'None';
  /** The declared file of an archive. */
  member?: string | undefined;
  /** A conversion reads the file as it is. */
  convert?: 'Raw' | undefined;
}

/** Images in these formats may be compressed files themselves. */
const keptCompressed: ReadonlySet<string | undefined> = new Set(['aki', 'ari', 'ami', 'compressed']);

export function decompresses({ diskFormat, containerFormat, decompress, member, convert }: Packing): boolean {
  if (convert !== undefined) return false;
  if (member !== undefined) return true;
  return decompress === 'Auto' && !keptCompressed.has(diskFormat) && !keptCompressed.has(containerFormat);
}

/** Images in the containers ova and docker are archives, and so may be those in disk formats that a cloud has added, such as root-tar. */
export function unpacks(packing: Packing): boolean {
  const { diskFormat, containerFormat = usualContainer(diskFormat), member } = packing;
  if (member !== undefined) return true;
  return decompresses(packing) && containerFormat === 'bare' && (diskFormat === 'raw' || isKnownFormat(diskFormat));
}
