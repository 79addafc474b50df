/**
 * Whether somebody may use an image, for clouds that do not ask who it is. Law: the first rule that applies decides, and
 * with a token Glance has decided already.
 *
 * The rules are Cinder's. `owner_id`, `project_id`, `user_id` and `is_public` are properties that older services have
 * written; an image that was made through the Images API v2 has none of them, so there a project without a token finds only
 * public images and those that are shared with it.
 */
import type { ImageMember } from '../glance/client/members.ts';
import type { Image } from '../glance/image.ts';

/** In whose name images are asked for. */
export interface Requester {
  /** Whether Glance gets a token and decides by itself. */
  token: boolean;
  admin?: boolean;
  projectId?: string;
  userId?: string;
}

/** `members` are only needed, and `unknown` only answered, where the image is shared and nothing else has decided. */
export function isImageAvailable(
  { visibility, properties }: Pick<Image, 'visibility' | 'properties'>,
  requester: Requester,
  members?: readonly Pick<ImageMember, 'memberId' | 'status'>[],
): boolean | 'unknown' {
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
  return value === undefined || value === null ? undefined : String(value);
}
