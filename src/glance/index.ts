/**
 * The image service of OpenStack for programs: `glance-image-operator/glance`. Law: what a program needs and no more; all of it is
 * documented where it is defined.
 *
 *     await using images = connectImageService({ cloudsYaml: await readFile('clouds.yaml', 'utf8'), cloud: 'demo' });
 *     for await (const image of images.detail()) console.log(image.id, image.name, image.status);
 */

export { OperatorError, type Retry } from '../lib/errors.ts';
export { SizeMismatch } from '../openstack/body.ts';
export {
  AuthenticationFailed,
  ConfigurationError,
  EndpointNotFound,
  KeystoneUnavailable,
  KeystoneUnreachable,
} from '../openstack/errors.ts';
export type { JsonObject, JsonValue } from '../openstack/json.ts';
export { isImageAvailable, type Requester } from './availability.ts';
export { type CertificateStore, fixedCertificates } from './certificates.ts';
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
} from './client.ts';
export { type ConnectedImageService, type ConnectOptions, connectImageService } from './connect.ts';
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
} from './errors.ts';
export type { ImageLocation, ImageStatus } from './image.ts';
export { type ImportState, importState } from './import-state.ts';
export type { ImageSort, ListFilters } from './list.ts';
export { type ImageRef, parseImageRef } from './ref.ts';
export { getRemoteImageService, type OpenImageService, type RemoteImage, type RemoteOptions } from './remote.ts';
export type { ImageDownload } from './service/download.ts';
export type { ImageFields } from './service/fields.ts';
export type { ServiceImage } from './service/image.ts';
export type { FoundLocations, NewLocation } from './service/locations.ts';
export type { ImageQuery } from './service/reads.ts';
export type { CreateOptions, DataOptions, ImageContent, UpdateOptions } from './service/writes.ts';
export type { Abortable, ImageService } from './service.ts';
export { CertificateUnavailable, ImageSignatureVerificationFailed, InvalidImageSignature } from './signature-errors.ts';
