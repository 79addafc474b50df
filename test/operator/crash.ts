/**
 * The crash campaign. A first run of a life numbers every write of the operator. Further runs kill the process right after a
 * write, lose the response to it, or lose the status, until each write was struck.
 *
 * Invariant: every run ends as its life expects, whatever happened to its writes.
 */
import { plural } from '../../src/api/group.ts';
import { changesSomething, type Fault, type FaultProxy, type ProxiedRequest, startProxy } from '../env/proxy.ts';
import type { Stack } from '../env/stack.ts';
import { World } from './world.ts';

export const mishaps = ['killed after', 'response lost of', 'status lost after'] as const;
export type Mishap = (typeof mishaps)[number];

/** What is declared one after another, and what has to hold meanwhile and in the end. It rejects where that does not hold. */
export interface Life {
  what: string;
  /** `name`: of a resource that does not exist yet. It is gone in the end. */
  play(world: World, name: string): Promise<void>;
}

/** One world, in which lives are played one after another. */
export interface Scene extends AsyncDisposable {
  world: World;
  kubernetes: FaultProxy;
  glance: FaultProxy;
  nextName(): string;
}

/** Events inform people and decide nothing. Losing one does no harm, and their number is not fixed. */
function counts(request: ProxiedRequest): boolean {
  return changesSomething(request) && !request.path.includes('events.k8s.io');
}

export async function createScene(stack: Stack): Promise<Scene> {
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
  let names = 0;
  return {
    world,
    kubernetes,
    glance,
    nextName: () => `crash-${++names}`,
    async [Symbol.asyncDispose]() {
      await world[Symbol.asyncDispose]();
      await closeProxies();
    },
  };
}

/** How many writes a life makes when nothing goes wrong. */
export async function countWrites({ world, kubernetes, glance, nextName }: Scene, life: Life): Promise<number> {
  kubernetes.forget();
  glance.forget();
  await life.play(world, nextName());
  return [...kubernetes.requests, ...glance.requests].filter(counts).length;
}

/** Writes to either server, from 1: this one, and with `every` each so many further ones, so that a run of a long life has several mishaps. */
export interface Struck {
  nth: number;
  every?: number;
}

/** Plays a life with a mishap at each of these writes. Resolves with what they were. */
export async function playWith(scene: Scene, life: Life, mishap: Mishap, { nth, every }: Struck): Promise<string> {
  const { world, kubernetes, glance } = scene;
  const name = scene.nextName();
  let seen = 0;
  const struck: string[] = [];
  const under: Promise<void>[] = [];
  const matches = (request: ProxiedRequest): boolean => {
    if (!counts(request)) return false;
    seen++;
    const isNext = seen === nth || (every !== undefined && seen > nth && (seen - nth) % every === 0);
    if (isNext) struck.push(`${request.method} ${request.path.replace(/[0-9a-f-]{36}/, '{id}').replace(/\?.*/, '')}`);
    return isNext;
  };
  const start = (work: () => Promise<void>): Promise<void> => {
    const running = work();
    under.push(running);
    return running;
  };
  const rules = [kubernetes, glance].map((proxy) => proxy.on({ matches, fault: faultOf(mishap, world, name, start) }));
  try {
    await life.play(world, name);
  } finally {
    for (const remove of rules) remove();
    await Promise.all(under);
  }
  return struck.length === 0 ? 'nothing: the life made fewer writes' : struck.join(', ');
}

function faultOf(
  mishap: Mishap,
  world: World,
  name: string,
  start: (work: () => Promise<void>) => Promise<void>,
): Fault {
  switch (mishap) {
    case 'response lost of':
      return { kind: 'loseAnswer' };
    case 'killed after':
      return { kind: 'afterAnswer', run: () => void start(() => restart(world)) };
    // The operator gets the response once the status is gone.
    case 'status lost after':
      return { kind: 'afterAnswer', run: () => start(() => loseStatus(world, name)) };
  }
}

async function restart(world: World): Promise<void> {
  await world.operator.kill();
  await world.start();
}

async function loseStatus({ stack, namespace }: World, name: string): Promise<void> {
  const path = `/apis/glance-image-operator.dev/v1alpha1/namespaces/${namespace}/${plural}/${name}/status`;
  const contentType = 'application/merge-patch+json';
  await stack.kubernetes.request('PATCH', path, { status: null }, { contentType });
}
