/**
 * Reads the data of images: as a stream, into a sink, into a file; over HTTP, or from a local file if that is allowed.
 *
 * Guarantees: the bytes are verified in every case, and a complete result is the image as recorded in Glance; no file outside of
 * the given directories is opened, whatever path Glance names.
 */
import { createReadStream } from 'node:fs';
import { open, realpath, rm, stat } from 'node:fs/promises';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ImageClient, ImageData } from '../glance/client/index.ts';
import { ImageDownloadFailed, InvalidRequest } from '../glance/errors.ts';
import type { Image } from '../glance/image.ts';
import { describe, OperatorError } from '../lib/errors.ts';
import type { CertificateStore } from './certificates.ts';
import { takesData } from './check.ts';
import { signatureCheck } from './signature-check.ts';
import { recordedDigest, verified } from './verify.ts';

export interface ImageDownload {
  /** Bytes, if Glance reports it. */
  size: number | undefined;
  /** The digest by which the bytes are verified, in addition to their number; undefined if Glance has none. */
  verifiedBy: string | undefined;
  /** Whether they are also verified by the image's signature. */
  signed: boolean;
  /**
   * Read it once, or end it with `return`; for a second reader it throws InvalidRequest. Throws ImageDownloadFailed if the data ends
   * early. Throws before the last bytes: ImageCorrupted if they are not the recorded ones, ImageSignatureVerificationFailed if they are
   * not the signed ones.
   */
  body: AsyncIterable<Uint8Array>;
}

/**
 * In addition to the errors of `ImageClient`, all throw ImageDownloadFailed for an image without data, and for one
 * whose signature cannot be checked InvalidImageSignature, ImageSignatureVerificationFailed or CertificateUnavailable.
 */
export interface Downloads {
  download(id: string, signal: AbortSignal): Promise<ImageDownload>;
  /** Ends the sink, or destroys it if the writing fails. Returns the number of bytes. */
  downloadTo(id: string, sink: Writable, signal: AbortSignal): Promise<number>;
  /** Leaves no file behind on failure. Returns the number of bytes. */
  downloadToFile(id: string, path: string, signal: AbortSignal): Promise<number>;
}

export interface DownloadOptions {
  client: Pick<ImageClient, 'download'>;
  /** Throws ImageNotFound if the image is not available. */
  find: (id: string, signal: AbortSignal) => Promise<Image>;
  /** Data in a file below one of these is read from the file, if it goes into a sink. Absolute paths. */
  fileDirectories: readonly string[];
  signatures: 'enabled' | 'disabled';
  certificates: CertificateStore;
}

