/**
 * Reads the data of images: as a stream, into a sink, into a file; over HTTP, or from a local file if that is allowed.
 *
 * Guarantees: the bytes are verified in every case, and a complete result is the image as recorded in Glance.
 */
import { createReadStream } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ImageClient, ImageData } from '../glance/client/index.ts';
import { ImageDownloadFailed } from '../glance/errors.ts';
import type { Image } from '../glance/image.ts';
import { describe, OperatorError } from '../lib/errors.ts';
import type { CertificateStore } from './certificates.ts';
import { signatureCheck } from './signature-check.ts';
import { checkOf, verified } from './verify.ts';

export interface ImageDownload {
  /** Bytes, if Glance reports it. */
  size: number | undefined;
  /** The digest that the bytes are verified by, apart from their number; undefined where Glance has none of them. */
  verifiedBy: string | undefined;
  /** Whether they are verified by the image's signature too. */
  signed: boolean;
  /**
   * To be read once, or returned. Throws ImageDownloadFailed when it breaks off; and before the last bytes ImageCorrupted when
   * they are not those on record, ImageSignatureVerificationFailed when they are not those that were signed.
   */
  body: AsyncIterable<Uint8Array>;
}

/**
 * In addition to the errors of `ImageClient`, all throw ImageDownloadFailed for an image without data, and for one
 * whose signature cannot be checked InvalidImageSignature, ImageSignatureVerificationFailed or CertificateUnavailable.
 */
export interface Downloads {
  download(id: string, signal: AbortSignal): Promise<ImageDownload>;
  /** Ends the sink, or destroys it on failure. Returns the number of bytes. */
  downloadTo(id: string, sink: Writable, signal: AbortSignal): Promise<number>;
  /** Leaves no file behind on failure. Returns the number of bytes. */
  downloadToFile(id: string, path: string, signal: AbortSignal): Promise<number>;
}

export interface DownloadOptions {
  client: ImageClient;
  /** Throws ImageNotFound where the image is not to be had. */
  find: (id: string, signal: AbortSignal) => Promise<Image>;
  /** May hold `file`: then data that lies in files is read from them, if it goes into a sink. */
  directSchemes: ReadonlySet<string>;
  signatures: 'enabled' | 'disabled';
  certificates: CertificateStore;
}

export function createDownloads(options: DownloadOptions): Downloads {
  const { client, find, directSchemes, signatures: mode, certificates } = options;

  /** The data, bound to its expected content. It is only opened if that content is known. */
  async function bound(image: Image, signal: AbortSignal, data: () => Promise<ImageData>): Promise<ImageDownload> {
    const signature = await signatureCheck(image, { mode, certificates, signal });
    const { size, checksum, body } = await data();
    const check = checkOf({ ...image, checksum: image.checksum ?? checksum ?? null });
    return {
      size: image.size ?? size,
      verifiedBy: check?.algorithm,
      signed: signature.verifies,
      body: signature.through(verified(body, { id: image.id, size: image.size, check })),
    };
  }

  const overHttp = (image: Image, signal: AbortSignal) =>
    bound(image, signal, () => client.download(image.id, { signal }));

  /** As a sink may get it: from a file where that is allowed, otherwise from Glance. */
  async function nearest(id: string, signal: AbortSignal): Promise<ImageDownload> {
    const image = await find(id, signal);
    const path = directSchemes.has('file') ? filePathOf(image) : undefined;
    if (path === undefined) return overHttp(image, signal);
    return bound(image, signal, async () => ({
      size: undefined,
      checksum: undefined,
      body: fileBody(id, path, signal),
    }));
  }

  async function downloadTo(id: string, sink: Writable, signal: AbortSignal): Promise<number> {
    let bytes = 0;
    async function* counted(body: AsyncIterable<Uint8Array>) {
      for await (const chunk of body) {
        bytes += chunk.byteLength;
        yield chunk;
      }
    }
    try {
      const { body } = await nearest(id, signal);
      await pipeline(counted(body), sink, { signal });
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

    downloadTo,

    async downloadToFile(id, path, signal) {
      const file = await open(path, 'w').catch((error: unknown) => {
        throw notWritten(id, error);
      });
      // A regular file is ours to remove, unlike a device or a pipe.
      const isOurs = (await file.stat()).isFile();
      try {
        return await downloadTo(id, file.createWriteStream(), signal);
      } catch (error) {
        await file.close().catch(() => undefined);
        if (isOurs) await rm(path, { force: true });
        throw error;
      }
    },
  };
}

/** The file that holds the data. Glance writes paths into such URLs as they are, without escapes. */
function filePathOf({ directUrl, locations = [] }: Image): string | undefined {
  const urls = [directUrl, ...locations.map(({ url }) => url)];
  return urls.find((url) => url?.startsWith('file:///'))?.slice('file://'.length);
}

async function* fileBody(id: string, path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw new ImageDownloadFailed(id, `its file ${path} could not be read: ${describe(error)}`, error);
  }
}

function notWritten(id: string, error: unknown): ImageDownloadFailed {
  return new ImageDownloadFailed(id, `its data could not be written: ${describe(error)}`, error);
}
