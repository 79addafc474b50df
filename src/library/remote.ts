/**
 * Finds the service for a reference: Cinder's `get_remote_image_service`.
 *
 * Invariant: a service made for an address calls only that server.
 */
import { parseImageRef } from '../glance/ref.ts';
import { checkRemote } from './check.ts';
import type { ImageService } from './service.ts';

/** An image service that must be closed. */
export interface OpenImageService extends ImageService, AsyncDisposable {
  /** Ends running calls with SessionClosed. Waits, up to ten seconds, until images whose creation it has ended are removed. */
  close(): Promise<void>;
}

export interface RemoteOptions {
  /** For references that are only an id. */
  service: ImageService;
  /**
   * Makes a service for one endpoint, such as `https://example.com/image`. `at` of a connected service sends its token
   * only to endpoints of its own cloud and to those in its list of trusted ones.
   */
  connect: (endpoint: string) => OpenImageService;
}

export interface RemoteImage extends AsyncDisposable {
  id: string;
  service: ImageService;
  /** Closes the service if it was created for this image. */
  close(): Promise<void>;
}

/** Throws InvalidImageRef for the reference, and InvalidRequest for the options. */
export function getRemoteImageService(ref: string, options: RemoteOptions): RemoteImage {
  checkRemote(options);
  const { service, connect } = options;
  const { id, ...where } = parseImageRef(ref);
  if (where.kind === 'id') return closing({ id, service }, async () => {});
  const remote = connect(where.endpoint);
  return closing({ id, service: remote }, () => remote.close());
}

function closing(image: { id: string; service: ImageService }, close: () => Promise<void>): RemoteImage {
  return { ...image, close, [Symbol.asyncDispose]: close };
}
