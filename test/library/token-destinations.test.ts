/**
 * Invariant: a token goes only to endpoints of the cloud that issued it. Each row is a way in which a server, an image or a
 * caller can name another address.
 */
import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { type TestContext, test } from 'node:test';
import { stringify } from 'yaml';
import { createImageClient, type ImageClient } from '../../src/glance/client/index.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { barbicanCertificates } from '../../src/library/certificates.ts';
import { type ConnectedImageService, connectImageService } from '../../src/library/connect.ts';
import { parseCloud } from '../../src/openstack/clouds.ts';
import { createSessionPool, openSession, type SessionPool } from '../../src/openstack/pool.ts';
import type { Session } from '../../src/openstack/session.ts';
import { imageId, wireImage } from '../glance/model.ts';
import { bodyOf, reply, serve } from '../openstack/stub.ts';

const { signal } = new AbortController();

/** What a caller has in hand. */
interface Hands {
  session: Session;
  client: ImageClient;
  library: ConnectedImageService;
  sessions: SessionPool<ImageClient>;
  cloudsYaml: string;
  elsewhere: string;
}

interface Way {
  name: string;
  /** The request whose response leads to the foreign server. */
  trap?: { method: string; path: string; answer: (elsewhere: string) => Answer };
  act: (hands: Hands) => Promise<unknown>;
}

interface Answer {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}

const image = `/image/v2/images/${imageId}`;
const record = (some: Parameters<typeof wireImage>[0] = {}) =>
  wireImage({ status: 'active', size: 1, container_format: 'bare', disk_format: 'raw', ...some });
const away = (status: number, path: string) => (elsewhere: string) => ({
  status,
  headers: { location: `${elsewhere}${path}` },
});
const body = async function* () {
  yield Buffer.from('x');
};
const drain = async (items: AsyncIterable<unknown>) => {
  for await (const _ of items);
};

const ways: Way[] = [
  {
    name: 'a redirect of a read',
    trap: { method: 'GET', path: image, answer: away(302, image) },
    act: ({ client }) => client.get(imageId, signal),
  },
  {
    name: 'a redirect of a list',
    trap: { method: 'GET', path: '/image/v2/images', answer: away(307, '/v2/images') },
    act: ({ client }) => drain(client.list({}, signal)),
  },
  {
    name: 'a redirect of a download',
    trap: { method: 'GET', path: `${image}/file`, answer: away(302, '/file') },
    act: async ({ client }) => drain((await client.download(imageId, { signal })).body),
  },
  {
    name: 'a redirect of an upload',
    trap: { method: 'PUT', path: `${image}/file`, answer: away(307, '/file') },
    act: ({ session }) =>
      session.upload('image', { operation: 'upload', path: `/images/${imageId}/file`, body: body(), size: 1, signal }),
  },
  {
    name: 'a redirect of a creation',
    trap: { method: 'POST', path: '/image/v2/images', answer: away(308, '/v2/images') },
    act: ({ library }) => library.create({ name: 'new' }),
  },
  {
    name: 'a redirect of a change',
    trap: { method: 'PATCH', path: image, answer: away(308, image) },
    act: ({ client }) => client.patch(imageId, [{ op: 'replace', path: '/name', value: 'x' }], signal),
  },
  {
    name: 'a redirect of a deletion',
    trap: { method: 'DELETE', path: image, answer: away(307, image) },
    act: ({ client }) => client.remove(imageId, signal),
  },
  {
    name: 'the address of a new image',
    trap: {
      method: 'POST',
      path: '/image/v2/images',
      answer: (elsewhere) => ({ status: 201, body: record({ status: 'queued' }), headers: { location: elsewhere } }),
    },
    act: ({ library }) => library.create({ name: 'new' }),
  },
  {
    name: 'the next and first links of a list',
    trap: {
      method: 'GET',
      path: '/image/v2/images',
      answer: (elsewhere) => ({
        status: 200,
        body: { images: [record()], next: `${elsewhere}/v2/images?marker=1`, first: `${elsewhere}/v2/images` },
      }),
    },
    act: ({ client }) => drain(client.list({}, signal)),
  },
  {
    name: 'the links of a record',
    trap: {
      method: 'GET',
      path: image,
      answer: (elsewhere) => ({
        status: 200,
        body: record({ self: `${elsewhere}/self`, file: `${elsewhere}/file`, schema: `${elsewhere}/schema` }),
      }),
    },
    act: async ({ library }) => drain((await library.download(imageId)).body),
  },
  {
    name: 'the locations of an image',
    trap: {
      method: 'GET',
      path: image,
      answer: (elsewhere) => ({
        status: 200,
        body: record({ direct_url: `${elsewhere}/data`, locations: [{ url: `${elsewhere}/data`, metadata: {} }] }),
      }),
    },
    act: async ({ library }) => {
      await library.getLocation(imageId);
      await drain((await library.download(imageId)).body);
    },
  },
  {
    name: 'the links of a schema',
    trap: {
      method: 'GET',
      path: '/image/v2/schemas/image',
      answer: (elsewhere) => ({
        status: 200,
        body: {
          name: 'image',
          $schema: `${elsewhere}/schema`,
          $ref: `${elsewhere}/schema`,
          properties: { custom: { $ref: `${elsewhere}/custom` } },
          links: [{ rel: 'self', href: `${elsewhere}/self` }],
        },
      }),
    },
    act: ({ library }) => library.show(imageId),
  },
  {
    name: 'the versions that Glance lists',
    trap: {
      method: 'GET',
      path: '/image/versions',
      answer: (elsewhere) => ({
        status: 300,
        body: { versions: [{ id: 'v2.17', status: 'CURRENT', links: [{ rel: 'self', href: `${elsewhere}/v2/` }] }] },
      }),
    },
    act: async ({ session, client }) => {
      await session.versions('image', signal);
      await client.get(imageId, signal);
    },
  },
  {
    name: 'the versions that Keystone lists',
    trap: {
      method: 'GET',
      path: '/identity',
      answer: (elsewhere) => ({
        status: 300,
        body: {
          versions: {
            values: [{ id: 'v3.14', status: 'stable', links: [{ rel: 'self', href: `${elsewhere}/v3/` }] }],
          },
        },
      }),
    },
    act: ({ client }) => client.get(imageId, signal),
  },
  {
    name: 'a redirect of Keystone, which would take the password along',
    trap: { method: 'POST', path: '/identity/v3/auth/tokens', answer: away(307, '/v3/auth/tokens') },
    act: ({ client }) => client.get(imageId, signal),
  },
  {
    name: 'a redirect of the key manager',
    trap: { method: 'GET', path: `/keys/v1/secrets/${imageId}/payload`, answer: away(302, '/payload') },
    act: ({ session }) => barbicanCertificates(session).get(imageId, signal),
  },
  {
    name: 'a reference to a secret at another key manager',
    act: ({ session, elsewhere }) => barbicanCertificates(session).get(`${elsewhere}/v1/secrets/${imageId}`, signal),
  },
  {
    name: 'an address that a program names',
    act: ({ library, elsewhere }) => library.at(elsewhere).show(imageId),
  },
  {
    name: 'an address that an image reference names',
    act: ({ sessions, cloudsYaml, elsewhere }) =>
      sessions.use({ cloudsYaml }, { name: 'demo', endpoint: elsewhere }).attached.get(imageId, signal),
  },
];

