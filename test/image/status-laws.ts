/**
 * The laws of a status at the moment at which it is written, checked against what Glance holds then.
 *
 * Invariant: it reads only.
 */
import assert from 'node:assert/strict';
import { findCondition } from '../../src/api/conditions.ts';
import type { GlanceImage } from '../../src/api/glanceimage.ts';
import type { GlanceImageStatus } from '../../src/api/status.ts';
import { formatBytes } from '../../src/lib/bytes.ts';
import { type HeldByGlance, sha256, sha512 } from './world-glance.ts';

/** Data that Glance holds of any declared file, so that no digest can be compared. */
export const decompressed = 'unpacked';

export interface StatusLaws {
  /** `resource`: with the status that was just written. */
  check(resource: GlanceImage): void;
  /** A declaration, which a later status may describe. */
  declare(resource: GlanceImage): void;
  /** Throws if a status broke a law. */
  assertKept(): void;
}

export function createStatusLaws(held: Pick<HeldByGlance, 'images' | 'data'>): StatusLaws {
  const declared = new Map<number, GlanceImage['spec']>();
  const broken: string[] = [];
  return {
    declare: ({ metadata, spec }) => void declared.set(metadata.generation, spec),
    check({ metadata, status }) {
      if (metadata.deletionTimestamp !== undefined) return;
      broken.push(...claimProblems(status, declared, held), ...mixtureProblems(status, held));
    },
    assertKept: () => assert.deepEqual(broken, [], 'a status that was written is false'),
  };
}

/** Ready claims something of the generation that the condition names, and of that of the whole status. */
function claimProblems(
  { conditions, imageID, observedGeneration }: GlanceImageStatus,
  declared: ReadonlyMap<number, GlanceImage['spec']>,
  { data }: Pick<HeldByGlance, 'data'>,
): string[] {
  const ready = findCondition(conditions, 'Ready');
  if (ready?.status !== 'True' || ready.reason !== 'Ready') return [];
  if (imageID === undefined) return ['Ready is True without an image'];
  const text = data.get(imageID);
  if (text === undefined || text === decompressed) return [];
  return [ready.observedGeneration, observedGeneration].flatMap((generation = -1) => {
    const wanted = digestIn(declared.get(generation));
    const isRight = wanted === undefined || wanted === sha256(text) || wanted === `sha512:${sha512(text)}`;
    return isRight ? [] : [`Ready is True for generation ${generation}, and image ${imageID} has other data`];
  });
}

function digestIn(spec: GlanceImage['spec'] | undefined): string | undefined {
  return spec?.revisions?.pin ?? spec?.content?.http?.digest;
}

/** One image is shown, not the parts of two. */
function mixtureProblems(
  { imageID, image, content, size, revisions = [], conditions }: GlanceImageStatus,
  { images }: Pick<HeldByGlance, 'images'>,
): string[] {
  const isAvailable = findCondition(conditions, 'Available')?.status === 'True';
  const current = revisions.filter(({ state }) => state === 'Current').map((one) => one.imageID);
  if (imageID === undefined)
    return [
      isAvailable ? 'Available without an image' : '',
      current.length > 0 ? 'Current without an image' : '',
    ].filter((problem) => problem !== '');
  const held = images.get(imageID);
  const message = isAvailable ? (findCondition(conditions, 'Available')?.message ?? '') : imageID;
  return [
    content === undefined || content.imageID === imageID ? '' : `the content is that of image ${content.imageID}`,
    current.every((id) => id === imageID) ? '' : `image ${current.join(', ')} is Current, and imageID is ${imageID}`,
    message.includes(imageID) ? '' : `Available names another image: ${message}`,
    held === undefined || image?.hash === undefined || image.hash.value === held.hash?.value
      ? ''
      : 'the image is not that of imageID',
    size === undefined || image?.size === undefined || size === formatBytes(image.size) ? '' : `the size is ${size}`,
  ].filter((problem) => problem !== '');
}
