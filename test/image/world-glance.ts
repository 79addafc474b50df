/** The records, digests and results of the Glance in memory that `world.ts` has. */
import { createHash } from 'node:crypto';
import type { GlanceImageStatus } from '../../src/api/status.ts';
import {
  createImageClient,
  type ImageClient,
  type ImageMember,
  type QuotaUsage,
} from '../../src/glance/client/index.ts';
import { Conflict, ImageNotAuthorized, ImageNotFound } from '../../src/glance/errors.ts';
import type { Image } from '../../src/glance/image.ts';
import type { JsonPatchOperation } from '../../src/glance/patch.ts';
import type { WantedImage } from '../../src/glance/translation.ts';
import type { Cloud, Clouds } from '../../src/image/access/clouds.ts';
import { contentProperty } from '../../src/image/model/identity.ts';
import type { Member } from '../../src/image/model/revisions.ts';
import { simulate } from '../../src/image/model/simulate.ts';
import type { OwnConfigMaps } from '../../src/image/perform/config-maps.ts';
import type { Following } from '../../src/image/publishers/resolution.ts';
import type { Clock, Random } from '../../src/lib/clock.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { parseCloud } from '../../src/openstack/clouds.ts';
import { createSession } from '../../src/openstack/session.ts';
import { createTransport } from '../../src/openstack/transport.ts';
import type { TransferPlan, TransferResult } from '../../src/transfer/plan.ts';
import { createVirtualClock, type VirtualClock } from '../clock.ts';
import { projectID } from './resource.ts';
import { memoryOf } from './states.ts';

export const sha256 = (data: string) => `sha256:${createHash('sha256').update(data).digest('hex')}`;
export const sha512 = (data: string) => createHash('sha512').update(data).digest('hex');

export const specOf = (data: string, image: Record<string, unknown> = {}, more: Record<string, unknown> = {}) => ({
  content: { http: { url: 'https://example.com/image.raw', digest: sha256(data) } },
  image: { diskFormat: 'raw', ...image },
  ...more,
});

export interface WorldOptions {
  spec: Record<string, unknown>;
  metadata?: Record<string, unknown>;
  storeNames?: readonly string[];
  inheritFrom?: readonly string[];
  /** Name of the cluster in the marks. */
  cluster?: string;
  /** How long a late request is on its way. */
  lateMs?: number;
  /** Another world, whose Glance this one uses too. */
  glance?: HeldByGlance;
  /** Of the object, as after a restore. */
  status?: GlanceImageStatus | undefined;
  /** Default: none. */
  configMaps?: OwnConfigMaps;
  /** What a new process knows of publishers. Default: nothing is left to one. */
  following?: (clock: Clock) => Following;
}

export type Call = { server: 'glance' | 'kubernetes'; op: string; id?: string };
/** What becomes of one write. `late`: it is on its way while the process, or this reconcile, ends. */
export type Fate =
  | 'ok'
  | 'lost'
  | 'refused'
  | 'crash-before'
  | 'crash-after'
  | 'crash-late'
  | 'timeout-after'
  | 'timeout-late'
  | OperatorError;

/** A client for the calls that no test makes. */
export function offlineClient(clock: Clock, random: Random): ImageClient {
  const config = parseCloud(
    {
      cloudsYaml:
        'clouds: {demo: {auth: {auth_url: "http://localhost", username: u, password: p, user_domain_id: d, project_id: x}}}',
    },
    'demo',
  );
  const transport = createTransport({ tls: config.tls, userAgent: 'test', clock });
  return createImageClient(createSession({ cloud: config, transport, clock, random }));
}

/** The sessions of a process, which all lead to one cloud. `opened`: those that were opened before, by the region of their reference. */
export function cloudsOf(cloud: Cloud, opened = new Map<string | undefined, Cloud>()): Clouds {
  return {
    open: 1,
    last: ({ region }) => opened.get(region),
    known({ region }) {
      opened.set(region, cloud);
      return cloud;
    },
    destinationOf: () => 'cloud',
    close: async () => {},
    read: async () => ({ version: '1', open: async () => cloud }),
  };
}

/** The image in the response to a POST. */
export function createdImage(id: string, wanted: WantedImage, now: Date): Image {
  const blank = { observed: { revisions: [], listed: false }, memory: memoryOf() };
  const step = { kind: 'create' as const, imageID: id, number: 0, image: wanted, keys: [] };
  const [made] = simulate(blank, step, now).observed.revisions;
  if (made === undefined) throw new Error('not created');
  return { ...made.image, owner: made.image.owner ?? projectID };
}

