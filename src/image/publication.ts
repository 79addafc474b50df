/**
 * What the ConfigMap of a resource shows of the image to use, and which step leads to it, whether the image is managed or observed.
 *
 * Invariants: pure; a ConfigMap of another owner is neither changed nor deleted; one with the right content is not written; a new one is
 * written before one with another name is deleted.
 */
import { rfc3339 } from '../api/conditions.ts';
import type { GlanceImage } from '../api/glanceimage.ts';
import { dateOf, type Image } from '../glance/image.ts';
import type { ErrorCode } from '../lib/error-codes.ts';
import { digestIn } from './fingerprint.ts';
import { type Memory, mostImages, withoutConfigMap } from './memory.ts';
import type { Observed, Publication, PublishedData } from './revisions.ts';
import { type Choice, followedBy, type Scene } from './scene.ts';
import type { PlanStep } from './step.ts';
import { hashOf } from './verify.ts';

/** The ConfigMaps that have to be known: those that are, or were, declared. */
export function configMapsOf({ spec: { publish } }: GlanceImage, { configMaps = [] }: Memory): readonly string[] {
  return [...new Set([...(publish === undefined ? [] : [publish.configMapRef.name]), ...configMaps])];
}

/** What is to be published, and where. */
interface Wanted {
  configMap: string;
  data: PublishedData;
}

export type PublishStep = Extract<PlanStep, { kind: 'record' | 'publish' | 'unpublish' }>;
type ToPublish = { kind: 'step'; step: PublishStep } | { kind: 'blocked'; code: ErrorCode; message: string };

/** The keys are names of variables, as Flux and shells expect them. `digest`: the declared one. */
export function publishedData(image: Image, name: string, digest: string | undefined): PublishedData {
  const imageDigest = digest ?? hashOf(image);
  return {
    imageID: image.id,
    imageName: name,
    ...(imageDigest === undefined ? {} : { imageDigest }),
    imageDate: rfc3339(dateOf(image.createdAt)),
  };
}

/** Of an image that is managed. The name is the declared one, which the image may get only after the one before is retired. */
export function publication({ desired, state }: Scene, image: Image): Choice | undefined {
  const { configMap, fingerprint } = desired;
  const digest = fingerprint === undefined ? undefined : digestIn(fingerprint);
  const data = publishedData(image, desired.image.name, digest);
  const wanted = configMap === undefined ? undefined : { configMap, data };
  const next = publish(wanted, state.memory, state.observed.configMaps);
  return next?.kind === 'blocked' ? followedBy(next) : next;
}

/** The next step of a publication, or why there is none; undefined where everything is published as wanted. */
export function publish(
  wanted: Wanted | undefined,
  memory: Memory,
  seen: Observed['configMaps'],
): ToPublish | undefined {
  const written = wanted === undefined ? undefined : write(wanted, memory, seen?.get(wanted.configMap));
  if (written !== undefined) return written;
  const old = memory.configMaps?.find((name) => name !== wanted?.configMap);
  return old === undefined ? undefined : withdraw(old, memory, seen?.get(old));
}

/** The name is remembered before the ConfigMap is created, so that it is deleted when it is not declared any more. */
function write({ configMap, data }: Wanted, memory: Memory, seen: Publication | undefined): ToPublish | undefined {
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
      if (seen.isMarked && isEqual(seen.data, data) && isKnown) return undefined;
      break;
    case 'absent':
      break;
  }
  if (isKnown) return step({ kind: 'publish', configMap, data });
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

function isEqual(a: PublishedData, b: PublishedData): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

function step(one: PublishStep): ToPublish {
  return { kind: 'step', step: one };
}
