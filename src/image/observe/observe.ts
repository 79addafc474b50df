/**
 * What Glance holds for a resource.
 *
 * Invariants: it only reads; "not there" is distinguished from "not asked". A resource that was never worked on costs no call. One
 * whose memory is lost, or that was moved here, is searched by its mark before its first image is created, and so is one whose
 * image is gone, because a false 404 must not lead to a second image. That an image which was just created is in no list either is
 * not believed at once, because databases of Glance lag behind. An image with this mark and that of a cluster from which nothing is
 * inherited is shown as foreign.
 */
import type { ImageClient } from '../../glance/client/index.ts';
import { ImageNotFound } from '../../glance/errors.ts';
import type { Image } from '../../glance/image.ts';
import type { ListFilters } from '../../glance/list.ts';
import { OperatorError } from '../../lib/errors.ts';
import type { Cloud, CloudPlace } from '../access/clouds.ts';
import type { RecentImages } from '../access/recent.ts';
import { type Identity, imageIDOf, ownerProperty } from '../model/identity.ts';
import { type Memory, withImage, withoutImage } from '../model/memory.ts';
import { type Claim, isOurs, ownershipOf } from '../model/ownership.ts';
import type { Observed, Revision } from '../model/revisions.ts';
import { withRevision } from '../model/simulate.ts';

/** What does not change during a reconcile. */
export interface Owner extends Identity {
  inheritFrom: readonly string[];
  /** The declared project and that of the credentials. */
  projects: readonly string[];
  /** ID of the image that is to be taken over. */
  adopts?: string | undefined;
}

export interface Look {
  images: Pick<ImageClient, 'get' | 'list'>;
  recent: RecentImages;
  owner: Owner;
  /** Set where the declaration asks for all stores. */
  storeNames?: Cloud['storeNames'] | undefined;
  signal: AbortSignal;
}

export interface Observation {
  observed: Observed;
  memory: Memory;
  /** Images that the memory names and Glance does not hold. */
  gone: readonly string[];
  /** How long one of them may still appear, in ms. Until then nothing is done because of its absence. */
  doubtMs: number;
}

type Seen = Omit<Observation, 'doubtMs'>;

/** How long the next image may still appear, in ms, although nothing creates it any more: the request may be on its way. */
export function onItsWayMs({ recent }: Pick<Look, 'recent'>, { uid, next }: Memory): number {
  return recent.onItsWayMs(imageIDOf(uid, next));
}

/** Whether a request to create the next image may still arrive. */
export function mayArrive({ recent }: Pick<Look, 'recent'>, { uid, next }: Memory): boolean {
  return recent.mayArrive(imageIDOf(uid, next));
}

/** Whether an image may have been requested that is not there. That of a second one is recorded before. */
export function mayBeRequested({ incomplete, images }: Memory, { gone }: Pick<Observation, 'gone'>): boolean {
  return incomplete === true || images.length === 0 || gone.length > 0;
}

export function claimOf(owner: Owner, memory: Memory): Claim {
  const { images, next, adopted, owner: lastOwner, owners = [] } = memory;
  const projects = [...owner.projects, ...owners, ...(lastOwner === undefined ? [] : [lastOwner])];
  return { ...owner, projects, recorded: images, next, adopted };
}

/** The images that the memory names. Only where one is gone, they are searched by their mark. `here`: where the credentials lead to. */
export async function observe(look: Look, memory: Memory, here: CloudPlace): Promise<Observation> {
  const known = await observeKnown(look, memory, here);
  return observationOf(look, known.gone.length > 0 ? await observeMarked(look, known) : known);
}

/** All images of the resource: there may be some that the memory does not name. */
export async function observeAll(look: Look, memory: Memory, here: CloudPlace): Promise<Observation> {
  return observationOf(look, await observeMarked(look, await observeKnown(look, memory, here)));
}

async function observationOf(look: Look, found: Seen): Promise<Observation> {
  const seen = { ...found, doubtMs: Math.max(0, ...found.gone.map(look.recent.doubtMs)) };
  if (look.storeNames === undefined) return seen;
  return { ...seen, observed: { ...seen.observed, storeNames: await look.storeNames(look.signal) } };
}

/** The memory keeps an image that does not exist until the list lacks that image too. */
async function observeKnown(look: Look, known: Memory, here: CloudPlace): Promise<Seen> {
  const claim = claimOf(look.owner, known);
  let observed: Observed = { revisions: [], listed: false };
  let memory = known;
  const gone: string[] = [];
  for (const id of [...known.images, ...adoptable(look.owner, known)]) {
    const image = await find(look.images, id, look.signal);
    const revision = image && revisionOf(image, claim);
    if (revision !== undefined) observed = withRevision(observed, revision);
    else if (known.images.includes(id)) gone.push(id);
    if (revision?.ownership.kind === 'adopted') memory = withImage(memory, id, true);
  }
  if (gone.length > 0) refuseOtherCloud(gone, memory, here);
  return { observed, memory, gone };
}

