/** A request to create an image that Glance gets long after the operator that sent it was killed. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { imageIDOf, ownerOf, ownerProperty } from '../../src/image/model/identity.ts';
import { raw } from '../env/images.ts';
import { type FaultProxy, type ProxiedRequest, startProxy } from '../env/proxy.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { eventually } from '../env/wait.ts';
import { digestOf } from './digest.ts';
import { World } from './world.ts';

const isCreation = ({ method, path }: ProxiedRequest) => method === 'POST' && path === '/v2/images';

describe('a creation that arrives after its operator was killed', () => {
  let stack: Stack;
  let glance: FaultProxy;
  let world: World;
  let release = () => {};
  before(async () => {
    stack = await connectStack();
    glance = await startProxy({ url: stack.openstack.imageUrl });
    world = await World.create({ stack, clouds: { imageUrl: glance.url } });
  });
  afterEach(() => release());
  after(async () => {
    await world[Symbol.asyncDispose]();
    await glance[Symbol.asyncDispose]();
  });

  /** The next creation does not reach Glance until the proxy releases it. */
  function holdCreation(): void {
    glance.forget();
    const { promise, resolve } = Promise.withResolvers<void>();
    const remove = glance.on({ matches: isCreation, times: 1, fault: { kind: 'hold', released: promise } });
    release = () => {
      resolve();
      remove();
    };
  }

  async function killAtCreation(): Promise<void> {
    await eventually(
      async () => glance.requests.some(isCreation),
      () => 'nothing is created',
    );
    await world.operator.kill();
    release();
  }

  /** As the killed operator sent it. */
  async function arrive(name: string, uid: string, number: number): Promise<number> {
    const mark = ownerOf(world.namespace, name, uid);
    const fields = { id: imageIDOf(uid, number), name: 'late', [ownerProperty]: mark };
    return (await world.project.image('POST', '/v2/images', fields)).status;
  }

  const contentOf = (name: string) => {
    const body = raw(64 * 1024, name);
    world.source.add(`/${name}.raw`, { body });
    return { http: { url: `${world.source.url}/${name}.raw`, digest: digestOf(body, 'sha256') } };
  };
  const specOf = (name: string) => ({ image: { name: 'late', diskFormat: 'raw' }, content: contentOf(name) });

  test('a late creation makes no image once its resource is gone', async () => {
    holdCreation();
    await world.apply('first', specOf('a'));
    await killAtCreation();
    const { uid } = ((await world.get('first')) ?? assert.fail()).metadata;
    await world.delete('first');
    await world.start();
    await world.gone('first');
    assert.equal(await arrive('first', uid, 0), 409);
    assert.deepEqual(await world.images(), []);
  });

  test('a late creation makes no image once its resource is Ready with the image that it had before', async () => {
    await world.apply('second', specOf('a'));
    const { status, metadata } = await world.ready('second');
    holdCreation();
    await world.apply('second', specOf('b'));
    await killAtCreation();
    await world.apply('second', specOf('a'));
    await world.start();
    assert.equal((await world.ready('second')).status.imageID, status.imageID);
    assert.equal(await arrive('second', metadata.uid, 1), 409);
    assert.deepEqual(
      (await world.images()).map(({ id }) => id),
      [status.imageID],
    );
    await world.delete('second');
    await world.gone('second');
  });
});
