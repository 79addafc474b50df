/**
 * Which of the images that another one has replaced are kept, and when that changes.
 *
 * Invariants: pure. An image goes only when neither the number nor the time keeps it. One whose data was found to be wrong is never
 * kept, and none that was never the image to use.
 */
import { withDefaults } from '../../api/defaults.ts';
import type { GlanceImage } from '../../api/glanceimage.ts';
import { mostKept } from '../../api/revisions.ts';
import type { Image } from '../../glance/image.ts';
import { parseDuration } from '../../lib/duration.ts';
import { isLater, type Memory, msSince, recall, verifiedAs } from './memory.ts';
import { hashOf, isSameHash } from './verify.ts';

export interface Retention {
  /** How many stay at least. */
  keep: number;
  /** How long each stays at least, since it was replaced. */
  keepForMs: number;
}

export function retentionOf(spec: GlanceImage['spec']): Retention {
  const { keep, keepFor } = withDefaults(spec).revisions;
  return { keep, keepForMs: parseDuration(keepFor) };
}

/** How long an image that is in use is left alone. */
export const inUseMs = 3_600_000;

export interface Replaced {
  image: Image;
  number: number;
}

/** The replaced images that are to go, the oldest first. */
export function expiredOf<One extends Replaced>(
  replaced: readonly One[],
  retention: Retention,
  memory: Memory,
  now: Date,
): One[] {
  const kept = keptOf(replaced, retention, memory, now);
  return replaced.filter((one) => !kept.includes(one));
}

function keptOf<One extends Replaced>(
  replaced: readonly One[],
  { keep, keepForMs }: Retention,
  memory: Memory,
  now: Date,
): One[] {
  return replaced
    .filter(({ image }) => isKeepable(image, memory))
    .sort((a, b) => retiredAt(b.image.id, memory) - retiredAt(a.image.id, memory) || b.number - a.number)
    .filter(({ image }, index) => {
      const at = memory.retired?.find(({ imageID }) => imageID === image.id)?.at;
      // One without a time has just been replaced, or was found after the memory was lost.
      const isYoung = at === undefined || isLater(at, now) || msSince(at, now) < keepForMs;
      return index < keep || (isYoung && index < mostKept);
    });
}

/** Unverified data of a later time is not known to be right, but its image was the one to use: it stays. */
function isKeepable(image: Image, memory: Memory): boolean {
  if (image.status !== 'active' && image.status !== 'deactivated') return false;
  if (memory.retired?.some(({ imageID, isUnused }) => imageID === image.id && isUnused === true)) return false;
  if (memory.findings.every(({ imageID }) => imageID !== image.id)) return true;
  return wasVerified(image, memory);
}

/** Its data was verified for some declaration, and is the same still. */
export function wasVerified(image: Image, memory: Memory): boolean {
  const found = verifiedAs(memory, image.id);
  return found !== undefined && isSameHash(found.hash, hashOf(image));
}

function retiredAt(id: string, { retired = [] }: Memory): number {
  const at = retired.find(({ imageID }) => imageID === id)?.at;
  return at === undefined ? Number.POSITIVE_INFINITY : Date.parse(at);
}

/** How long until a replaced image is to go, or is looked at again because it is in use. Undefined if none is. */
export function retentionDueMs({ spec, metadata, status }: GlanceImage, now: Date): number | undefined {
  if ((status.revisions ?? []).length < 2) return undefined;
  const recollection = recall({ metadata, status });
  if (recollection.kind === 'newer') return undefined;
  const { retired = [], promoted, inUse = [] } = recollection.memory;
  const { keep, keepForMs } = retentionOf(spec);
  // Recorded by a clock that was ahead: the time begins again now, and that has to be recorded.
  if (retired.some(({ at }) => isLater(at, now))) return 0;
  const replaced = retired
    .filter(({ imageID }) => imageID !== promoted)
    .map(({ imageID, at, isUnused }) => ({
      isKept: isUnused !== true,
      at: Date.parse(at),
      asked: inUse.find((one) => one.imageID === imageID)?.at,
    }))
    .sort((a, b) => b.at - a.at);
  const beyond = replaced.filter(({ isKept }) => isKept).slice(keep);
  const times = [...beyond, ...replaced.filter(({ isKept }) => !isKept)].map(({ at, isKept, asked }) =>
    Math.max(
      isKept ? at + keepForMs : at,
      asked === undefined ? 0 : Math.min(Date.parse(asked), now.getTime()) + inUseMs,
    ),
  );
  if (times.length === 0) return undefined;
  return Math.max(0, Math.min(...times) - now.getTime());
}
