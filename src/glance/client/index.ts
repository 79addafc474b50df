/**
 * The Images API v2, one method per call, grouped in client/ as in Glance's own documentation.
 *
 * Invariant: every failure is in Glance's terms; only responses of Glance are believed; and every request that a retry
 * may repeat can be repeated safely: an image is created only with an id that the caller chose, and data is never sent
 * again.
 */
import type { Session } from '../../openstack/session.ts';
import { defaultPageSize } from '../list.ts';
import { createCalls } from './call.ts';
import { type ImageDataCalls, imageData } from './data.ts';
import { type ImageImports, imageImports } from './imports.ts';
import { type ImageInfo, imageInfo } from './info.ts';
import { type ImageLocations, imageLocations } from './locations.ts';
import { type ImageMembers, imageMembers } from './members.ts';
import { type ImageRecords, imageRecords } from './records.ts';
import { type ImageStores, imageStores } from './stores.ts';
import { type ImageTags, imageTags } from './tags.ts';

export type { ImageData, StageOptions, UploadOptions } from './data.ts';
export type { ImageTask, ImportMethod, ImportRequest } from './imports.ts';
export type { QuotaUsage } from './info.ts';
export type { LocationDigest } from './locations.ts';
export type { ImageMember, MemberStatus } from './members.ts';
export type { ImageStore, ImageStoreDetails } from './stores.ts';

/**
 * In addition to the errors named at each method, all throw the classes of errors.ts and the session's own errors, and
 * the signal's reason when it aborts. An id that is not a UUID is an InvalidRequest.
 */
export interface ImageClient extends ImageRecords, ImageDataCalls, ImageImports, ImageStores, ImageTags, ImageInfo {
  readonly members: ImageMembers;
  readonly locations: ImageLocations;
}

export interface ImageClientOptions {
  /** Images per request in lists; Glance may return fewer. */
  pageSize?: number;
  /**
   * Whether to fetch the cloud's own schema of images, once, and to read and write images by it. Otherwise every custom
   * property is text.
   */
  useSchema?: boolean;
}

export function createImageClient(session: Session, options: ImageClientOptions = {}): ImageClient {
  const { pageSize = defaultPageSize, useSchema = false } = options;
  const calls = createCalls(session, useSchema);
  const records = imageRecords(calls, pageSize);
  const stores = imageStores(calls);
  return {
    ...records,
    ...stores,
    ...imageInfo(calls),
    ...imageData(calls, records, stores),
    ...imageImports(calls, stores),
    ...imageTags(calls),
    members: imageMembers(calls),
    locations: imageLocations(calls),
  };
}
