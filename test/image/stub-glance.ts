/** Glance in memory, with its calls on record and responses that a test can replace. */

import type { ImageClient, ImageMember } from '../../src/glance/client/index.ts';
import { ImageNotFound } from '../../src/glance/errors.ts';
import type { Image } from '../../src/glance/image.ts';
import { createRecentImages, type RecentImages } from '../../src/image/access/recent.ts';
import { numberOf } from '../../src/image/model/identity.ts';
import type { Member } from '../../src/image/model/revisions.ts';
import { simulate } from '../../src/image/model/simulate.ts';
import type { PlanStep } from '../../src/image/model/step.ts';
import { createMemberReadings } from '../../src/image/observe/member-readings.ts';
import type { OwnConfigMaps } from '../../src/image/perform/config-maps.ts';
import type { PerformContext } from '../../src/image/perform/perform.ts';
import { createVirtualClock } from '../clock.ts';
import { uid } from './resource.ts';
import { memoryOf, now, owner } from './states.ts';
import { offlineClient } from './world-glance.ts';

export { followsNothing } from './following.ts';

const { signal } = new AbortController();

/** Runs in place of the call of this name, such as `get` or `patch`, and before it if it returns `go on`. */
export type Fault = (id: string) => Promise<'go on'> | 'go on';
export type Faults = Partial<Record<Call, Fault>>;
type Call =
  | ('get' | 'list' | 'create' | 'patch' | 'remove' | 'import')
  | ('members' | 'addMember' | 'removeMember' | 'deactivate' | 'reactivate');

export function fail(error: Error): Fault {
  return () => Promise.reject(error);
}

export interface StubGlance {
  images: ImageClient;
  /** As in `patch 0 /name`. */
  calls: string[];
  held: Map<string, Image>;
  /** By the ID of the image. */
  members: Map<string, Member[]>;
}

/** Where nothing is published. */
export const noConfigMaps: OwnConfigMaps = {
  read: async () => ({ kind: 'absent' }),
  write: async () => {},
  remove: async () => {},
};

export function stubGlance(start: readonly Image[] = [], faults: Faults = {}): StubGlance {
  const clock = createVirtualClock();
  const calls: string[] = [];
  const held = new Map(start.map((image) => [image.id, image]));
  const members = new Map<string, Member[]>();

  async function call(name: Call, id: string, more = ''): Promise<void> {
    calls.push([name, id === '' ? '' : (numberOf(uid, id, 0) ?? id), more].filter((part) => part !== '').join(' '));
    await faults[name]?.(id);
  }

  function get(id: string): Image {
    const image = held.get(id);
    if (image === undefined) throw new ImageNotFound(`image ${id} does not exist`, { httpStatus: 404 });
    return image;
  }

  function apply(step: PlanStep, before: Image[]): Image | undefined {
    const ownership = { kind: 'created' as const, number: 0, isMarked: true };
    const revisions = before.map((image) => ({ number: 0, image, ownership }));
    const { observed } = simulate({ observed: { revisions, listed: false }, memory: memoryOf() }, step, now);
    return observed.revisions[0]?.image;
  }

  function keep(image: Image | undefined): Image {
    if (image === undefined) throw new Error('a step that creates or changes an image leaves one');
    held.set(image.id, image);
    return image;
  }

  // No other call than those below is made.
  const usual = offlineClient(clock, () => 0);
  const asGlanceHasIt = (imageId: string, { project, status }: Member): ImageMember => {
    return { imageId, memberId: project, status, createdAt: now.toISOString(), updatedAt: now.toISOString() };
  };
  const images: ImageClient = {
    ...usual,
    members: {
      ...usual.members,
      async list(id) {
        await call('members', id);
        return (members.get(id) ?? []).map((member) => asGlanceHasIt(id, member));
      },
      async add(id, project) {
        await call('addMember', id, project);
        const member = { project, status: 'pending' };
        members.set(id, [...(members.get(id) ?? []), member]);
        return asGlanceHasIt(id, member);
      },
      async remove(id, project) {
        await call('removeMember', id, project);
        members.set(
          id,
          (members.get(id) ?? []).filter((one) => one.project !== project),
        );
      },
    },
    async deactivate(id) {
      await call('deactivate', id);
      keep({ ...get(id), status: 'deactivated' });
    },
    async reactivate(id) {
      await call('reactivate', id);
      keep({ ...get(id), status: 'active' });
    },
    async get(id) {
      await call('get', id);
      return get(id);
    },
    async *list({ properties = {}, hidden = false, owner: project } = {}) {
      await call('list', '', hidden ? 'hidden' : '');
      for (const image of held.values()) {
        const isWanted = Object.entries(properties).every(([key, value]) => image.properties[key] === value);
        if (isWanted && image.hidden === hidden && [undefined, image.owner].includes(project)) yield image;
      }
    },
    async create(imageID, image) {
      await call('create', imageID);
      return keep(apply({ kind: 'create', imageID, number: 0, image, keys: [] }, []));
    },
    async patch(id, operations) {
      await call('patch', id, operations.map(({ path }) => path).join(' '));
      const image = get(id);
      return keep(apply({ kind: 'patch', image, operations: [...operations], keys: [] }, [image]));
    },
    async remove(id) {
      await call('remove', id);
      get(id);
      held.delete(id);
    },
    async importImage(id, request) {
      await call('import', id, request.method.name);
      const image = get(id);
      keep(apply({ kind: 'import', image, request }, [image]));
    },
    async removeFromStore(id, store) {
      calls.push(`remove ${numberOf(uid, id, 0)} from ${store}`);
      const image = get(id);
      keep(apply({ kind: 'removeFromStore', image, store }, [image]));
    },
    tasks: async () => [],
    usage: async () => ({}),
  };
  return { images, calls, held, members };
}

/** Of a process that has run for an hour. */
export function nothingRecent(): RecentImages {
  const times = [0];
  return createRecentImages({ monotonic: () => times.pop() ?? 3_600_000 });
}

/** To perform steps on this Glance. */
export function performOn(
  { images }: Pick<StubGlance, 'images'>,
  fields: Partial<PerformContext> = {},
): PerformContext {
  return {
    images,
    servers: async () => 'noCompute',
    recent: nothingRecent(),
    owner,
    clock: { ...createVirtualClock(), now: () => now },
    guard: async () => true,
    confirm: async () => 'current',
    record: async () => 'written',
    webDownloads: { checkURL: async () => {}, maxVirtualBytes: 2 ** 40 },
    memberReadings: createMemberReadings(createVirtualClock()),
    configMaps: noConfigMaps,
    signal,
    ...fields,
  };
}
