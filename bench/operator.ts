/**
 * The cost of an image, against two bounds from the same run on the same servers: a bare loop of POST, PUT and GET on Glance, and a bare
 * controller that adds the three API writes (finalizer, status, Event) to it. The time of the operator and that of the bare controller
 * include the creation of the resources.
 */
import type { GlanceImageStatus } from '../src/api/status.ts';
import { glanceImageType } from '../src/image/access/resources.ts';
import { countByVerb, isWrite } from '../test/env/audit.ts';
import { raw } from '../test/env/images.ts';
import { startProxy } from '../test/env/proxy.ts';
import { type Stack, startStack } from '../test/env/stack.ts';
import { eventually } from '../test/env/wait.ts';
import { digestOf } from '../test/operator/digest.ts';
import { World } from '../test/operator/world.ts';
import { startBareController } from './bare-controller.ts';
import { cpuSecondsOf } from './figures.ts';
import { buildProgram } from './program.ts';

const images = 100;
/** Made before the measurement, by the operator as by the bounds: a process is slower until its code is loaded and compiled. */
const warming = 40;
/** Their calls to Glance are counted by a proxy, which takes part of the processor time that the others are to have. */
const counted = 20;
const body = raw(2 ** 20);
const digest = digestOf(body, 'sha512');

const say = (text: string) => process.stdout.write(`${text}\n`);

/** Images per second. */
async function rate(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (images * 1000) / (performance.now() - start);
}

/** Calls `work` with each of `count` indexes from `first`, `atOnce` at a time. */
async function each(atOnce: number, work: (index: number) => Promise<unknown>, first = 0, count = images) {
  let next = first;
  const loop = async () => {
    for (let index = next++; index < first + count; index = next++) await work(index);
  };
  await Promise.all(Array.from({ length: atOnce }, loop));
}

function manifestIn(namespace: string, index: number, url: string, secret = 'openstack') {
  return {
    apiVersion: `${glanceImageType.group}/${glanceImageType.version}`,
    kind: glanceImageType.kind,
    metadata: { name: `image-${index}`, namespace },
    spec: {
      cloud: { secretRef: { name: secret }, name: 'demo' },
      interval: '1h',
      image: { diskFormat: 'raw' },
      content: { http: { url, digest } },
    },
  };
}

/** `status` is what the bare controller writes of each: as large as that of the operator. */
async function bounds(
  stack: Stack,
  atOnce: number,
  status: GlanceImageStatus,
): Promise<{ loop: number; controller: number }> {
  const bare = await stack.openstack.createProject();
  const make = () => bare.createImage({}, body);
  await each(atOnce, make, 0, warming);
  const loop = await rate(() => each(atOnce, make));
  const url = 'http://127.0.0.1/image.raw';
  await using controller = await startBareController(stack.kubernetes, (namespace, index) =>
    manifestIn(namespace, index, url),
  );
  const work = (first: number, count: number) => {
    const created = new Map(Array.from({ length: count }, (_, at) => [first + at, controller.create(first + at)]));
    return each(
      atOnce,
      async (index) => {
        await created.get(index);
        await controller.look(index, make, status);
      },
      first,
      count,
    );
  };
  await work(images, warming);
  const withWrites = await rate(() => work(0, images));
  return { loop, controller: withWrites };
}

async function measure(stack: Stack, program: readonly string[], atOnce: number): Promise<void> {
  const count = String(atOnce);
  await using world = await World.create({
    // The next run needs it.
    stack: { ...stack, stop: async () => {} },
    program,
    flags: [
      ['--transfers', count],
      ['--transfers-per-namespace', count],
      ['--transfers-per-cloud', count],
      ['--transfers-per-host', count],
    ].flat(),
  });
  const url = world.source.add('/image.raw', { body });
  // Created directly at the API server: kubectl itself would take longer than the operator does.
  const path = `/apis/${glanceImageType.group}/${glanceImageType.version}/namespaces/${world.namespace}/${glanceImageType.plural}`;
  const create = (manifest: object) => stack.kubernetes.request('POST', path, manifest);
  let made = 0;
  const work = async (first: number, count: number) => {
    made += count;
    const manifests = Array.from({ length: count }, (_, at) => manifestIn(world.namespace, first + at, url));
    await Promise.all(manifests.map(async (manifest) => (await create(manifest)).ok()));
    await untilReady(world, made);
  };
  await work(images, warming);
  await world.untilEvents('Ready', warming);
  const mark = await stack.kubernetes.audit.mark();
  const cpuBefore = cpuSecondsOf(world.operator.pid);
  const reached = await rate(() => work(0, images));
  await world.untilEvents('Ready', warming + images);
  const cpu = (cpuSecondsOf(world.operator.pid) - cpuBefore) / images;
  const requests = await stack.kubernetes.audit.read(world.user, mark);
  const writes = requests.filter(isWrite);
  const calls = await glanceCalls(world, create, url);
  const rss = world.operator.rss();
  const status = (await world.get('image-0'))?.status;
  if (status === undefined) throw new Error('image-0 is gone');
  // Not killed, so that it can write a profile.
  await world.operator.stop();
  const bound = await bounds(stack, atOnce, status);
  say(
    [
      `${atOnce} at a time: ${reached.toFixed(1)} images/s`,
      `${(reached / bound.loop).toFixed(2)} of the loop (${bound.loop.toFixed(1)}/s)`,
      `${(reached / bound.controller).toFixed(2)} of the bare controller (${bound.controller.toFixed(1)}/s)`,
      `${cpu.toFixed(3)} CPU s an image`,
      `API writes ${(writes.length / images).toFixed(2)} ${JSON.stringify(countByVerb(writes))}`,
      `API reads ${((requests.length - writes.length) / images).toFixed(2)}`,
      `Glance calls ${calls.toFixed(2)}`,
      `RSS ${Math.round(rss / 2 ** 20)} MiB`,
    ].join('; '),
  );
}

/** Each resource has one line in the log of the operator when it is ready. Polling the API server would slow both down. */
async function untilReady({ operator }: World, count: number): Promise<void> {
  await eventually(
    () => operator.log.filter((line) => line.includes('"reason":"Ready"')).length >= count,
    () => `not all images are ready:\n${operator.log.slice(-20).join('\n')}`,
  );
}

/** Calls for an image, of further images in the same project. */
async function glanceCalls(
  world: World,
  create: (manifest: object) => Promise<{ ok(): unknown }>,
  url: string,
): Promise<number> {
  await using glance = await startProxy({ url: world.stack.openstack.imageUrl });
  await world.writeSecret('counted', { 'clouds.yaml': await world.project.cloudsYaml({ imageUrl: glance.url }) });
  const indexes = Array.from({ length: counted }, (_, at) => images + warming + at);
  await Promise.all(
    indexes.map(async (index) => (await create(manifestIn(world.namespace, index, url, 'counted'))).ok()),
  );
  await untilReady(world, images + warming + counted);
  return glance.requests.filter(({ path }) => path.startsWith('/v2/')).length / counted;
}

/** `concurrencies`: transfers at a time; each is a run of its own. */
export async function operator(concurrencies: readonly number[]): Promise<void> {
  const program = await buildProgram();
  const stack = await startStack({ quotas: false });
  try {
    await stack.kubernetes.apply('crds');
    for (const atOnce of concurrencies.length > 0 ? concurrencies : [8]) await measure(stack, program, atOnce);
  } finally {
    await stack.stop();
  }
}