export function createDownloads(options: DownloadOptions): Downloads {
  const { client, find, fileDirectories, signatures: mode, certificates } = options;

  /** The data with its checks. It is opened only if they are possible. */
  async function checkedDownload(
    image: Image,
    signal: AbortSignal,
    data: () => Promise<ImageData>,
  ): Promise<ImageDownload> {
    const signature = await signatureCheck(image, { mode, certificates, signal });
    const { size, checksum, body } = await data();
    const check = recordedDigest({ ...image, checksum: image.checksum ?? checksum ?? null });
    return {
      size: image.size ?? size,
      verifiedBy: check?.algorithm,
      signed: signature.verifies,
      body: readOnce(image.id, signature.through(verified(body, { id: image.id, size: image.size, check }))),
    };
  }

  const overHttp = (image: Image, signal: AbortSignal) =>
    checkedDownload(image, signal, () => client.download(image.id, { signal }));

  /** For a sink: from a file if that is allowed, otherwise from Glance. */
  async function openForSink(id: string, signal: AbortSignal): Promise<ImageDownload> {
    const image = await find(id, signal);
    const named = filePathOf(image);
    const path = named === undefined ? undefined : await permittedFile(id, named, fileDirectories);
    if (path === undefined) return overHttp(image, signal);
    return checkedDownload(image, signal, async () => ({
      size: undefined,
      checksum: undefined,
      body: fileBody(id, path, signal),
    }));
  }

  async function opened(id: string, signal: AbortSignal): Promise<ImageDownload> {
    try {
      return await openForSink(id, signal);
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof OperatorError ? error : notWritten(id, error);
    }
  }

  async function write(id: string, body: AsyncIterable<Uint8Array>, sink: Writable, signal: AbortSignal) {
    let bytes = 0;
    async function* counted() {
      for await (const chunk of body) {
        bytes += chunk.byteLength;
        yield chunk;
      }
    }
    try {
      if (!takesData(sink)) {
        await body[Symbol.asyncIterator]().return?.();
        throw new Error('the sink has ended or was destroyed');
      }
      await pipeline(counted(), sink, { signal });
      return bytes;
    } catch (error) {
      sink.destroy();
      signal.throwIfAborted();
      throw error instanceof OperatorError ? error : notWritten(id, error);
    }
  }

  return {
    async download(id, signal) {
      return overHttp(await find(id, signal), signal);
    },

    async downloadTo(id, sink, signal) {
      const { body } = await opened(id, signal);
      return write(id, body, sink, signal);
    },

    async downloadToFile(id, path, signal) {
      // Before the file is opened, which empties it.
      const { body } = await opened(id, signal);
      const file = await open(path, 'w').catch(async (error: unknown) => {
        await body[Symbol.asyncIterator]().return?.();
        throw notWritten(id, error);
      });
      // On failure it is removed, unless it is a device or a pipe. A link leads to the file, and stays.
      const written = (await file.stat()).isFile() ? await realpath(path).catch(() => path) : undefined;
      try {
        return await write(id, body, file.createWriteStream(), signal);
      } catch (error) {
        await file.close().catch(() => undefined);
        // The error of the download is thrown, not that of the clean-up.
        if (written !== undefined) await rm(written, { force: true }).catch(() => undefined);
        throw error;
      }
    },
  };
}

/** The same body. A second reader gets an error: it would get nothing, or a part of the data. */
function readOnce(id: string, body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  let isTaken = false;
  return {
    [Symbol.asyncIterator]() {
      if (isTaken) return takenBody(id);
      isTaken = true;
      return body[Symbol.asyncIterator]();
    },
  };
}

function takenBody(id: string): AsyncIterator<Uint8Array> {
  return {
    async next() {
      throw new InvalidRequest(`the body of a download is read once: download image ${id} again`);
    },
    return: async () => ({ done: true, value: undefined }),
  };
}

/** The file that contains the data. Glance writes paths into such URLs without escapes. */
function filePathOf({ directUrl, locations = [] }: Image): string | undefined {
  const urls = [directUrl, ...locations.map(({ url }) => url)];
  return urls.find((url) => url?.startsWith('file:///'))?.slice('file://'.length);
}

/**
 * The file at `path`, without links, if it is a regular file below one of the directories, links followed. Glance names the path,
 * so it must not lead to another file.
 */
async function permittedFile(id: string, path: string, directories: readonly string[]): Promise<string | undefined> {
  if (!directories.some((directory) => isBelow(directory, resolve(path)))) return undefined;
  try {
    const file = await realpath(path);
    const places = await Promise.all(directories.map((directory) => realpath(directory).catch(() => undefined)));
    const isPermitted = places.some((place) => place !== undefined && isBelow(place, file));
    return isPermitted && (await stat(file)).isFile() ? file : undefined;
  } catch (error) {
    throw notRead(id, path, error);
  }
}

function isBelow(directory: string, path: string): boolean {
  const rest = relative(resolve(directory), path);
  return rest !== '' && rest !== '..' && !rest.startsWith(`..${sep}`) && !isAbsolute(rest);
}

function notRead(id: string, path: string, error: unknown): ImageDownloadFailed {
  return new ImageDownloadFailed(id, `its file ${path} could not be read: ${describe(error)}`, error);
}

async function* fileBody(id: string, path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw notRead(id, path, error);
  }
}

function notWritten(id: string, error: unknown): ImageDownloadFailed {
  return new ImageDownloadFailed(id, `its data could not be written: ${describe(error)}`, error);
}
