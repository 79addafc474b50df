/**
 * The errors of a conversion. Guarantees: each message has the URL without its secrets, what is wrong, and what the user can do.
 */
import { formatBytes } from '../../lib/bytes.ts';
import { OperatorError } from '../../lib/errors.ts';
import { safeUrl } from '../../lib/secret.ts';
import { needsRanges } from '../errors.ts';
import { createErrors } from '../inspect/errors.ts';

export type ConversionErrors = ReturnType<typeof conversionErrors>;

export function conversionErrors(url: string) {
  const { page, damaged, unsafe, virtualSize, minDisk } = createErrors(url, undefined);
  const file = safeUrl(url);
  return {
    page,
    virtualSize,
    minDisk,
    /** `how` ends the sentence "as it …". */
    damaged: (how: string) => damaged('qcow2', how),
    unsafe: (how: string) => unsafe('qcow2', how, []),
    needsRanges: (why: string) => needsRanges(url, why),
    otherFormat: () =>
      new OperatorError(
        `content.convert reads qcow2 images only, and ${file} is not one: correct the URL, or leave content.convert out`,
        { code: 'FormatMismatch' },
      ),
    grows: (fileBytes: number, diskBytes: number, maxRatio: number, headStart: number) =>
      new OperatorError(
        `${file} is a qcow2 image of ${formatBytes(fileBytes)} that grows to ${formatBytes(diskBytes)} as raw; the limit is ${maxRatio} ` +
          `times its size and ${formatBytes(headStart)}: use an image with a smaller disk, or declare it as qcow2`,
        { code: 'CompressionBomb' },
      ),
    scattered: (times: number) =>
      damaged(
        'qcow2',
        `has its clusters in such an order that the download would read it more than ${times} times (qemu-img convert -O qcow2 puts them in order)`,
      ),
    changed: (at: number) =>
      new OperatorError(
        `${file} sent other bytes near byte ${at} when they were requested again: the file has changed; the transfer starts again`,
        { code: 'SourceChanged' },
      ),
  };
}
