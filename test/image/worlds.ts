/**
 * Declarations, images and memories in any combination that the operator can meet: what other clients and administrators have
 * done to the images, and what earlier reconciles have left.
 */
import fc from 'fast-check';
import type { Image } from '../../src/glance/image.ts';
import type { Desired } from '../../src/image/model/desired.ts';
import { clusterProperty, contentProperty, imageIDOf, markOf, ownerProperty } from '../../src/image/model/identity.ts';
import type { DataFinding, Memory } from '../../src/image/model/memory.ts';
import type { State } from '../../src/image/model/step.ts';
import { content, identity, imageOf, type ResourceOptions, uid } from './resource.ts';
import { before, desiredOf, memoryOf, observedOf } from './states.ts';

export const statuses = [
  'queued',
  'saving',
  'uploading',
  'importing',
  'active',
  'deactivated',
  'killed',
  'a status of later versions',
] as const;
export const marks = ['ours', 'missing', 'of another owner', 'of another cluster'] as const;
/** What the operator remembers of the data. stale: it was right, and the hash has changed since. */
export const findings = [
  'none',
  'right',
  'wrong',
  'unverifiable',
  'stale',
  'of an earlier declaration',
  'right for an earlier declaration, wrong for this',
] as const;
export const roles = ['created', 'published', 'promoted', 'retired', 'retired long ago'] as const;

export interface AnyImage {
  status: (typeof statuses)[number];
  mark: (typeof marks)[number];
  hidden: boolean;
  protected: boolean;
  isLocked: boolean;
  finding: (typeof findings)[number];
  role: (typeof roles)[number];
  fingerprint: 'declared' | 'earlier' | 'none';
  hash: 'declared' | 'other' | 'of another algorithm' | 'none';
  name: 'declared' | 'pending' | 'other';
  isOtherFormat: boolean;
  stores: readonly string[] | undefined;
}

export interface World {
  content: 'none' | 'comparable' | 'to be read back' | 'without a digest' | 'fetched' | 'staged';
  hidden: boolean;
  protected: boolean;
  visibility: 'private' | 'public';
  propertyPolicy: 'Purge' | 'Merge';
  properties: boolean;
  stores: 'default' | 'some' | 'all';
  images: readonly AnyImage[];
  /** Of the last image. */
  interrupted: 'none' | 'cut' | 'stored' | 'cut long ago' | 'stored long ago';
  /** Of the first image with a lock, or the last. */
  import: 'none' | 'fetch' | 'copy' | 'found' | 'long ago';
  inUse: 'none' | 'now' | 'long ago';
  restored: number;
  keep: number;
  keepFor: '0s' | '1h' | '1000h';
  /** `declared`: the digest of the content. `other`: the one of an earlier declaration. `unknown`: of no image. */
  pin: 'none' | 'declared' | 'other' | 'unknown';
  retired: 'default' | 'visible' | 'by number';
}

const flag = fc.boolean();

const anyImage: fc.Arbitrary<AnyImage> = fc.record({
  status: fc.constantFrom(...statuses),
  mark: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom('ours' as const, 'missing' as const) },
    { weight: 1, arbitrary: fc.constantFrom(...marks) },
  ),
  hidden: flag,
  protected: flag,
  isLocked: flag,
  finding: fc.constantFrom(...findings),
  role: fc.constantFrom(...roles),
  fingerprint: fc.constantFrom('declared', 'earlier', 'none'),
  hash: fc.constantFrom('declared', 'other', 'of another algorithm', 'none'),
  name: fc.constantFrom('declared', 'pending', 'other'),
  isOtherFormat: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  stores: fc.constantFrom(undefined, ['a'], ['b'], ['a', 'b'], ['a', 'b', 'c']),
});

const settings = {
  content: fc.constantFrom(
    'none' as const,
    'comparable' as const,
    'to be read back' as const,
    'without a digest' as const,
    'fetched' as const,
    'staged' as const,
  ),
  hidden: flag,
  protected: flag,
  visibility: fc.constantFrom('private' as const, 'public' as const),
  propertyPolicy: fc.constantFrom('Purge' as const, 'Merge' as const),
  properties: flag,
  stores: fc.constantFrom('default' as const, 'default' as const, 'some' as const, 'all' as const),
  interrupted: fc.constantFrom(
    'none' as const,
    'cut' as const,
    'stored' as const,
    'cut long ago' as const,
    'stored long ago' as const,
  ),
  import: fc.constantFrom('none' as const, 'fetch' as const, 'copy' as const, 'found' as const, 'long ago' as const),
  inUse: fc.constantFrom('none' as const, 'now' as const, 'long ago' as const),
  restored: fc.constantFrom(0, 1, 3),
  keep: fc.constantFrom(0, 1, 2),
  keepFor: fc.constantFrom('0s' as const, '1h' as const, '1000h' as const),
  pin: fc.constantFrom(
    'none' as const,
    'none' as const,
    'none' as const,
    'declared' as const,
    'other' as const,
    'unknown' as const,
  ),
  retired: fc.constantFrom('default' as const, 'visible' as const, 'by number' as const),
};

