/**
 * Performs the steps that decide who can use an image: its members, and whether it is deactivated.
 *
 * Invariant: each can be repeated after a lost response, and a response that forbids it says what the cloud has to allow.
 */
import type { ImageClient } from '../../glance/client/index.ts';
import { Conflict, ImageNotFound, NotAuthorized } from '../../glance/errors.ts';
import type { Image } from '../../glance/image.ts';
import type { ErrorCode } from '../../lib/error-codes.ts';
import { OperatorError, responseFieldsOf } from '../../lib/errors.ts';
import type { Member } from '../model/revisions.ts';
import type { PlanStep } from '../model/step.ts';
import type { MemberReadings } from '../observe/member-readings.ts';

export interface AccessContext {
  images: Pick<ImageClient, 'members' | 'deactivate' | 'reactivate'>;
  memberReadings: MemberReadings;
  signal: AbortSignal;
}

export async function readMembers({ id }: Image, { images, memberReadings, signal }: AccessContext): Promise<Member[]> {
  const found = await permitted('read the members of', id, 'MembersForbidden', () => images.members.list(id, signal));
  const members = found.map(({ memberId, status }) => ({ project: memberId, status }));
  memberReadings.read(id, members);
  return members;
}

export async function addMember(
  { image: { id }, project }: Extract<PlanStep, { kind: 'addMember' }>,
  { images, memberReadings, signal }: AccessContext,
): Promise<void> {
  memberReadings.forget(id);
  try {
    await permitted('add a member to', id, 'MembersForbidden', () => images.members.add(id, project, signal));
  } catch (error) {
    // It is one already.
    if (!(error instanceof Conflict)) throw error;
  }
}

export async function removeMember(
  { image: { id }, project }: Extract<PlanStep, { kind: 'removeMember' }>,
  { images, memberReadings, signal }: AccessContext,
): Promise<void> {
  memberReadings.forget(id);
  try {
    await permitted('remove a member from', id, 'MembersForbidden', () => images.members.remove(id, project, signal));
  } catch (error) {
    if (!(error instanceof ImageNotFound)) throw error;
  }
}

export async function changeState(
  { kind, image: { id } }: Extract<PlanStep, { kind: 'deactivate' | 'reactivate' }>,
  { images, signal }: AccessContext,
): Promise<void> {
  await permitted(kind, id, 'StateForbidden', () => images[kind](id, signal));
}

/** A 401 is about the token, and not about a right. */
async function permitted<T>(what: string, id: string, code: ErrorCode, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof NotAuthorized) || error.httpStatus !== 403) throw error;
    throw new OperatorError(`this cloud does not let these credentials ${what} image ${id}: ${error.message}`, {
      code,
      cause: error,
      ...responseFieldsOf(error),
    });
  }
}
