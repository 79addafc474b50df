/**
 * Every response of a cloud that is parsed, and how a hostile server floods it. A case is one operation, one field of its
 * response, and one kind of flood in the place of that field.
 */
import { Readable } from 'node:stream';
import type { ImageClient } from '../../src/glance/client/index.ts';
import { serverUse } from '../../src/openstack/compute.ts';
import type { Purpose } from '../../src/openstack/services.ts';
import type { Session } from '../../src/openstack/session.ts';

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

export interface Endpoint {
  /** Names the operation in messages. */
  name: string;
  /** The request whose response is flooded. */
  operation: `${Purpose['service']}.${Purpose['operation']}`;
  /** The files whose schemas read the response. */
  schemas: readonly string[];
  /** The path of the flooded response. */
  path: RegExp;
  /** A response as an honest server sends it. Every field of it is flooded, one after another. */
  honest: Json;
  /** The cloud signs in through an identity provider. */
  federated?: boolean;
  /** A malformed response is as good as none: the cloud is used without it. */
  optional?: boolean;
  run(cloud: { session: Session; images: ImageClient; signal: AbortSignal }): Promise<unknown>;
}

export const imageID = '11111111-2222-4333-8444-555555555555';

export const token: Json = {
  token: {
    issued_at: '2026-01-01T00:00:00Z',
    expires_at: '2030-01-01T00:00:00Z',
    user: { id: 'u', name: 'u' },
    project: { id: 'p', name: 'p' },
    roles: [{ name: 'member' }],
    catalog: [
      { type: 'image', name: 'glance', endpoints: [{ interface: 'public', url: 'URL', region_id: 'R' }] },
      { type: 'compute', name: 'nova', endpoints: [{ interface: 'public', url: 'URL', region_id: 'R' }] },
    ],
  },
};

const image: Json = {
  id: imageID,
  name: 'a',
  status: 'active',
  visibility: 'private',
  tags: ['a'],
  size: 1,
  os_hash_algo: 'sha512',
  os_hash_value: 'ab',
  created_at: '2026-01-01T00:00:00Z',
  updated_at: '2026-01-01T00:00:00Z',
  locations: [{ url: 'file:///a', metadata: {} }],
  mappings: '[]',
  owner: 'p',
};
const member: Json = {
  image_id: imageID,
  member_id: 'p',
  status: 'pending',
  created_at: '2026-01-01T00:00:00Z',
  updated_at: '2026-01-01T00:00:00Z',
};

async function all<T>(items: AsyncIterable<T>): Promise<number> {
  let count = 0;
  for await (const _ of items) count++;
  return count;
}

/** Its fields are flooded as those of `image`. */
const smallImage: Json = {
  id: imageID,
  status: 'active',
  visibility: 'private',
  created_at: '2026-01-01T00:00:00Z',
  updated_at: '2026-01-01T00:00:00Z',
};

/** A response in which an honest server sends nothing of interest. */
function empty(operation: Endpoint['operation'], path: RegExp, run: Endpoint['run']): Endpoint {
  return { name: `the response to ${operation}`, operation, schemas: [], path, honest: {}, run };
}

