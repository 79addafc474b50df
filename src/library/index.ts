/**
 * The public interface of the library: the image service of OpenStack for programs. Each export is documented at its
 * definition.
 *
 *     await using images = connectImageService({ cloudsYaml: await readFile('clouds.yaml', 'utf8'), cloud: 'demo' });
 *     for await (const image of images.detail()) console.log(image.id, image.name, image.status);
 */

export type {
  ImageMember,
  ImageStore,
  ImageStoreDetails,
  ImageTask,
  ImportMethod,
  ImportRequest,
  LocationDigest,
  MemberStatus,
  QuotaUsage,
} from '../glance/client/index.ts';
export {
  Conflict,
  FormatMismatch,
  GlanceConnectionFailed,
  GlanceUnavailable,
  ImageCorrupted,
  ImageDownloadFailed,
  ImageGone,
  ImageLimitExceeded,
  ImageNotAuthorized,
  ImageNotFound,
  InvalidImageRef,
  InvalidRequest,
  NotAuthorized,
  NotFound,
  StoreNotFound,
  StoreReadOnly,
} from '../glance/errors.ts';
export type { ImageLocation, ImageStatus } from '../glance/image.ts';
export type { ImportState } from '../glance/import-state.ts';
export type { ImageSort, ListFilters } from '../glance/list.ts';
export { type ImageRef, parseImageRef } from '../glance/ref.ts';
export type { ErrorCode, Retry } from '../lib/error-codes.ts';
export { OperatorError } from '../lib/errors.ts';
export { SizeMismatch } from '../openstack/body.ts';
export {
  AuthenticationFailed,
  ConfigurationError,
  EndpointNotFound,
  ForeignEndpoint,
  KeystoneUnavailable,
  KeystoneUnreachable,
  SessionClosed,
} from '../openstack/errors.ts';
export type { JsonObject, JsonValue } from '../openstack/json.ts';
export { isImageAvailable, type Requester } from './availability.ts';
export { type CertificateStore, fixedCertificates } from './certificates.ts';
export { type ConnectedImageService, type ConnectOptions, connectImageService, type ProxyOptions } from './connect.ts';
export type { DataOptions, ImageContent } from './content.ts';
export type { ImageDownload } from './download.ts';
export type { ImageFields } from './fields.ts';
export type { FoundLocations, NewLocation } from './locations.ts';
export type { ImageQuery } from './reads.ts';
export { getRemoteImageService, type OpenImageService, type RemoteImage, type RemoteOptions } from './remote.ts';
export type { Abortable, ImageService } from './service.ts';
export { checkedImportState as importState, type ServiceImage } from './service-image.ts';
export { CertificateUnavailable, ImageSignatureVerificationFailed, InvalidImageSignature } from './signature-errors.ts';
export type { CreateOptions, UpdateOptions } from './writes.ts';