export function patchedImage(image: Image, operations: readonly JsonPatchOperation[], now: Date): Image {
  const revision = { number: 0, image, ownership: { kind: 'created' as const, number: 0, isMarked: true } };
  const state = { observed: { revisions: [revision], listed: false }, memory: memoryOf() };
  const step = { kind: 'patch' as const, image, operations: [...operations], keys: [] };
  const [after] = simulate(state, step, now).observed.revisions;
  if (after === undefined) throw new Error('not patched');
  return after.image;
}

export function resultOf(plan: TransferPlan, image: Image, text: string, startedAt: string, now: Date): TransferResult {
  return {
    bytes: text.length,
    servedBytes: text.length,
    digest: plan.digest ?? sha256(text),
    imageDigest: `sha512:${sha512(text)}`,
    format: 'raw',
    url: 'https://example.com/image.raw',
    resumes: 0,
    startedAt,
    durationMs: now.getTime() - Date.parse(startedAt),
    image,
  };
}

/** What a Glance holds, and its time. Several worlds may share it. */
export interface HeldByGlance {
  clock: VirtualClock;
  images: Map<string, Image>;
  data: Map<string, string>;
  /** IDs that were used at any time. */
  used: Set<string>;
  /** IDs of images that it does not delete. */
  inUse: Set<string>;
  /** IDs of images that no read shows yet, because the database that responds lags behind. */
  lagging: Set<string>;
  /** The projects with which each image is shared. */
  members: Map<string, Member[]>;
}

export function createGlance(): HeldByGlance {
  const clock = createVirtualClock('2026-01-02T00:00:00.000Z');
  return {
    clock,
    images: new Map(),
    data: new Map(),
    used: new Set(),
    inUse: new Set(),
    lagging: new Set(),
    members: new Map(),
  };
}

export interface GlanceParts extends Omit<HeldByGlance, 'clock'> {
  client: ImageClient;
  /** `usage`: what the quotas are. */
  calls: { reads: number; usage: Record<string, QuotaUsage> };
  clock: Clock;
  write: <T>(call: Call, work: () => T) => Promise<T>;
  fateOf: (call: Call) => Fate;
  isForeign: (image: Image) => boolean;
}

export function held(images: ReadonlyMap<string, Image>, id: string): Image {
  const image = images.get(id);
  if (image === undefined) throw new ImageNotFound(`no image ${id}`, { httpStatus: 404 });
  return image;
}