export const anyWorld: fc.Arbitrary<World> = fc.record({
  ...settings,
  images: fc.array(anyImage, { maxLength: 3 }),
});

/** Each combination of what Glance can hold of one image and what is known of it, with chosen values for the rest. */
export function everyWorld(seed: number): { combination: string; world: World }[] {
  const combinations = product({
    status: statuses,
    mark: marks,
    hidden: [false, true],
    protected: [false, true],
    isLocked: [false, true],
    isDeclared: [false, true],
    finding: findings,
    role: roles,
  });
  const rests = fc.sample(fc.tuple(anyImage, fc.array(anyImage, { maxLength: 2 }), fc.record(settings)), {
    seed,
    numRuns: combinations.length,
  });
  const contents = fc.sample(
    settings.content.filter((one) => one !== 'none'),
    { seed, numRuns: combinations.length },
  );
  return combinations.map(({ isDeclared, ...fields }, index) => {
    const [image, others, rest] = rests[index] ?? missing();
    const world: World = {
      ...rest,
      content: isDeclared ? (contents[index] ?? missing()) : 'none',
      images: [...others.slice(0, index % 2), { ...image, ...fields }, ...others.slice(index % 2)],
    };
    return { combination: JSON.stringify({ isDeclared, ...fields }), world };
  });
}

function missing(): never {
  throw new Error('there is one for each combination');
}

type Choices = Readonly<Record<string, readonly unknown[]>>;
type Chosen<Of extends Choices> = { [Key in keyof Of]: Of[Key][number] };

function product<Of extends Choices>(choices: Of): Chosen<Of>[];
function product(choices: Choices): Record<string, unknown>[] {
  return Object.entries(choices).reduce<Record<string, unknown>[]>(
    (rows, [key, values]) => rows.flatMap((row) => values.map((value) => Object.assign({ [key]: value }, row))),
    [{}],
  );
}

const declaredHash = { algorithm: 'sha512', value: 'e'.repeat(128) };
const otherHash = { algorithm: 'sha512', value: 'f'.repeat(128) };
const earlier = `v1;sha512:${otherHash.value};Served;None;raw;bare`;
const served = { ...content.http, digest: `sha512:${declaredHash.value}`, decompress: 'None' };
const contents = {
  none: undefined,
  comparable: { http: served },
  'to be read back': content,
  'without a digest': { glance: { image: imageOf().id } },
  fetched: { http: served, method: 'WebDownload' },
  staged: { http: served, method: 'Stage' },
};

export function declarationOf(world: World): ResourceOptions {
  const { hidden, visibility, propertyPolicy, stores, keep, keepFor } = world;
  const pin = pinIn(world);
  return {
    spec: {
      ...(contents[world.content] === undefined ? {} : { content: contents[world.content] }),
      propertyPolicy,
      revisions: {
        keep,
        keepFor,
        ...(pin === undefined || world.content === 'none' ? {} : { pin }),
        ...(world.retired === 'default' ? {} : { retired: retiredAs[world.retired] }),
      },
      image: {
        diskFormat: 'raw',
        hidden,
        protected: world.protected,
        visibility,
        ...(world.properties ? { properties: { os_distro: 'ubuntu' } } : {}),
        ...(stores === 'some' ? { stores: ['a', 'b'] } : {}),
        ...(stores === 'all' ? { allStores: true } : {}),
      },
    },
  };
}

const retiredAs = { visible: { hidden: false }, 'by number': { name: 'old {number}' } };

export function pinIn({ pin, content: kind }: World): string | undefined {
  switch (pin) {
    case 'none':
      return undefined;
    case 'declared':
      return kind === 'to be read back' ? content.http.digest : served.digest;
    case 'other':
      return `sha512:${otherHash.value}`;
    case 'unknown':
      return `sha512:${'7'.repeat(128)}`;
  }
}

export function desiredIn(world: World): Desired {
  return desiredOf(declarationOf(world));
}

const hashes = {
  declared: declaredHash,
  other: otherHash,
  'of another algorithm': { algorithm: 'sha256', value: '3'.repeat(64) },
  none: null,
};

