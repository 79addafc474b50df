/**
 * Checks of what Glance downloads by itself, because the operator sees neither the connection nor the bytes on their way.
 *
 * Guarantees: imports are requested only from addresses that the operator itself might connect to, as far as the operator knows from
 * the name and its own DNS, or, where sources have a proxy, from what that proxy permits. The redirects that Glance follows are not
 * checked. An image becomes visible only after its format was inspected, by a read of its first bytes and, where a format needs them,
 * its last ones.
 */

import type { ImageClient } from '../../glance/client/index.ts';
import type { Image } from '../../glance/image.ts';
import type { ErrorCode } from '../../lib/error-codes.ts';
import { describe, OperatorError } from '../../lib/errors.ts';
import { createInspector } from '../../source/inspect/index.ts';
import type { Content } from '../model/content.ts';

export interface WebDownloads {
  /** Rejects with the OperatorError that says why a source must not be there, or with the error of DNS. */
  checkURL(url: URL, signal: AbortSignal): Promise<void>;
  maxVirtualBytes: number;
  /** Safety checks of partition tables that may fail, by their names in Glance. Default: none. */
  nonfatal?: readonly string[];
}

/** Every format that is not damaged has been recognised and inspected by then, but for a footer. */
const headBytes = 8 * 2 ** 20;
const tailBytes = 64 * 2 ** 10;
/** Failures that another import of the same file would repeat. */
const faults: ReadonlySet<ErrorCode> = new Set([
  'FormatMismatch',
  'PageReceived',
  'UnsafeImage',
  'VirtualSizeExceeded',
  'MinDiskTooSmall',
]);

export async function checkWebDownload(uri: string, { checkURL }: WebDownloads, signal: AbortSignal): Promise<void> {
  const url = URL.parse(uri);
  // Glance may read it in another way: a link-local address with a zone is none here, and Glance connects to it.
  if (url === null) {
    throw new OperatorError(
      'no import was requested, because the URL in spec.content is not valid, so its address cannot be checked: correct its host and port',
      { code: 'SourceURLInvalid' },
    );
  }
  try {
    await checkURL(url, signal);
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    throw new OperatorError(
      `no import from ${url.hostname} was requested, because the operator cannot resolve that name to check it: ${describe(error)}`,
      { code: 'SourceUnreachable', cause: error },
    );
  }
}

/** What is wrong with the data, if anything. Throws what prevents the inspection. */
export async function faultOfFetched(
  images: Pick<ImageClient, 'download'>,
  image: Pick<Image, 'id' | 'size'>,
  content: Content,
  { maxVirtualBytes, nonfatal = [] }: Pick<WebDownloads, 'maxVirtualBytes' | 'nonfatal'>,
  signal: AbortSignal,
): Promise<OperatorError | undefined> {
  const { diskFormat, containerFormat, minDiskGiB } = content;
  const url = `glance://${image.id}`;
  const inspector = createInspector({ diskFormat, containerFormat, minDiskGiB, maxVirtualBytes, nonfatal, url });
  try {
    const read = await feed(inspector, images, image.id, 0, headBytes, signal);
    const length = image.size ?? read;
    if (read < length) {
      const from = Math.max(read, length - tailBytes);
      if (!inspector.skipTo(from)) return unreadable(image.id);
      await feed(inspector, images, image.id, from, tailBytes, signal);
    }
    inspector.finish();
    return undefined;
  } catch (error) {
    if (error instanceof OperatorError && faults.has(error.code)) return error;
    throw error;
  }
}

/** Resolves with the number of bytes that were read. */
async function feed(
  inspector: ReturnType<typeof createInspector>,
  images: Pick<ImageClient, 'download'>,
  id: string,
  from: number,
  most: number,
  signal: AbortSignal,
): Promise<number> {
  const { body } = await images.download(id, { from, signal });
  let left = most;
  for await (const chunk of body) {
    const piece = chunk.subarray(0, left);
    inspector.update(piece);
    left -= piece.length;
    if (left === 0) break;
  }
  return most - left;
}

function unreadable(id: string): OperatorError {
  return new OperatorError(
    `the header of image ${id} refers to bytes far inside the file, so its format cannot be inspected; use method Upload`,
    { code: 'UnsafeImage' },
  );
}
