/**
 * Whether a user may use an image, for clouds without authentication.
 *
 * The rules are Cinder's. `owner_id`, `project_id`, `user_id` and `is_public` are properties that older services have
 * written; an image from the Images API v2 has none of them, so a project without a token finds only public images and
 * those shared with it.
 *
 * Invariant: the first rule that applies decides. With a token, Glance has decided already.
 */
import type { ImageMember } from '../glance/client/members.ts';
import type { Image } from '../glance/image.ts';
import { checkMembers, checkRequester, checkShown } from './check.ts';

/** The project and user for which images are requested. */
export interface Requester {
  /** Whether Glance gets a token and decides itself. */
  token: boolean;
  admin?: boolean;
  projectId?: string;
  userId?: string;
}

/**
 * `members` are only needed, and `unknown` only returned, if the image is shared and no other rule has decided. Throws InvalidRequest
 * for arguments of another type.
 */
export function isImageAvailable(
  image: Pick<Image, 'visibility' | 'properties'>,
  requester: Requester,
  members?: readonly Pick<ImageMember, 'memberId' | 'status'>[],
): boolean | 'unknown' {
  checkShown(image);
  checkRequester(requester);
  checkMembers(members);
  const { visibility, properties } = image;
  const { token, admin = false, projectId, userId } = requester;
  if (token || admin) return true;
  if (visibility === 'public' || /^true$/i.test(textOf(properties['is_public']) ?? '')) return true;
  for (const key of ['owner_id', 'project_id']) {
    const owner = textOf(properties[key]);
    if (owner !== undefined && projectId !== undefined) return owner === projectId;
  }
  if (visibility === 'shared') {
    if (members === undefined) return 'unknown';
    if (members.some(({ memberId, status }) => memberId === projectId && status === 'accepted')) return true;
  }
  return userId !== undefined && textOf(properties['user_id']) === userId;
}

function textOf(value: Image['properties'][string] | undefined): string | undefined {
  if (value === undefined || value === null) return undefined;
  // Not every object has a text: one can have a property that is called toString.
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
