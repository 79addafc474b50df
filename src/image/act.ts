/**
 * Carrying out one action. Laws: an action is one or two calls and ends in what Glance then holds; doing it again after
 * its answer was lost leads to the same end.
 */
import type { ImageClient } from '../glance/client/index.ts';
import { Conflict, ImageNotFound } from '../glance/errors.ts';
import type { Image } from '../glance/image.ts';
import type { WantedImage } from '../glance/translation.ts';
import { OperatorError, unreachable } from '../lib/errors.ts';
import type { Change } from './facts.ts';
import { type Claim, imageIDOf } from './identity.ts';
import { find, judge } from './observe.ts';
import type { Action, Observation } from './plan.ts';
import { checkWebDownload, type WebDownloads } from './web-download.ts';

/** The actions that change Glance; the others end a reconcile. */
export type Deed = Extract<Action, { kind: 'create' | 'patch' | 'import' | 'uncopy' | 'replace' }>;

export interface Done {
  observation: Observation;
  change?: Change;
}

export interface Means {
  images: ImageClient;
  claim: Claim;
  webDownloads: WebDownloads;
  signal: AbortSignal;
}

export function act(deed: Deed, means: Means): Promise<Done> {
  switch (deed.kind) {
    case 'create':
      return create(deed.incarnation, deed.image, means);
    case 'patch':
      return patch(deed, means);
    case 'import':
      return startImport(deed, means);
    case 'uncopy':
      return uncopy(deed, means);
    case 'replace':
      return replace(deed, means);
    default:
      return unreachable(deed);
  }
}

/** A conflict means that the id was used before: by us, when an answer was lost, or by an image that is gone for good. */
async function create(incarnation: number, wanted: WantedImage, { images, claim, signal }: Means): Promise<Done> {
  const id = imageIDOf(claim.uid, incarnation);
  try {
    const image = await images.create(id, wanted, signal);
    if (image.id !== id) throw await withdrawn(image, id, images, signal);
    return { observation: { kind: 'present', incarnation, image }, change: { kind: 'created', id } };
  } catch (error) {
    if (!(error instanceof Conflict)) throw error;
    return { observation: judge(await find(images, id, signal), claim, incarnation, undefined) };
  }
}

/** Exactly-once creation rests on ids that we choose; a server that gives others cannot be used. */
async function withdrawn(
  image: Image,
  asked: string,
  images: ImageClient,
  signal: AbortSignal,
): Promise<OperatorError> {
  await images.remove(image.id, signal);
  return new OperatorError(
    `Glance created image ${image.id} although ${asked} was requested; the new image was deleted`,
    {
      code: 'InvalidRequest',
    },
  );
}

async function patch(deed: Extract<Deed, { kind: 'patch' }>, { images, claim, signal }: Means): Promise<Done> {
  const { image, incarnation, operations } = deed;
  const what = operations.map((operation) => operation.path.slice(1));
  try {
    const patched = await images.patch(image.id, operations, signal);
    return { observation: { kind: 'present', incarnation, image: patched }, change: { kind: 'updated', what } };
  } catch (error) {
    if (error instanceof ImageNotFound) return { observation: { kind: 'absent', incarnation: incarnation + 1 } };
    // A property that we wanted to remove was removed in the meantime: look again and plan anew.
    if (error instanceof Conflict) {
      return { observation: judge(await find(images, image.id, signal), claim, incarnation, image.id) };
    }
    throw error;
  }
}

/** A conflict means that an import runs already: ours, when its answer was lost. */
async function startImport(deed: Extract<Deed, { kind: 'import' }>, means: Means): Promise<Done> {
  const { image, incarnation, request } = deed;
  const { images, claim, webDownloads, signal } = means;
  if (request.method.name === 'web-download') await checkWebDownload(request.method.uri, webDownloads);
  try {
    await images.importImage(image.id, request, signal);
  } catch (error) {
    if (!(error instanceof Conflict)) throw error;
  }
  return { observation: judge(await find(images, image.id, signal), claim, incarnation, image.id) };
}

async function uncopy(deed: Extract<Deed, { kind: 'uncopy' }>, { images, claim, signal }: Means): Promise<Done> {
  const { image, incarnation, store } = deed;
  await images.removeFromStore(image.id, store, signal);
  return {
    observation: judge(await find(images, image.id, signal), claim, incarnation, image.id),
    change: { kind: 'updated', what: [`stores (${store} removed)`] },
  };
}

async function replace(deed: Extract<Deed, { kind: 'replace' }>, { images, signal }: Means): Promise<Done> {
  const { image, incarnation, why } = deed;
  await removeUnprotected(images, image, signal);
  return {
    observation: { kind: 'absent', incarnation: incarnation + 1 },
    change: { kind: 'replaced', id: image.id, why },
  };
}

/** Removes an image of ours that must not stay, whatever its declaration says of protection. */
export async function removeUnprotected(images: ImageClient, image: Image, signal: AbortSignal): Promise<void> {
  if (image.protected) await images.patch(image.id, [{ op: 'replace', path: '/protected', value: false }], signal);
  await removeIfThere(images, image.id, signal);
}

export async function removeIfThere(images: ImageClient, id: string, signal: AbortSignal): Promise<void> {
  try {
    await images.remove(id, signal);
  } catch (error) {
    if (!(error instanceof ImageNotFound)) throw error;
  }
}