/** The image that is to be taken over. Once other images have taken its place, it is not looked for again. */
function adoptable({ adopts }: Owner, { images, adopted }: Memory): string[] {
  if (adopts === undefined || images.includes(adopts)) return [];
  return adopted === adopts && images.length > 0 ? [] : [adopts];
}

/**
 * Adds all images with our mark, hidden ones too. Everyone can put it on images that all projects can read, so only those of our
 * projects are listed: no other one is ours.
 */
export async function observeMarked(look: Look, seen: Seen): Promise<Seen> {
  const { images, owner, signal } = look;
  let { observed, memory } = seen;
  for (const filters of markedIn(look, memory)) {
    for await (const image of images.list(filters, signal)) {
      const revision = revisionOf(image, claimOf(owner, memory));
      if (isDeleted(image) || !(isOurs(revision.ownership) || isOfOtherCluster(revision))) continue;
      observed = withRevision(observed, revision);
      if (isOurs(revision.ownership)) memory = withFound(memory, revision);
    }
  }
  const gone = seen.gone.filter((id) => !observed.revisions.some(({ image }) => image.id === id));
  const { incomplete, ...complete } = gone.reduce(withoutImage, memory);
  const isStillRequested = incomplete === true && memory.next === seen.memory.next && mayArrive(look, memory);
  // Nothing is remembered of an image of another cluster, so it has to be found again.
  const isKept = isStillRequested || observed.revisions.some(isOfOtherCluster);
  const next = isKept ? { ...complete, incomplete: true as const } : complete;
  return { observed: { ...observed, listed: true }, memory: next, gone };
}

function markedIn({ owner }: Look, memory: Memory): ListFilters[] {
  const properties = { [ownerProperty]: owner.owner };
  const projects = [...new Set(claimOf(owner, memory).projects)];
  return projects.flatMap((project) =>
    [false, true].map((hidden) => ({ properties, owner: project, hidden, visibility: 'all' as const })),
  );
}

/** It has our owner mark, so a second image next to it would be a duplicate. */
export function isOfOtherCluster({ ownership }: Revision): boolean {
  return ownership.kind === 'foreign' && ownership.why === 'cluster';
}

/**
 * Consumers may know an image that has data, also a hidden one, by its ID. One that was taken over, or moved here, has no ID of this uid
 * and uses up none.
 */
export function withFound(memory: Memory, { image, number }: Revision): Memory {
  const isPublished = image.status === 'active' || image.status === 'deactivated';
  const isKnown = memory.images.includes(image.id);
  const found = withImage(memory, image.id, isPublished && !isKnown);
  const isNumbered = imageIDOf(memory.uid, number) === image.id;
  return isNumbered ? { ...found, next: Math.max(found.next, number + 1) } : found;
}

export function revisionOf(image: Image, claim: Claim): Revision {
  const ownership = ownershipOf(image, claim);
  return { number: ownership.kind === 'created' ? ownership.number : 0, image, ownership };
}

/** The image, or undefined when Glance does not hold it. */
export async function find(
  images: Pick<ImageClient, 'get'>,
  id: string,
  signal: AbortSignal,
): Promise<Image | undefined> {
  try {
    const image = await images.get(id, signal);
    return isDeleted(image) ? undefined : image;
  } catch (error) {
    if (error instanceof ImageNotFound) return undefined;
    throw error;
  }
}

function isDeleted({ status }: Image): boolean {
  return status === 'deleted' || status === 'pending_delete';
}

/** Another Glance does not know the image: a second one would be made there, and the first would be forgotten. */
function refuseOtherCloud(gone: readonly string[], { place }: Memory, here: CloudPlace): void {
  if (place === undefined || isSameSite(place, here)) return;
  throw new OperatorError(
    `image ${gone[0]} is at ${place.endpoint}, but the credentials lead to ${here.endpoint}, which does not know it: restore the ` +
      'previous credentials or region; to move the image, delete this resource while they are in place, then create it again with the new ones',
    { code: 'CloudChanged' },
  );
}

/** Whether both lead to one image service. */
export function isSameSite(one: CloudPlace, other: CloudPlace): boolean {
  return siteOf(one) === siteOf(other);
}

/** Host and path of the image service. A cloud that moves it to another port, or to https, is the same one. */
function siteOf({ endpoint }: CloudPlace): string {
  const { hostname, pathname } = new URL(endpoint);
  return `${hostname}${pathname}`;
}