function imageIn(any: AnyImage, number: number, desired: Desired, isNameFree: boolean): Image {
  const { mark, fingerprint, name, hash, isOtherFormat, stores, isLocked, status, hidden } = any;
  const id = imageIDOf(uid, number);
  const ours = markOf(identity);
  const marked = {
    ours,
    missing: {},
    'of another owner': { ...ours, [ownerProperty]: 'demo/debian/0' },
    'of another cluster': { ...ours, [clusterProperty]: 'elsewhere' },
  };
  const { fingerprint: declared = earlier } = desired;
  const made = { declared: { [contentProperty]: declared }, earlier: { [contentProperty]: earlier }, none: {} };
  const isEmpty = status === 'queued' && hash === 'declared';
  return imageOf({
    id,
    name:
      name === 'declared' && isNameFree ? 'ubuntu' : name === 'other' ? 'debian' : `ubuntu (pending ${id.slice(0, 8)})`,
    status,
    hidden,
    protected: any.protected,
    hash: isEmpty ? null : hashes[hash],
    checksum: isEmpty ? null : 'd'.repeat(32),
    size: isEmpty ? null : 1024,
    diskFormat: isOtherFormat ? 'qcow2' : 'raw',
    properties: { ...marked[mark], ...made[fingerprint], ...(isLocked ? { os_glance_import_task: 'x' } : {}) },
    ...(stores === undefined ? {} : { stores: [...stores] }),
  });
}

function findingsIn({ finding }: AnyImage, image: Image, { fingerprint = earlier }: Desired): DataFinding[] {
  const hash = image.hash === null ? {} : { hash: `${image.hash.algorithm}:${image.hash.value}` };
  const base = { imageID: image.id, fingerprint };
  switch (finding) {
    case 'none':
      return [];
    case 'right':
      return [{ ...base, ...hash, verdict: 'right' }];
    case 'stale':
      return [{ ...base, hash: 'sha512:00', verdict: 'right' }];
    case 'of an earlier declaration':
      return [{ ...base, ...hash, verdict: 'right', fingerprint: `${earlier};earlier` }];
    case 'wrong':
      return [{ ...base, verdict: 'wrong', why: 'it is damaged', code: 'UnsafeImage' }];
    case 'unverifiable':
      return [{ ...base, verdict: 'unverifiable', why: 'it cannot be read' }];
    case 'right for an earlier declaration, wrong for this':
      return [
        { ...base, ...hash, verdict: 'right', fingerprint: earlier },
        { ...base, verdict: 'wrong', why: 'it has another digest' },
      ];
  }
}

const longAgo = before(100 * 3_600_000);
const justNow = before(1_000);

/** At most one image bears the declared name, and at most one is promoted. */
export function stateIn(world: World): State {
  const desired = desiredIn(world);
  const named = world.images.findIndex(({ name }) => name === 'declared');
  const images = world.images.map((image, index) => imageIn(image, index, desired, index === named));
  const promoted = images[world.images.findIndex(({ role }) => role === 'promoted')];
  const last = images.at(-1);
  const locked = images[world.images.findIndex(({ isLocked }) => isLocked)] ?? last;
  const published = images.filter((_, index) => world.images[index]?.role !== 'created').map(({ id }) => id);
  // Only data that is stored can be in use.
  const usable = images.filter(({ status }) => status === 'active' || status === 'deactivated');
  const retired = images.flatMap(({ id: imageID }, index) => {
    const role = world.images[index]?.role;
    if (role === 'retired') return [{ imageID, at: justNow }];
    return role === 'retired long ago' ? [{ imageID, at: longAgo }] : [];
  });
  const imported = { copy: 'copy', found: 'found', fetch: 'fetch', 'long ago': 'fetch' } as const;
  const memory: Memory = {
    ...memoryOf({ next: images.length, images: images.map(({ id }) => id), published }),
    ...(promoted === undefined ? {} : { promoted: promoted.id }),
    findings: world.images.flatMap((any, index) => {
      const image = images[index];
      return image === undefined ? [] : findingsIn(any, image, desired);
    }),
    ...(last === undefined || world.interrupted === 'none'
      ? {}
      : {
          interrupted: {
            imageID: last.id,
            at: world.interrupted.endsWith('long ago') ? longAgo : justNow,
            isCut: world.interrupted.startsWith('cut'),
          },
        }),
    ...(locked === undefined || world.import === 'none'
      ? {}
      : {
          import: {
            imageID: locked.id,
            kind: imported[world.import],
            at: world.import === 'long ago' ? longAgo : justNow,
            ...(world.import === 'copy' ? { stores: ['b'] } : {}),
          },
        }),
    ...(world.inUse === 'none'
      ? {}
      : { inUse: usable.map(({ id }) => ({ imageID: id, at: world.inUse === 'now' ? justNow : longAgo })) }),
    ...(retired.length === 0 ? {} : { retired }),
    ...(world.restored === 0 ? {} : { marks: { restored: world.restored, at: justNow } }),
  };
  return { observed: observedOf(images, memory, world.stores === 'all' ? ['a', 'b'] : undefined), memory };
}