/** The client of this Glance. A change of a foreign image fails the test. */
export function imagesOf(parts: GlanceParts): ImageClient {
  const { client, images, data, used, inUse, lagging, members, calls, clock, write, fateOf, isForeign } = parts;
  const membersOf = (id: string) => members.get(id) ?? [];
  function changeState(id: string, from: string, to: string): void {
    const image = held(images, id);
    if (image.status !== from && image.status !== to) throw new ImageNotAuthorized(image.status, { httpStatus: 403 });
    images.set(id, { ...image, status: to });
  }

  return {
    ...client,
    async get(id, signal) {
      signal.throwIfAborted();
      calls.reads++;
      return held(lagging.has(id) ? new Map() : images, id);
    },
    create: (id, wanted) =>
      write({ server: 'glance', op: 'create', id }, () => {
        if (used.has(id)) throw new Conflict('the ID exists', { httpStatus: 409 });
        used.add(id);
        const image = createdImage(id, wanted, clock.now());
        images.set(id, image);
        return image;
      }),
    patch: (id, operations) =>
      write({ server: 'glance', op: 'patch', id }, () => {
        const image = held(images, id);
        if (image.owner !== projectID && !operations.some(({ path }) => path === '/owner') && isForeign(image))
          throw new Error(`foreign image patched: ${id}`);
        for (const { op, path } of operations)
          if (op === 'remove' && image.properties[path.slice(1)] === undefined) throw new Conflict('no such property');
        const after = patchedImage(image, operations, clock.now());
        // Glance loses it when the upload ends.
        if (image.status !== 'saving') images.set(id, after);
        return after;
      }),
    remove: (id) =>
      write({ server: 'glance', op: 'delete', id }, () => {
        const image = held(images, id);
        if (isForeign(image)) throw new Error(`foreign image deleted: ${id}`);
        if (image.protected) throw new ImageNotAuthorized('protected', { httpStatus: 403 });
        if (inUse.has(id)) throw new Conflict('in use', { httpStatus: 409 });
        images.delete(id);
        members.delete(id);
      }),
    deactivate: (id) =>
      write({ server: 'glance', op: 'deactivate', id }, () => changeState(id, 'active', 'deactivated')),
    reactivate: (id) =>
      write({ server: 'glance', op: 'reactivate', id }, () => changeState(id, 'deactivated', 'active')),
    members: {
      ...client.members,
      async list(id) {
        calls.reads++;
        if (held(images, id).visibility !== 'shared') throw new ImageNotAuthorized('not shared', { httpStatus: 403 });
        return membersOf(id).map((member) => memberOf(id, member, clock.now()));
      },
      add: (id, project) =>
        write({ server: 'glance', op: 'addMember', id }, () => {
          const image = held(images, id);
          if (image.visibility !== 'shared') throw new ImageNotAuthorized('not shared', { httpStatus: 403 });
          if (isForeign(image)) throw new Error(`foreign image shared: ${id}`);
          if (membersOf(id).some((one) => one.project === project))
            throw new Conflict('it is a member', { httpStatus: 409 });
          const member = { project, status: 'pending' };
          members.set(id, [...membersOf(id), member]);
          return memberOf(id, member, clock.now());
        }),
      remove: (id, project) =>
        write({ server: 'glance', op: 'removeMember', id }, () => {
          if (held(images, id).visibility !== 'shared') throw new ImageNotAuthorized('not shared', { httpStatus: 403 });
          if (!membersOf(id).some((one) => one.project === project))
            throw new ImageNotFound('no member', { httpStatus: 404 });
          members.set(
            id,
            membersOf(id).filter((one) => one.project !== project),
          );
        }),
    },
    async *list({ hidden, owner, properties = {} }) {
      calls.reads++;
      for (const image of [...images.values()])
        if (
          !lagging.has(image.id) &&
          image.hidden === hidden &&
          [undefined, image.owner].includes(owner) &&
          Object.entries(properties).every(([one, value]) => image.properties[one] === value)
        )
          yield image;
    },
    importImage: (id, request) =>
      write({ server: 'glance', op: `import ${request.method.name}`, id }, () => {
        const image = held(images, id);
        if (image.properties['os_glance_import_task'] !== undefined) throw new Conflict('locked');
        if (image.status !== (request.method.name === 'copy-image' ? 'active' : 'queued')) throw new Conflict('status');
        images.set(id, {
          ...image,
          properties: {
            ...image.properties,
            os_glance_import_task: 'task',
            os_glance_importing_to_stores: (request.stores ?? []).join(','),
          },
        });
      }),
    async usage() {
      const what = fateOf({ server: 'glance', op: 'usage' });
      if (what instanceof OperatorError) throw what;
      return calls.usage;
    },
    tasks: async () => {
      const what = fateOf({ server: 'glance', op: 'tasks' });
      if (what instanceof OperatorError) throw what;
      return [];
    },
    removeFromStore: (id, store) =>
      write({ server: 'glance', op: 'removeFromStore', id }, () => {
        const image = held(images, id);
        images.set(id, { ...image, stores: (image.stores ?? []).filter((one) => one !== store) });
      }),
    async download(id) {
      const what = fateOf({ server: 'glance', op: 'download', id });
      if (what instanceof OperatorError) throw what;
      const text = data.get(id) ?? '';
      return {
        size: text.length,
        checksum: undefined,
        body: (async function* () {
          yield Buffer.from(text);
        })(),
      };
    },
  };
}

function memberOf(imageId: string, { project, status }: Member, now: Date): ImageMember {
  return { imageId, memberId: project, status, createdAt: now.toISOString(), updatedAt: now.toISOString() };
}

/** `isForbidden`: by a policy. */
export function readable(image: Image | undefined, isForbidden: boolean): Image {
  if (image === undefined) throw new OperatorError('gone', { code: 'SourceNotFound' });
  if (image.status !== 'active') throw new OperatorError('deactivated', { code: 'SourceDeactivated' });
  if (isForbidden) throw new OperatorError('forbidden', { code: 'SourceForbidden' });
  return image;
}

export function verified(text: string, { digest }: Pick<TransferPlan, 'digest'>): string {
  if (sha256(text) !== digest) throw new OperatorError('other digest', { code: 'DigestMismatch' });
  return text;
}

/** A line for each image. */
export function shownImages({ images, data }: Pick<HeldByGlance, 'images' | 'data'>): string[] {
  return [...images.values()].map(({ id, name, status, hidden, properties }) =>
    [
      id.slice(0, 4),
      name,
      status,
      hidden ? 'hidden' : 'visible',
      data.get(id) ?? '-',
      properties[contentProperty] === undefined ? '' : 'marked',
    ].join(' '),
  );
}