export const endpoints: readonly Endpoint[] = [
  {
    name: 'versions of Keystone',
    operation: 'identity.versions',
    schemas: ['openstack/discovery.ts'],
    path: /^\/v3\/?$/,
    honest: { version: { id: 'v3.14', status: 'stable', links: [{ rel: 'self', href: 'URL' }] } },
    run: ({ session, signal }) => session.identity(signal),
  },
  {
    name: 'an access token',
    operation: 'identity.accessToken',
    schemas: ['openstack/access-token.ts'],
    federated: true,
    path: /\/oauth\/token$/,
    honest: { access_token: 'a-token', token_type: 'Bearer', expires_in: 300 },
    run: ({ session, signal }) => session.identity(signal),
  },
  {
    name: 'the discovery document of an identity provider',
    operation: 'identity.accessToken',
    schemas: ['openstack/access-token.ts'],
    federated: true,
    path: /\/openid-configuration$/,
    honest: { token_endpoint: 'TOKENS', grant_types_supported: ['client_credentials'] },
    run: ({ session, signal }) => session.identity(signal),
  },
  {
    name: 'sign-in',
    operation: 'identity.signIn',
    schemas: ['openstack/keystone.ts', 'openstack/catalog.ts'],
    path: /\/auth\/tokens$/,
    honest: token,
    run: ({ session, signal }) => session.identity(signal),
  },
  {
    name: 'versions of Glance',
    operation: 'image.versions',
    schemas: ['openstack/discovery.ts'],
    path: /\/versions\/?$/,
    honest: { versions: [{ id: 'v2.17', status: 'CURRENT', links: [{ rel: 'self', href: 'URL' }] }] },
    run: ({ images, signal }) => images.versions(signal),
  },
  {
    name: 'an image',
    operation: 'image.read',
    schemas: ['glance/image.ts'],
    path: /\/images\/[^/]+$/,
    honest: image,
    run: ({ images, signal }) => images.get(imageID, signal),
  },
  {
    name: 'a page of images',
    operation: 'image.list',
    schemas: ['glance/image.ts', 'glance/client/call.ts', 'glance/client/records.ts'],
    path: /\/images$/,
    honest: { images: [image], first: '/v2/images' },
    run: ({ images, signal }) => all(images.list({}, signal)),
  },
  {
    name: 'import methods',
    operation: 'image.importMethods',
    schemas: ['glance/client/imports.ts'],
    path: /\/info\/import$/,
    honest: { 'import-methods': { value: ['web-download'] } },
    run: ({ images, signal }) => images.importMethods(signal),
  },
  {
    name: 'tasks of an image',
    operation: 'image.tasks',
    schemas: ['glance/client/imports.ts'],
    path: /\/tasks$/,
    honest: { tasks: [{ id: 'a', type: 'api_image_import', status: 'success', message: '' }] },
    run: ({ images, signal }) => images.tasks(imageID, signal),
  },
  {
    name: 'stores',
    operation: 'image.stores',
    schemas: ['glance/client/stores.ts'],
    path: /\/info\/stores$/,
    honest: { stores: [{ id: 'a', description: 'b', default: 'true' }] },
    run: ({ images, signal }) => images.stores(signal),
  },
  {
    name: 'details of the stores',
    operation: 'image.stores',
    schemas: ['glance/client/stores.ts'],
    path: /\/info\/stores\/detail$/,
    honest: { stores: [{ id: 'a', type: 'file', weight: 0, properties: { data_dir: '/a' } }] },
    run: ({ images, signal }) => images.storeDetails(signal),
  },
  {
    name: 'usage of quotas',
    operation: 'image.usage',
    schemas: ['glance/client/info.ts'],
    path: /\/info\/usage$/,
    honest: { usage: { image_size_total: { limit: 1, usage: 0 } } },
    run: ({ images, signal }) => images.usage(signal),
  },
  {
    name: 'servers that use an image',
    operation: 'compute.servers',
    schemas: ['openstack/compute.ts'],
    path: /\/servers$/,
    honest: { servers: [{ id: imageID, name: 'a', links: [{ rel: 'self', href: 'https://nova.example.com' }] }] },
    run: ({ session, signal }) => serverUse(session, imageID, signal),
  },
  {
    name: 'the schema of images',
    operation: 'image.schema',
    optional: true,
    schemas: ['glance/cloud-schema.ts'],
    path: /\/schemas\/image$/,
    honest: { properties: { id: { type: 'string' }, os_distro: { is_base: false, type: ['null', 'string'] } } },
    run: ({ images, signal }) => images.schema(signal),
  },
  {
    name: 'members',
    operation: 'image.members',
    schemas: ['glance/client/members.ts'],
    path: /\/members$/,
    honest: { members: [member] },
    run: ({ images, signal }) => images.members.list(imageID, signal),
  },
  {
    name: 'a member',
    operation: 'image.setMember',
    schemas: ['glance/client/members.ts'],
    path: /\/members\/p$/,
    honest: member,
    run: ({ images, signal }) => images.members.setStatus(imageID, 'p', 'accepted', signal),
  },
  {
    name: 'locations',
    operation: 'image.locations',
    schemas: ['glance/image.ts'],
    path: /\/locations$/,
    honest: [{ url: 'file:///a', metadata: {} }],
    run: ({ images, signal }) => images.locations.list(imageID, signal),
  },
  {
    name: 'a new image',
    operation: 'image.create',
    schemas: ['glance/image.ts'],
    path: /\/images$/,
    honest: smallImage,
    run: ({ images, signal }) => images.create(imageID, {}, signal),
  },
  {
    name: 'a changed image',
    operation: 'image.update',
    schemas: ['glance/image.ts'],
    path: /\/images\/[^/]+$/,
    honest: smallImage,
    run: ({ images, signal }) => images.patch(imageID, [{ op: 'replace', path: '/status', value: 'active' }], signal),
  },
  {
    name: 'a new member',
    operation: 'image.addMember',
    schemas: ['glance/client/members.ts'],
    path: /\/members$/,
    honest: member,
    run: ({ images, signal }) => images.members.add(imageID, 'p', signal),
  },
  empty('image.delete', /\/images\/[^/]+$/, ({ images, signal }) => images.remove(imageID, signal)),
  empty('image.upload', /\/file$/, ({ images, signal }) =>
    images.upload(imageID, Readable.from([Buffer.from('bytes')]), { isQueued: true, signal }),
  ),
  empty('image.stage', /\/stage$/, ({ images, signal }) =>
    images.stage(imageID, Readable.from([Buffer.from('bytes')]), { isQueued: true, signal }),
  ),
  empty('image.import', /\/images\/[^/]+\/import$/, ({ images, signal }) =>
    images.importImage(imageID, { method: { name: 'glance-direct' } }, signal),
  ),
  empty('image.removeMember', /\/members\/p$/, ({ images, signal }) => images.members.remove(imageID, 'p', signal)),
  empty('image.removeFromStore', /\/stores\/a\/[^/]+$/, ({ images, signal }) =>
    images.removeFromStore(imageID, 'a', signal),
  ),
  empty('image.addLocation', /\/locations$/, ({ images, signal }) =>
    images.locations.add(imageID, 'file:///a', undefined, signal),
  ),
  empty('image.tag', /\/tags\/a$/, ({ images, signal }) => images.addTag(imageID, 'a', signal)),
  empty('image.deactivate', /\/deactivate$/, ({ images, signal }) => images.deactivate(imageID, signal)),
  empty('image.reactivate', /\/reactivate$/, ({ images, signal }) => images.reactivate(imageID, signal)),
];

