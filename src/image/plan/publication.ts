/**
 * What the ConfigMap of a resource shows of the image to use, and which step leads to it, whether the image is managed or observed.
 *
 * Invariants: pure; a ConfigMap of another owner is neither changed nor deleted; one with the right content is not written; a new one is
 * written before one with another name is deleted.
 */
import type { GlanceImage } from '../../api/glanceimage.ts';
import type { Image } from '../../glance/image.ts';
import type { ErrorCode } from '../../lib/error-codes.ts';
import { digestIn } from '../model/fingerprint.ts';
import { type Memory, mostImages, withoutConfigMap } from '../model/memory.ts';
import { idKey, isSameData, type Published, publishedData } from '../model/published-data.ts';
import type { Observed, Publication } from '../model/revisions.ts';
import type { PlanStep } from '../model/step.ts';
import { type Choice, followedBy, type Scene } from './scene.ts';

/** The ConfigMaps that have to be known: those that are, or were, declared. */
export function configMapsOf({ spec: { publish } }: GlanceImage, { configMaps = [] }: Memory): readonly string[] {
  return [...new Set([...(publish === undefined ? [] : [publish.configMapRef.name]), ...configMaps])];
}

export type PublishStep = Extract<PlanStep, { kind: 'record' | 'publish' | 'unpublish' }>;
type ToPublish = { kind: 'step'; step: PublishStep } | { kind: 'blocked'; code: ErrorCode; message: string };

/** Of an image that is managed. The name is the declared one, which the image may get only after the one before is retired. */
export function publication({ desired, state }: Scene, image: Image): Choice | undefined {
  const { configMap, fingerprint } = desired;
  const digest = fingerprint === undefined ? undefined : digestIn(fingerprint);
  const wanted = configMap === undefined ? undefined : { configMap, image, name: desired.image.name, digest };
  const next = publish(wanted, state.memory, state.observed.configMaps);
  return next?.kind === 'blocked' ? followedBy(next) : next;
}

/**
 * While no image can be used, a ConfigMap must not name one that is gone, or whose data was found to be wrong: it is deleted, because its
 * consumers would take an empty ID for an ID.
 */
export function retraction({ desired: { configMap = '' }, state, judged }: Scene): Choice | undefined {
  const seen = state.observed.configMaps?.get(configMap);
  if (seen?.kind !== 'own' || judged.some(({ isInUse }) => isInUse)) return undefined;
  const named = judged.find(({ image }) => image.id === seen.data[idKey]);
  const isUnusable = named === undefined || named.stage.kind === 'useless';
  return isUnusable ? { kind: 'step', step: { kind: 'unpublish', configMap } } : undefined;
}

/** Whether a ConfigMap shows the image, or may show it because it cannot be read. Its consumers then make servers from it. */
export function mayBeShown(imageID: string, { configMaps }: Observed): boolean {
  return [...(configMaps?.values() ?? [])].some(
    (seen) => seen.kind === 'unreadable' || (seen.kind === 'own' && seen.data[idKey] === imageID),
  );
}

/** The next step of a publication, or why there is none; undefined where everything is published as wanted. */
export function publish(
  wanted: Published | undefined,
  memory: Memory,
  seen: Observed['configMaps'],
): ToPublish | undefined {
  const written = wanted === undefined ? undefined : write(wanted, memory, seen?.get(wanted.configMap));
  if (written !== undefined) return written;
  const old = memory.configMaps?.find((name) => name !== wanted?.configMap);
  return old === undefined ? undefined : withdraw(old, memory, seen?.get(old));
}

/** The name is remembered before the ConfigMap is created, so that it is deleted when it is not declared any more. */
function write(wanted: Published, memory: Memory, seen: Publication | undefined): ToPublish | undefined {
  const { configMap } = wanted;
  const { configMaps = [] } = memory;
  const isKnown = configMaps.includes(configMap);
  switch (seen?.kind) {
    case undefined:
      throw new Error('a declared ConfigMap is read before the plan');
    case 'foreign':
      return { kind: 'blocked', code: 'ConfigMapNotOwned', message: notOwned(configMap, seen.why) };
    case 'unreadable':
      return { kind: 'blocked', code: seen.error.code, message: seen.error.message };
    case 'own':
      if (seen.isMarked && isSameData(seen.data, publishedData(wanted)) && isKnown) return undefined;
      break;
    case 'absent':
      break;
  }
  if (isKnown) return step({ kind: 'publish', ...wanted });
  return step({ kind: 'record', memory: { ...memory, configMaps: [...configMaps, configMap].slice(-mostImages) } });
}

/** One that cannot be read without rights stays: it is deleted with the resource, and nothing would ever end the wait. */
function withdraw(configMap: string, memory: Memory, seen: Publication | undefined): ToPublish {
  if (seen?.kind === 'own') return step({ kind: 'unpublish', configMap });
  if (seen?.kind === 'unreadable' && seen.error.code !== 'PublishForbidden')
    return { kind: 'blocked', code: seen.error.code, message: seen.error.message };
  return step({ kind: 'record', memory: withoutConfigMap(memory, configMap) });
}

export function notOwned(configMap: string, why: string): string {
  return `ConfigMap ${configMap} ${why}, and is left as it is`;
}

function step(one: PublishStep): ToPublish {
  return { kind: 'step', step: one };
}
