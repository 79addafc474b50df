/**
 * The members with whom an image is shared.
 *
 * Invariant: only the owner adds and removes members, and only the member accepts.
 */
import * as z from 'zod';
import { MalformedResponse } from '../../openstack/errors.ts';
import type { HttpResponse } from '../../openstack/exchange.ts';
import type { JsonValue } from '../../openstack/json.ts';
import { jsonOf } from '../../openstack/response.ts';
import { imagePath, pathSegment } from '../ref.ts';
import { type Calls, listIn } from './call.ts';

export type MemberStatus = 'pending' | 'accepted' | 'rejected';

export interface ImageMember {
  imageId: string;
  /** Project id. */
  memberId: string;
  status: MemberStatus | (string & {});
  /** RFC 3339. */
  createdAt: string;
  /** RFC 3339. */
  updatedAt: string;
}

/** `member` is the id of a project. */
export interface ImageMembers {
  list(id: string, signal: AbortSignal): Promise<ImageMember[]>;
  /**
   * For the owner of an image with visibility `shared`. The member can use it at once, and sees it in its lists once it has
   * accepted. Conflict: it is a member already, perhaps by an earlier attempt of this call.
   */
  add(id: string, member: string, signal: AbortSignal): Promise<ImageMember>;
  /** For the owner. ImageNotFound: the image or the member does not exist. */
  remove(id: string, member: string, signal: AbortSignal): Promise<void>;
  /** For the member. */
  setStatus(id: string, member: string, status: MemberStatus, signal: AbortSignal): Promise<ImageMember>;
}

const memberSchema = z.object({
  image_id: z.string(),
  member_id: z.string(),
  status: z.string(),
  created_at: z.string(),
  updated_at: z.string(),
});

export function imageMembers({ call, send }: Calls): ImageMembers {
  const all = (id: string) => `${imagePath(id)}/members`;
  const one = (id: string, member: string) => `${all(id)}/${pathSegment('member', member)}`;

  return {
    async list(id, signal) {
      const request = { operation: 'members', imageId: id, method: 'GET', path: all(id) } as const;
      return call(request, signal, (response) => listIn(response, 'members', readMember));
    },
    async add(id, member, signal) {
      // One that has no path could not be removed again.
      one(id, member);
      const request = { operation: 'addMember', imageId: id, method: 'POST', path: all(id), body: { member } } as const;
      return call(request, signal, memberIn);
    },
    async remove(id, member, signal) {
      await send({ operation: 'removeMember', imageId: id, method: 'DELETE', path: one(id, member) }, signal);
    },
    async setStatus(id, member, status, signal) {
      const about = { operation: 'setMember', imageId: id, method: 'PUT', path: one(id, member) } as const;
      return call({ ...about, body: { status } }, signal, memberIn);
    },
  };
}

function memberIn(response: HttpResponse): ImageMember {
  const member = readMember(jsonOf(response));
  if (member === undefined) throw new MalformedResponse('it contains no member', response.requestId);
  return member;
}

function readMember(entry: JsonValue): ImageMember | undefined {
  const member = memberSchema.safeParse(entry);
  if (!member.success) return undefined;
  const { image_id, member_id, status, created_at, updated_at } = member.data;
  return { imageId: image_id, memberId: member_id, status, createdAt: created_at, updatedAt: updated_at };
}
