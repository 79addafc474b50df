/** Tokens that end while they are used, from a real Keystone that gives them only seconds to live. */
import assert from 'node:assert/strict';
import { after, before, describe, type TestContext, test } from 'node:test';
import { z } from 'zod';
import { systemClock } from '../../src/lib/clock.ts';
import { type BriefKeystone, startBriefKeystone } from '../env/brief-keystone.ts';
import type { CloudsYamlOptions, Project } from '../env/project.ts';
import { startProxy } from '../env/proxy.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { list, sessionOf, signal } from './real-session.ts';

const tokenSeconds = 4;

let stack: Stack;
let keystone: BriefKeystone;
let project: Project;
before(async () => {
  stack = await connectStack();
  [project, keystone] = await Promise.all([
    stack.openstack.createProject('expiry'),
    startBriefKeystone(stack.directory, tokenSeconds),
  ]);
});
after(async () => {
  await keystone[Symbol.asyncDispose]();
  await stack.stop();
});

/** A session whose tokens are brief. */
async function signIn(t: TestContext, options: CloudsYamlOptions = {}) {
  const { authUrl } = keystone;
  return sessionOf(t, { cloudsYaml: await project.cloudsYaml({ authUrl, ...options }) });
}

const page = z.object({ images: z.array(z.object({ id: z.string() })), next: z.string().optional() });
/** Longer than a token lives, counted from now. */
const outlived = () => systemClock.sleep((tokenSeconds + 1) * 1000);

describe('a token of seconds', { concurrency: true }, () => {
  test('a token that expires within a long list is renewed, and no page is lost', async (t) => {
    const { session, tokens } = await signIn(t);
    const ids = await Promise.all(Array.from({ length: 8 }, async () => (await project.createImage()).id));
    const found: string[] = [];
    let path: string | undefined = `/images?owner=${project.id}&name=test&limit=1`;
    while (path !== undefined) {
      const { text } = await list(session, path);
      const { images, next } = page.parse(JSON.parse(text));
      found.push(...images.map(({ id }) => id));
      path = next?.replace(/^\/v2/, '');
      // All of it takes longer than a token lives, let alone is used.
      await systemClock.sleep((1500 * tokenSeconds) / ids.length);
    }
    for (const id of ids) assert.ok(found.includes(id));
    assert.ok(tokens.length >= 3, `${tokens.length} tokens`);
  });

  test('a token that expires within an upload does not stop it, and the next call has a new token', async (t) => {
    const { session, tokens } = await signIn(t);
    const { id } = await project.createImage({ name: 'long' });
    async function* slow() {
      // The last piece is held back until the next one comes; so that the request begins, there are two.
      yield Buffer.alloc(1000);
      yield Buffer.alloc(1000);
      await outlived();
      yield Buffer.alloc(1000);
    }
    const headers = { 'content-type': 'application/octet-stream' };
    const path = `/images/${id}`;
    const stream = { body: slow(), size: 3000, signal: signal() };
    const upload = { operation: 'upload', path: `${path}/file`, headers, ...stream } as const;
    assert.equal((await session.upload('image', upload)).status, 204);
    const { text } = await list(session, path);
    const image = z.object({ status: z.string(), size: z.number() }).parse(JSON.parse(text));
    assert.deepEqual(image, { status: 'active', size: 3000 });
    assert.equal(tokens.length, 2);
  });

  test('a token that expires during a call leads to a 401, and the call succeeds with a new token', async (t) => {
    await using proxy = await startProxy({ url: stack.openstack.imageUrl });
    const { session, tokens } = await signIn(t, { imageUrl: proxy.url });
    await session.identity(signal());
    proxy.on({ matches: () => true, fault: { kind: 'hold', released: outlived() }, times: 1 });
    const { status } = await list(session);
    assert.equal(status, 200);
    assert.deepEqual(
      proxy.requests.map((request) => request.status),
      [401, 200],
    );
    assert.equal(tokens.length, 2);
  });

  test('a token that expires in the pause before a retry is renewed for the retry', async (t) => {
    await using proxy = await startProxy({ url: stack.openstack.imageUrl });
    const { session, tokens } = await signIn(t, { imageUrl: proxy.url });
    const busy = { kind: 'answer', status: 503, headers: { 'retry-after': `${tokenSeconds + 1}` } } as const;
    proxy.on({ matches: () => true, fault: busy, times: 1 });
    const { status } = await list(session);
    assert.equal(status, 200);
    assert.deepEqual(
      proxy.requests.map((request) => request.status),
      [0, 200],
    );
    assert.equal(tokens.length, 2);
    assert.equal(new Set(proxy.requests.map(({ headers }) => headers['x-auth-token'])).size, 2);
  });
});
