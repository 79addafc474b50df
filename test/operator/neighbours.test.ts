import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { apiVersion, kind } from '../../src/api/group.ts';
import { type FaultProxy, startProxy } from '../env/proxy.ts';
import { connectStack } from '../env/stack.ts';
import { World } from './world.ts';

describe('a cloud that accepts every request and never responds', () => {
  const dead = 60;
  let silent: FaultProxy;
  let world: World;
  let release: () => void;
  before(async () => {
    const stack = await connectStack();
    silent = await startProxy({ url: stack.openstack.imageUrl });
    const { promise, resolve } = Promise.withResolvers<void>();
    release = resolve;
    silent.on({ matches: () => true, fault: { kind: 'hold', released: promise } });
    world = await World.create({ stack });
    await world.writeSecret('dead', { 'clouds.yaml': await world.project.cloudsYaml({ imageUrl: silent.url }) });
  });
  after(async () => {
    release();
    await world[Symbol.asyncDispose]();
    await silent[Symbol.asyncDispose]();
  });

  test('a hanging cloud delays neither creation nor deletion in another cloud', () => beside(['dead']));

  test('a hanging cloud used through many Secrets delays no other cloud', async () => {
    const stringData = { 'clouds.yaml': await world.project.cloudsYaml({ imageUrl: silent.url }) };
    const names = Array.from({ length: 40 }, (_, index) => `dead-${index}`);
    await applyAll(names.map((name) => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData })));
    await beside(names);
  });

  async function applyAll(items: readonly object[]): Promise<void> {
    const { kubernetes } = world.stack;
    await kubernetes.apply(JSON.stringify({ apiVersion: 'v1', kind: 'List', items }), { namespace: world.namespace });
  }

  /** So many resources of the dead cloud, by these Secrets in turn. */
  async function beside(secrets: readonly string[]): Promise<void> {
    await world.operator.kill();
    const asked = silent.requests.length;
    const resource = (index: number) => ({
      apiVersion,
      kind,
      metadata: { name: `dead-${secrets.length}-${index}` },
      spec: { cloud: { secretRef: { name: secrets[index % secrets.length] }, name: 'demo' } },
    });
    await applyAll(Array.from({ length: dead }, (_, index) => resource(index)));
    await world.start();
    while (silent.requests.length < asked + 8) await sleep(20);
    const start = performance.now();
    const name = `alive-${secrets.length}`;
    await world.apply(name, { interval: '0' });
    await world.ready(name);
    await world.delete(name);
    await world.gone(name);
    const took = Math.round(performance.now() - start);
    process.stdout.write(`next to ${dead} resources of a dead cloud, by ${secrets.length} Secrets: ${took} ms\n`);
    assert.ok(silent.requests.length <= asked + 8, 'half of the workers, each with one call');
  }
});
