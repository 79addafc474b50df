/**
 * What the ConfigMap of a resource shows of the image to use, and which step leads to it.
 *
 * Invariants: pure; a ConfigMap of another owner is neither changed nor deleted; one with the right content is not written; a new one is
 * written before one with another name is deleted.
 */
import { rfc3339 } from '../api/conditions.ts';
import { dateOf, type Image } from '../glance/image.ts';
import type { Desired } from './desired.ts';
import { digestIn } from './fingerprint.ts';
import { type Memory, mostImages, withoutConfigMap } from './memory.ts';
import type { PublishedData } from './revisions.ts';
import { blocked, type Choice, type Scene, step } from './scene.ts';
import { hashOf } from './verify.ts';

/** The ConfigMaps that have to be known: those that are, or were, declared. */
export function configMapsOf({ configMap }: Desired, { configMaps = [] }: Memory): readonly string[] {
  return [...new Set([...(configMap === undefined ? [] : [configMap]), ...configMaps])];
}

/** The keys are names of variables, as Flux and shells expect them. */
export function publishedData({ image: wanted, fingerprint }: Desired, image: Image): PublishedData {
  const declared = fingerprint === undefined ? undefined : digestIn(fingerprint);
  const imageDigest = declared ?? hashOf(image);
  return {
    imageID: image.id,
    imageName: wanted.name,
    ...(imageDigest === undefined ? {} : { imageDigest }),
    imageDate: rfc3339(dateOf(image.createdAt)),
  };
}

/** The next step of the publication of an image, or why there is none; undefined where it is published as declared. */
export function publication(scene: Scene, image: Image): Choice | undefined {
  const { desired, state } = scene;
  const { configMaps = [] } = state.memory;
  const { configMap } = desired;
  const declared = configMap === undefined ? undefined : write(scene, configMap, publishedData(desired, image));
  if (declared !== undefined) return declared;
  const old = configMaps.find((name) => name !== configMap);
  return old === undefined ? undefined : withdraw(scene, old);
}

/** The name is remembered before the ConfigMap is created, so that it is deleted when it is not declared any more. */
function write({ state: { memory, observed } }: Scene, name: string, data: PublishedData): Choice | undefined {
  const { configMaps = [] } = memory;
  const seen = observed.configMaps?.get(name);
  switch (seen?.kind) {
    case undefined:
      throw new Error('a declared ConfigMap is read before the plan');
    case 'foreign':
      return blocked('ConfigMapNotOwned', `ConfigMap ${name} ${seen.why}, and is left as it is`);
    case 'unreadable':
      return blocked(seen.error.code, seen.error.message);
    case 'own':
      if (seen.isMarked && isEqual(seen.data, data) && configMaps.includes(name)) return undefined;
      break;
    case 'absent':
      break;
  }
  if (configMaps.includes(name)) return step({ kind: 'publish', configMap: name, data });
  const all = [...configMaps, name].slice(-mostImages);
  return step({ kind: 'record', memory: { ...memory, configMaps: all } });
}

/** One that cannot be read without rights stays: it is deleted with the resource, and nothing would ever end the wait. */
function withdraw({ state: { memory, observed } }: Scene, name: string): Choice {
  const seen = observed.configMaps?.get(name);
  if (seen?.kind === 'unreadable' && seen.error.code !== 'PublishForbidden')
    return blocked(seen.error.code, seen.error.message);
  if (seen?.kind === 'own') return step({ kind: 'unpublish', configMap: name });
  return step({ kind: 'record', memory: withoutConfigMap(memory, name) });
}

function isEqual(a: PublishedData, b: PublishedData): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
