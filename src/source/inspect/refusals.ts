/**
 * The errors of the inspection. Law: each says what the file is, what is wrong about it, and what helps; and since the
 * file would be no other the next time, only a change of the declaration makes the operator try again soon.
 */
import { formatBytes } from '../../lib/bytes.ts';
import { OperatorError, retry } from '../../lib/errors.ts';
import { safeUrl } from '../../lib/secret.ts';
import type { Format } from './labels.ts';

const gib = 2 ** 30;

/** Of the file at `url`. */
export function createRefusals(url: string) {
  const file = safeUrl(url);
  const refuse = (code: string, message: string) =>
    new OperatorError(`${file} ${message}`, { code, retry: retry.change });
  return {
    /** `page` was sent in place of the file: not the declaration is wrong but the server, for now. */
    page: (page: string) =>
      new OperatorError(`${file} sent ${page} instead of an image, with status 200: open the URL to see what it says`, {
        code: 'FormatMismatch',
        retry: retry.after(10 * 60_000),
      }),
    mismatch: (diskFormat: string, what: string) =>
      refuse(
        'FormatMismatch',
        `is declared as ${diskFormat} by image.diskFormat, but it ${what}: correct the URL or the format`,
      ),
    damaged: (format: Format | 'raw', how: string) =>
      refuse('FormatMismatch', `is ${nameOf(format)} that cannot be used, as it ${how}: the file has to be replaced`),
    unsafe: (format: Format | 'raw', how: string) =>
      refuse('UnsafeImage', `is ${nameOf(format)} that is not safe to use, as it ${how}: the file has to be replaced`),
    virtualSize: (bytes: number, maxBytes: number) =>
      refuse(
        'VirtualSizeExceeded',
        `is a disk of at least ${formatBytes(bytes)}, and this operator allows ${formatBytes(maxBytes)}: use a smaller image, or have the limit raised`,
      ),
    minDisk: (bytes: number, minDiskGiB: number) =>
      refuse(
        'MinDiskTooSmall',
        `is a disk of ${formatBytes(bytes)} (${bytes} bytes), which does not fit into the ${minDiskGiB} GiB that ` +
          `image.minDiskGiB declares: set it to ${Math.ceil(bytes / gib)}`,
      ),
  };
}

function nameOf(format: Format | 'raw'): string {
  switch (format) {
    case 'gpt':
      return 'a partitioned disk';
    case 'luks':
      return 'a LUKS volume';
    case 'iso':
      return 'an iso image';
    default:
      return `a ${format} image`;
  }
}
