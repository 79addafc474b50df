/** Clouds that look different from outside: behind mutual TLS, without Keystone, with several addresses of one Glance. */
import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { stringify } from 'yaml';
import { z } from 'zod';
import type { CloudFiles } from '../../src/openstack/clouds.ts';
import { AuthenticationFailed, ConnectionFailed, KeystoneUnreachable } from '../../src/openstack/errors.ts';
import type { Project } from '../env/project.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { testTls } from '../env/tls.ts';
import { claimPort } from '../operator/closed-port.ts';
import { forwarder } from './forwarder.ts';
import { list, sessionOf, signal } from './real-session.ts';

let stack: Stack;
let project: Project;
let keystoneUrl: string;
before(async () => {
  stack = await connectStack();
  project = await stack.openstack.createProject('fronts');
  keystoneUrl = new URL(stack.openstack.authUrl).origin;
});
after(() => stack.stop());

const signIn = (t: TestContext, entry: object, files: Omit<CloudFiles, 'cloudsYaml'> = {}) =>
  sessionOf(t, { cloudsYaml: stringify({ clouds: { demo: entry } }), ...files }).session;
const login = () => {
  const { id: user_id, password } = project.accounts.member;
  return { user_id, password, project_id: project.id };
};

test('Keystone and Glance behind mutual TLS accept the client certificate of the Secret, and no client without it', async (t) => {
  const keystone = await forwarder(t, { upstream: keystoneUrl, mutualTls: true });
  const glance = await forwarder(t, { upstream: stack.openstack.imageUrl, mutualTls: true });
  const entry = { auth: { auth_url: keystone.url, ...login() }, image_endpoint_override: `${glance.url}/v2` };
  const { cert, key } = testTls();
  assert.equal((await list(signIn(t, entry, { cacert: cert, cert, key }))).status, 200);
  assert.deepEqual([keystone.seen.length, glance.seen.length], [2, 1]);

  const once = { ...entry, connect_retries: 0 };
  await assert.rejects(list(signIn(t, once, { cacert: cert })), KeystoneUnreachable);
  await assert.rejects(list(signIn(t, entry, { cert, key })), /self-signed certificate/);
  assert.equal((await list(signIn(t, { ...entry, verify: false }, { cert, key }))).status, 200);
  const open = { ...once, auth: { auth_url: stack.openstack.authUrl, ...login() } };
  await assert.rejects(list(signIn(t, open, { cacert: cert })), (error) => {
    assert.ok(error instanceof ConnectionFailed);
    assert.equal(error.message, `no response from ${glance.url}: other side closed`);
    return true;
  });
});

test('a Glance without authentication is used without a Keystone', async (t) => {
  const token = await project.token();
  const glance = await forwarder(t, {
    upstream: stack.openstack.imageUrl,
    admit: ({ headers }) => {
      assert.deepEqual([headers['x-auth-token'], headers.authorization], [undefined, undefined]);
      return { 'x-auth-token': token };
    },
  });
  const session = signIn(t, { auth_type: 'none', endpoint: glance.url, project_id: project.id });
  assert.equal((await list(session)).status, 200);
  assert.ok((await session.versions('image', signal())).includes('v2.17'));
  async function* body() {
    yield Buffer.alloc(1000);
  }
  const { id } = await project.createImage();
  await session.upload('image', {
    operation: 'upload',
    path: `/images/${id}/file`,
    headers: { 'content-type': 'application/octet-stream' },
    body: body(),
    size: 1000,
    signal: signal(),
  });
  let length = 0;
  const data = await session.download('image', { operation: 'download', path: `/images/${id}/file`, signal: signal() });
  for await (const chunk of data.body) length += chunk.byteLength;
  assert.equal(length, 1000);
});

test('a Glance with HTTP basic authentication accepts the right password and rejects another', async (t) => {
  const token = await project.token();
  const glance = await forwarder(t, {
    upstream: stack.openstack.imageUrl,
    admit: ({ headers }) =>
      headers.authorization === `Basic ${btoa('alice:right')}` ? { 'x-auth-token': token } : 401,
  });
  const entry = { auth_type: 'http_basic', username: 'alice', image_endpoint_override: glance.url };
  assert.equal((await list(signIn(t, { ...entry, password: 'right' }))).status, 200);
  await assert.rejects(list(signIn(t, { ...entry, password: 'wrong' })), (error) => {
    assert.ok(error instanceof AuthenticationFailed && error.code === 'CredentialsInvalid');
    assert.match(error.message, /rejects the credentials in clouds.yaml: 401: rejected by the proxy/);
    return true;
  });
});

const tokenSchema = z.object({ token: z.looseObject({ catalog: z.array(z.looseObject({ type: z.string() })) }) });

test('none of 200 calls fails while one of two Glance endpoints in the catalog is dead', async (t) => {
  const dead = `http://127.0.0.1:${await claimPort()}`;
  const keystone = await forwarder(t, {
    upstream: keystoneUrl,
    rewrite: (answer, { method }) => {
      if (method === 'GET') return answer.text;
      const { token } = tokenSchema.parse(answer.json);
      const urls = [dead, stack.openstack.imageUrl];
      const endpoints = urls.map((url) => ({ interface: 'public', region: 'Twin', region_id: 'Twin', url }));
      const catalog = [...token.catalog, { type: 'image', name: 'twin', endpoints }];
      return JSON.stringify({ token: { ...token, catalog } });
    },
  });
  const auth = { auth_url: keystone.url, ...login() };
  const statuses: number[] = [];
  for (const at of [1, 2, 3, 4]) {
    const session = signIn(t, { auth, region_name: 'Twin', image_service_name: 'twin' });
    // A few at a time, as the workers of the operator do.
    await Promise.all(
      Array.from({ length: 5 }, async () => {
        for (let calls = 0; calls < 10; calls++) statuses.push((await list(session)).status);
      }),
    );
    assert.equal(statuses.length, 50 * at);
  }
  assert.ok(statuses.every((status) => status === 200));
});

test('a list of addresses in clouds.yaml is used like several endpoints of the catalog', async (t) => {
  const dead = `127.0.0.1:${await claimPort()}`;
  const image_endpoint_override = [dead, stack.openstack.imageUrl.replace('http://', '')];
  for (let sessions = 0; sessions < 4; sessions++) {
    const session = signIn(t, { auth: { auth_url: stack.openstack.authUrl, ...login() }, image_endpoint_override });
    for (let calls = 0; calls < 5; calls++) assert.equal((await list(session)).status, 200);
  }
});
