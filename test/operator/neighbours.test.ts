import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type FaultProxy, startProxy } from '../env/proxy.ts';
import { connectStack } from '../env/stack.ts';
import { World } from './world.ts';

describe('a cloud that takes every call and answers none', () => {
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

  test('delays no resource of another cloud, neither its creation nor its deletion', async () => {
    const cloud = { secretName: 'dead', name: 'demo' };
    await Promise.all(Array.from({ length: dead }, (_, index) => world.apply(`dead-${index}`, { cloud })));
    while (silent.requests.length < 8) await sleep(20);
    const start = performance.now();
    await world.apply('alive', { interval: '0' });
    await world.ready('alive', 10_000);
    await world.delete('alive');
    await world.gone('alive', 10_000);
    process.stdout.write(`beside ${dead} resources of a dead cloud: ${Math.round(performance.now() - start)} ms\n`);
    assert.ok(silent.requests.length <= 8, 'half of the workers, each with one call');
  });
});
