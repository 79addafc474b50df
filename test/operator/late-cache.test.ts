/**
 * An operator that begins to lead while its cache is behind: it still shows a resource that the leader before has released, with its image.
 * The watch of a replica that waits may be late by seconds.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { apiVersion, kind, plural } from '../../src/api/group.ts';
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
      await world.start();
      await world.apply(name, { interval: '10s', image: { diskFormat: 'raw' } });
      await world.ready(name);
      const resource = (await stack.kubernetes.request('GET', `${collection()}/${name}`)).as(objectSchema);
      await world.delete(name);
      await world.gone(name);
      await world.operator.stop();

      kubernetes.forget();
      const end = showOnly(objectSchema.parse(see(resource)));
      await world.start();
      let images = 0;
      await eventually(
        async () => {
          images = (await world.images()).length;
          return images > 0 || isRead(name);
        },
        () => 'the operator does not reach the creation of an image',
      );
      await world.operator.stop();
      end();
      assert.deepEqual([images, await world.images()], [0, []]);
    });
  }
});
