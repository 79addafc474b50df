/**
 * An operator that begins to lead while its cache is late: it still shows a resource that the leader before has released. The watch of a replica
 * that waits may be late by seconds.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { abandonAnnotation, apiVersion, kind, plural } from '../../src/api/group.ts';
import { type FaultProxy, type ProxiedRequest, startProxy } from '../env/proxy.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { eventually } from '../env/wait.ts';
import { World } from './world.ts';

const objectSchema = z.looseObject({ metadata: z.looseObject({ resourceVersion: z.string() }), status: z.unknown() });

describe('a leader whose cache is late', () => {
  let stack: Stack;
  let kubernetes: FaultProxy;
  let world: World;
  before(async () => {
    stack = await connectStack();
    kubernetes = await startProxy({ url: stack.kubernetes.server, ca: stack.kubernetes.caPem });
    world = await World.create({ stack, through: { server: kubernetes.url }, idle: true });
  });
  after(async () => {
    await world[Symbol.asyncDispose]();
    await kubernetes[Symbol.asyncDispose]();
  });

  const collection = () => `/apis/${apiVersion}/namespaces/${world.namespace}/${plural}`;
  const isWatch = ({ method, path }: ProxiedRequest) => method === 'GET' && path.startsWith(`${collection()}?`);

  /** The operator sees this resource, and no change of it; returns the end of that. */
  function showOnly(resource: z.infer<typeof objectSchema>): () => void {
    const { resourceVersion } = resource.metadata;
    const annotations = { 'k8s.io/initial-events-end': 'true' };
    const end = { apiVersion, kind, metadata: { resourceVersion, annotations } };
    const lines = [
      { type: 'ADDED', object: resource },
      { type: 'BOOKMARK', object: end },
    ];
    const body = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    const headers = { 'content-type': 'application/json' };
    const ends = [
      kubernetes.on({ matches: isWatch, times: 1, fault: { kind: 'answer', status: 200, headers, body } }),
      kubernetes.on({ matches: isWatch, fault: { kind: 'afterLines', lines: 0, what: 'silence' } }),
    ];
    return () => {
      for (const end of ends) end();
    };
  }

  /** Whether the operator has read this resource alone from the API server. */
  const isRead = (name: string) =>
    kubernetes.requests.some(
      ({ method, path, status }) => method === 'GET' && path === `${collection()}/${name}` && status > 0,
    );

  /** As the API server has it. */
  const read = async (name: string) =>
    (await stack.kubernetes.request('GET', `${collection()}/${name}`)).as(objectSchema);

  /** An image of this resource, and the resource as it is then. */
  async function create(name: string): Promise<z.infer<typeof objectSchema>> {
    await world.start();
    await world.apply(name, { interval: '10s', image: { diskFormat: 'raw' } });
    await world.ready(name);
    return read(name);
  }

  async function release(name: string): Promise<void> {
    await world.delete(name);
    await world.gone(name);
    await world.operator.stop();
  }

  /** The images in Glance after a leader that sees this has acted, or has read the resource before it would. */
  async function imagesAfter(name: string, view: z.infer<typeof objectSchema>, expected: number) {
    kubernetes.forget();
    const end = showOnly(view);
    await world.start();
    await eventually(
      async () => isRead(name) || (await world.images()).length !== expected,
      () => 'the operator does not come to act',
    );
    await world.operator.stop();
    end();
    return world.images();
  }

  const views = [
    { name: 'recorded', what: 'after its image was recorded', see: (object: object) => object },
    {
      name: 'unrecorded',
      what: 'before its image was recorded',
      see: (object: object) => ({ ...object, status: undefined }),
    },
  ];
  for (const { name, what, see } of views) {
    test(`a resource that was released gets no image from a leader that sees it as it was ${what}`, async () => {
      const resource = await create(name);
      await release(name);
      assert.deepEqual(await imagesAfter(name, objectSchema.parse(see(resource)), 0), []);
    });
  }

  test('an image that was abandoned is not deleted by a leader that sees only the deletion of its resource', async () => {
    const { metadata, ...rest } = await create('abandoned');
    await world.annotate('abandoned', abandonAnnotation, 'true');
    await release('abandoned');
    const [image = assert.fail()] = await world.images();
    const deleting = { ...metadata, deletionTimestamp: new Date().toISOString(), deletionGracePeriodSeconds: 0 };
    assert.deepEqual(await imagesAfter('abandoned', { ...rest, metadata: deleting }, 1), [image]);
    (await world.project.image('DELETE', `/v2/images/${image.id}`)).ok();
  });

  test('a ConfigMap that was renamed does not come back by a leader that sees its observing resource as it was', async () => {
    const { id } = await world.project.createImage({ name: 'of-others' }, Buffer.from('data'));
    const observing = (configMap: string) => ({
      interval: '10s',
      managementPolicy: 'Observe',
      import: { id },
      publish: { configMapRef: { name: configMap } },
    });
    const configMap = async (name: string) =>
      (await stack.kubernetes.request('GET', `/api/v1/namespaces/${world.namespace}/configmaps/${name}`)).status;
    await world.start();
    await world.apply('observing', observing('before'));
    await world.ready('observing');
    const resource = await read('observing');
    assert.equal(await configMap('before'), 200);
    await world.apply('observing', observing('after'));
    await eventually(
      async () => (await configMap('after')) === 200 && (await configMap('before')) === 404,
      () => 'the ConfigMap is not renamed',
    );
    await world.operator.stop();

    kubernetes.forget();
    const end = showOnly(resource);
    await world.start();
    await eventually(
      async () => isRead('observing') || (await configMap('before')) === 200,
      () => 'the operator does not come to act',
    );
    await world.operator.stop();
    end();
    assert.equal(await configMap('before'), 404);
  });
});