for (const { name, trap, act } of ways) {
  test(`a token does not follow ${name} to a foreign server`, async (t) => {
    const { hands, strayed, trapped } = await open(t, trap);
    await act(hands).catch(() => undefined);
    if (trap !== undefined) assert.ok(trapped() > 0, 'the cloud received no request');
    assert.deepEqual(strayed, []);
  });
}

test('an address outside of the cloud is rejected by name, and receives no request', async (t) => {
  const { hands, strayed } = await open(t);
  const { library, sessions, cloudsYaml, elsewhere } = hands;
  const refusal = {
    code: 'InvalidSpec',
    message: new RegExp(`${elsewhere}/? is no image endpoint of cloud demo, .* name the cloud that it belongs to`),
  };
  await using remote = library.at(elsewhere);
  await assert.rejects(remote.show(imageId), refusal);
  using lease = sessions.use({ cloudsYaml }, { name: 'demo', endpoint: elsewhere });
  await assert.rejects(lease.attached.get(imageId, signal), refusal);
  assert.deepEqual(strayed, []);
});

test('an address is rejected before a token is requested if clouds.yaml has all endpoints', async (t) => {
  const asked: string[] = [];
  const url = await serve(t, (request, response) => {
    asked.push(request.url ?? '');
    reply(response, 200, {});
  });
  for (const entry of [
    { auth_type: 'admin_token', auth: { endpoint: url, token: 'secret' } },
    { auth_type: 'http_basic', auth: { endpoint: url, username: 'u', password: 'p' } },
    { auth_type: 'none', auth: { endpoint: url } },
  ]) {
    const library = connectImageService({ cloudsYaml: stringify({ clouds: { demo: entry } }), cloud: 'demo' });
    t.after(() => library.close());
    await using remote = library.at(`${url}/other`);
    await assert.rejects(remote.show(imageId), { code: 'InvalidSpec' });
  }
  assert.deepEqual(asked, []);
});

