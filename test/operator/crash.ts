/**
 * The crash campaign. A first run numbers every write of the operator. One run for each write then kills the process
 * right after that write, or loses the response to it.
 *
 * Invariant: every run ends with exactly the declared image, and after its deletion with none.
 */
import assert from 'node:assert/strict';
import { raw } from '../env/images.ts';
import { changesSomething, type Fault, type FaultProxy, type ProxiedRequest, startProxy } from '../env/proxy.ts';
import type { Stack } from '../env/stack.ts';
import { digestOf } from './digest.ts';
import { World } from './world.ts';

export type Mishap = 'killed after' | 'response lost of';

interface Scene extends AsyncDisposable {
  world: World;
  kubernetes: FaultProxy;
  glance: FaultProxy;
  name: string;
}

/** Events inform people and decide nothing. Losing one does no harm, and their number is not fixed. */
function counts(request: ProxiedRequest): boolean {
  return changesSomething(request) && !request.path.includes('events.k8s.io');
}

async function createScene(stack: Stack): Promise<Scene> {
  const { server: url, caPem: ca } = stack.kubernetes;
  const [kubernetes, glance] = await Promise.all([
    startProxy({ url, ca }),
    startProxy({ url: stack.openstack.imageUrl }),
  ]);
  const closeProxies = () => Promise.all([kubernetes[Symbol.asyncDispose](), glance[Symbol.asyncDispose]()]);
  const through = { server: kubernetes.url };
  const world = await World.create({ stack, clouds: { imageUrl: glance.url }, through }).catch(
    async (error: unknown) => {
      await closeProxies();
      throw error;
    },
  );
  return {
    world,
    kubernetes,
    glance,
    name: 'crash',
    async [Symbol.asyncDispose]() {
      await world[Symbol.asyncDispose]();
      await closeProxies();
    },
  };
}

/** Create, upload, edit, delete; at each goal Glance holds exactly what is declared. */
async function play({ world, name }: Scene): Promise<void> {
  const body = raw(256 * 1024);
  const url = world.source.add('/crash.raw', { body });
  const spec = (properties: Record<string, string>) => ({
    image: { diskFormat: 'raw', protected: true, properties },
    content: { http: { url, digest: digestOf(body) } },
  });
  await world.apply(name, spec({ a: '1', b: '1' }));
  await world.ready(name);
  await assertExactly(world, { a: '1', b: '1' }, body.length);
  await world.apply(name, spec({ a: '2' }));
  await world.ready(name);
  await assertExactly(world, { a: '2', b: undefined }, body.length);
  await world.delete(name);
  await world.gone(name);
  assert.deepEqual(await world.images(), [], 'an orphan is left');
}

async function assertExactly(
  world: World,
  properties: Record<string, string | undefined>,
  size: number,
): Promise<void> {
  const images = await world.images();
  assert.equal(images.length, 1, `Glance holds ${images.length} images`);
  const [image] = images;
  assert.equal(image?.status, 'active');
  assert.equal(image?.size, size);
  for (const [key, value] of Object.entries(properties)) assert.equal(image?.[key], value, key);
}

/** How many writes the scenario makes when nothing goes wrong. */
export async function countWrites(stack: Stack): Promise<number> {
  await using scene = await createScene(stack);
  await play(scene);
  return [...scene.kubernetes.requests, ...scene.glance.requests].filter(counts).length;
}

/** Plays the scenario with a mishap at the `nth` write (from 1) to either server. Resolves with that write. */
export async function playWith(stack: Stack, mishap: Mishap, nth: number): Promise<string> {
  await using scene = await createScene(stack);
  const { world } = scene;
  let seen = 0;
  let struck: ProxiedRequest | undefined;
  const restarted = Promise.withResolvers<void>();
  const matches = (request: ProxiedRequest): boolean => {
    if (!counts(request) || struck !== undefined) return false;
    seen++;
    if (seen === nth) struck = request;
    return seen === nth;
  };
  const restart = async () => {
    await world.operator.kill();
    await world.start();
  };
  const fault: Fault =
    mishap === 'response lost of'
      ? { kind: 'loseAnswer' }
      : { kind: 'afterAnswer', run: () => void restart().then(restarted.resolve, restarted.reject) };
  for (const proxy of [scene.kubernetes, scene.glance]) proxy.on({ matches, fault });
  await play(scene);
  if (struck === undefined) return 'nothing: the scenario made fewer writes';
  if (mishap !== 'response lost of') await restarted.promise;
  return `${struck.method} ${struck.path.replace(/[0-9a-f-]{36}/, '{id}').replace(/\?.*/, '')}`;
}