/** What a hostile server puts in the place of a field: `bytes` is the size of the whole response. */
export const floods: Readonly<Record<string, (bytes: number) => string>> = {
  zeros: (bytes) => `[${'0,'.repeat(Math.floor(bytes / 2))}0]`,
  lists: (bytes) => `[${'[],'.repeat(Math.floor(bytes / 3))}[]]`,
  objects: (bytes) => `[${'{},'.repeat(Math.floor(bytes / 3))}{}]`,
  members: (bytes) => `{${'"a":0,'.repeat(Math.floor(bytes / 6))}"a":0}`,
  levels: (bytes) => '['.repeat(Math.floor(bytes / 2)) + ']'.repeat(Math.floor(bytes / 2)),
  text: (bytes) => `"${'a'.repeat(bytes)}"`,
};

/** The paths of all values of a response, the response itself included. */
export function pathsOf(value: Json, at: readonly (string | number)[] = []): (readonly (string | number)[])[] {
  if (typeof value !== 'object' || value === null) return [at];
  const parts: [string | number, Json][] = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [at, ...parts.flatMap(([key, part]) => pathsOf(part, [...at, key]))];
}

const mark = '\u0001flood\u0001';

/** The response as text, with `flood` in the place of the value at `path`. */
export function flooded(value: Json, path: readonly (string | number)[], flood: string): string {
  const put = (part: Json, [key, ...rest]: readonly (string | number)[]): Json => {
    if (key === undefined) return mark;
    if (Array.isArray(part)) return part.map((each, index) => (index === key ? put(each, rest) : each));
    if (typeof part !== 'object' || part === null) return part;
    return Object.fromEntries(
      Object.entries(part).map(([name, each]) => [name, name === key ? put(each, rest) : each]),
    );
  };
  return JSON.stringify(put(value, path)).replace(JSON.stringify(mark), () => flood);
}
