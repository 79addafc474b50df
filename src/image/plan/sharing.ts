/**
 * With whom the images of a resource are shared: what is to be read, and which member comes or goes next.
 *
 * Invariants: pure; a project that is no longer declared loses each image of the resource before anything else is done; members that
 * the declaration never named are left alone where it names none; members are read only where some are, or were, declared.
 */
import type { Image } from '../../glance/image.ts';
import { type Memory, mostKeys } from '../model/memory.ts';
import type { Member, Revision } from '../model/revisions.ts';
import { type Choice, type Judged, type Scene, step } from './scene.ts';

/** The images whose members have to be known, and are not. Glance has members of shared images only. */
export function unreadMembers({ desired, state: { observed, memory } }: Scene): Image[] {
  if (desired.members === undefined && rememberedMembers(memory).length === 0) return [];
  return observed.revisions.filter((one) => isShared(one) && one.members === undefined).map(({ image }) => image);
}

/** Removes a member that is not declared: where members are declared each of them, otherwise each that was declared before. */
export function revocation({ desired, state: { observed, memory } }: Scene): Choice | undefined {
  const left = desired.members ?? [];
  const isRevoked = ({ project }: Member) =>
    desired.members === undefined ? rememberedMembers(memory).includes(project) : !left.includes(project);
  for (const revision of observed.revisions.filter(isShared)) {
    const member = revision.members?.find(isRevoked);
    if (member !== undefined) return step({ kind: 'removeMember', image: revision.image, project: member.project });
  }
  return undefined;
}

/**
 * Adds a member that is declared. It is remembered before that: after a crash, a project that leaves the declaration then still loses
 * the image.
 */
export function admission({ desired, state: { memory } }: Scene, chosen: Judged): Choice | undefined {
  const { members: declared = [] } = desired;
  if (!isShared(chosen)) return undefined;
  const missing = declared.find((project) => !chosen.members?.some((member) => member.project === project));
  if (missing === undefined) return undefined;
  const known = rememberedMembers(memory);
  if (declared.every((project) => known.includes(project)))
    return step({ kind: 'addMember', image: chosen.image, project: missing });
  const all = [...new Set([...declared, ...known])].slice(0, mostKeys).sort();
  return step({ kind: 'record', memory: { ...memory, members: all } });
}

/** The memory of a resource whose members are as declared. Those of an image that is not shared at the moment cannot be removed yet. */
export function withMembers(memory: Memory, declared: readonly string[] = [], revisions: readonly Revision[]): Memory {
  const { members: _, ...rest } = memory;
  const stuck = revisions.every(isShared) ? [] : rememberedMembers(memory);
  const all = [...new Set([...declared, ...stuck])].slice(0, mostKeys).sort();
  return all.length === 0 ? rest : { ...rest, members: all };
}

function rememberedMembers({ members = [] }: Memory): readonly string[] {
  return members;
}

function isShared({ image, ownership }: Revision): boolean {
  return image.visibility === 'shared' && ownership.kind !== 'foreign';
}
