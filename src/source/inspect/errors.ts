/**
 * The errors of the inspection.
 *
 * Guarantees: each message says what the file is, what is wrong with it, and what the user can do.
 */
import { formatBytes } from '../../lib/bytes.ts';
import type { ErrorCode } from '../../lib/error-codes.ts';
import { OperatorError } from '../../lib/errors.ts';
import { isLocal, safeUrl } from '../../lib/secret.ts';
import type { Format } from './format-policy.ts';

const gib = 2 ** 30;

/** For the file at `url`, or for one in the archive there. */
export function createErrors(url: string, member: string | undefined) {
  const file =
    member === undefined ? safeUrl(url) : `the file ${JSON.stringify(member.slice(0, 100))} in ${safeUrl(url)}`;
  const isOnThisMachine = isLocal(url);
  const reject = (code: ErrorCode, message: string) => new OperatorError(`${file} ${message}`, { code });
  return {
    /** The server sent `page` in place of the file. The declaration may be right. */
    page: (page: string) =>
      isOnThisMachine
        ? reject('PageReceived', `is ${page} instead of an image: open it to read what its server sent`)
        : reject('PageReceived', `sent ${page} instead of an image, with status 200: open the URL to read it`),
    mismatch: (diskFormat: string, what: string) =>
      reject(
        'FormatMismatch',
        isOnThisMachine
          ? `is declared as ${diskFormat}, but it ${what}: declare the format that it has, or use another file`
          : `is declared as ${diskFormat} by image.diskFormat, but it ${what}: correct the URL or the format`,
      ),
    damaged: (format: Format | 'raw', how: string) =>
      reject('FormatMismatch', `is ${nameOf(format)} that cannot be used, as it ${how}: replace the file`),
    unsafe: (format: Format | 'raw', how: string, checks: readonly string[]) =>
      reject(
        'UnsafeImage',
        `is ${nameOf(format)} that is not safe to use, as it ${how}: replace the file` +
          (checks.length === 0
            ? ''
            : `, or have the administrators of the operator and of the cloud permit it (--gpt-safety-checks-nonfatal=mbr, gpt_safety_checks_nonfatal of Glance)`),
      ),
    virtualSize: (bytes: number, maxBytes: number) =>
      reject(
        'VirtualSizeExceeded',
        `is a disk of at least ${formatBytes(bytes)}, and this operator allows ${formatBytes(maxBytes)}: use a smaller image, or ask the administrator of the operator for a higher limit`,
      ),
    minDisk: (bytes: number, minDiskGiB: number) =>
      reject(
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