test('every image endpoint of the cloud may be named, of any region and interface, also the one in clouds.yaml', async (t) => {
  const { hands, cloud } = await open(t);
  const { sessions, cloudsYaml } = hands;
  for (const endpoint of [`${cloud}/image`, `${cloud}/internal`, `${cloud}/north`, `${cloud}/override`]) {
    using lease = sessions.use({ cloudsYaml }, { name: 'demo', endpoint });
    assert.equal((await lease.attached.get(imageId, signal)).id, imageId, endpoint);
  }
  for (const endpoint of [cloud, `${cloud}/images`, `${cloud}/image/more`, `${cloud}/keys`]) {
    using lease = sessions.use({ cloudsYaml }, { name: 'demo', endpoint });
    await assert.rejects(lease.attached.get(imageId, signal), { code: 'InvalidSpec' }, endpoint);
  }
});

test('a program may trust further addresses by name', async (t) => {
  const { hands, strayed } = await open(t);
  const { cloudsYaml, elsewhere } = hands;
  const library = connectImageService({ cloudsYaml, cloud: 'demo', trustedEndpoints: [`${elsewhere}/v2/`] });
  t.after(() => library.close());
  await using trusted = library.at(elsewhere);
  await trusted.show(imageId).catch(() => undefined);
  assert.ok(strayed.length > 0);
  await using other = library.at(`${elsewhere}/other`);
  await assert.rejects(other.show(imageId), { code: 'InvalidSpec' });
});

/** A cloud with both kinds of token on one server, and a foreign server. */
async function open(t: TestContext, trap?: Way['trap']) {
  const strayed: string[] = [];
  const elsewhere = await serve(t, (request, response) => {
    strayed.push(`${request.method} ${request.url} ${Object.keys(request.headers).join(' ')}`);
    reply(response, 404, {});
  });
  let trapped = 0;
  const cloud: string = await serve(t, async (request, response) => {
    const path = (request.url ?? '').replace(/\?.*/, '');
    await bodyOf(request);
    const isTrap = path === trap?.path && request.method === trap.method && trapped++ === 0;
    const { status, body: answer = {}, headers } = isTrap ? trap.answer(elsewhere) : usualAnswer(request, path, cloud);
    reply(response, status, answer, headers);
  });
  const auth = { auth_url: `${cloud}/identity`, user_id: 'u', password: 'secret', project_id: 'p' };
  const entry = {
    auth,
    service_auth: { user_id: 's', password: 'secret', project_id: 'p' },
    region_name: 'South',
    connect_retries: 0,
    ...(trap === undefined ? { image_endpoint_override: `${cloud}/override` } : {}),
  };
  const cloudsYaml = stringify({ clouds: { demo: entry } });
  const common = { clock: systemClock, random: Math.random };
  const session = openSession(parseCloud({ cloudsYaml }, 'demo'), common);
  const library = connectImageService({ cloudsYaml, cloud: 'demo' });
  const sessions = createSessionPool({
    clock: systemClock,
    open: (config) => openSession(config, common),
    attach: (pooled) => createImageClient(pooled),
    idleMs: 0,
  });
  t.after(() => Promise.all([session.close(), library.close(), sessions.close()]));
  const client = createImageClient(session);
  const hands: Hands = { session, client, library, sessions, cloudsYaml, elsewhere };
  return { hands, strayed, cloud, trapped: () => trapped };
}

/** The responses of a regular cloud; without both tokens there are none. */
function usualAnswer({ headers }: IncomingMessage, path: string, cloud: string): Answer {
  if (path === '/identity') return { status: 404 };
  if (path === '/identity/v3/auth/tokens') {
    return { status: 201, body: { token: tokenOf(cloud) }, headers: { 'x-subject-token': 'token' } };
  }
  if (path.endsWith('/versions')) return { status: 404 };
  if (headers['x-auth-token'] !== 'token' || headers['x-service-token'] !== 'token') return { status: 401 };
  if (path.endsWith('/schemas/image')) return { status: 404 };
  return { status: 200, body: path.endsWith('/images') ? { images: [] } : record() };
}

function tokenOf(cloud: string) {
  const endpoint = (path: string, region: string, kind = 'public') => ({
    interface: kind,
    url: `${cloud}${path}`,
    region_id: region,
  });
  return {
    issued_at: '2030-01-01T00:00:00.000000Z',
    expires_at: '2030-01-01T01:00:00.000000Z',
    user: { id: 'u', name: 'alice' },
    project: { id: 'p', name: 'web' },
    roles: [{ name: 'member' }],
    catalog: [
      {
        type: 'image',
        name: 'glance',
        endpoints: [
          endpoint('/image', 'South'),
          endpoint('/internal', 'South', 'internal'),
          endpoint('/north/v2', 'North'),
        ],
      },
      { type: 'key-manager', name: 'barbican', endpoints: [endpoint('/keys', 'South')] },
    ],
  };
}
