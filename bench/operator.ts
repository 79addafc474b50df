/**
 * The cost of an image, against two bounds from the same run on the same servers: a bare loop of POST, PUT and GET on Glance, and a bare
 * controller that adds the three API writes (finalizer, status, Event) to it.
 */
import { readFileSync } from 'node:fs';
import { glanceImageType } from '../src/image/resources.ts';
import { countByVerb } from '../test/env/audit.ts';
import { raw } from '../test/env/images.ts';
import { startProxy } from '../test/env/proxy.ts';
import { type Stack, startStack } from '../test/env/stack.ts';
import { digestOf } from '../test/operator/digest.ts';
import { World } from '../test/operator/world.ts';
import { startBareController } from './bare-controller.ts';
import { buildProgram } from './program.ts';

const images = 100;
const body = raw(2 ** 20);
const digest = digestOf(body, 'sha512');

const say = (text: string) => process.stdout.write(`${text}\n`);

/** Images per second. */
async function rate(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return (images * 1000) / (performance.now() - start);
}

/** Calls `work` with each index, `atOnce` at a time. */
async function each(atOnce: number, work: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const loop = async () => {
    for (let index = next++; index < images; index = next++) await work(index);
  };
  await Promise.all(Array.from({ length: atOnce }, loop));
}

/** User and system time of a process so far, in seconds. */
function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function manifestIn(namespace: string, index: number, url: string) {
  return {
    apiVersion: `${glanceImageType.group}/${glanceImageType.version}`,
    kind: glanceImageType.kind,
    metadata: { name: `image-${index}`, namespace },
    spec: {
      cloud: { secretRef: { name: 'openstack' }, name: 'demo' },
      interval: '1h',
      image: { diskFormat: 'raw' },
      content: { http: { url, digest } },
    },
  };
}

async function bounds(stack: Stack, atOnce: number): Promise<{ loop: number; controller: number }> {
  const bare = await stack.openstack.createProject();
  const loop = await rate(() => each(atOnce, () => bare.createImage({}, body)));
  const url = 'http://127.0.0.1/image.raw';
  await using controller = await startBareController(stack.kubernetes, images, (namespace, index) =>
    manifestIn(namespace, index, url),
  );
  const status = { observedGeneration: 1 };
  const withWrites = await rate(() =>
    each(atOnce, (index) => controller.look(index, () => bare.createImage({}, body), status)),
  );
  return { loop, controller: withWrites };
}

async function measure(stack: Stack, program: readonly string[], atOnce: number): Promise<void> {
  const bound = await bounds(stack, atOnce);
  await using glance = await startProxy({ url: stack.openstack.imageUrl });
  const count = String(atOnce);
  await using world = await World.create({
    stack,
    program,
    clouds: { imageUrl: glance.url },
    flags: [
      ['--transfers', count],
      ['--transfers-per-namespace', count],
      ['--transfers-per-cloud', count],
      ['--transfers-per-host', count],
    ].flat(),
  });
  const url = world.source.add('/image.raw', { body });
  const mark = await stack.kubernetes.audit.mark();
  const cpuBefore = cpuSecondsOf(world.operator.pid);
  // Created directly at the API server: kubectl itself would take longer than the operator does.
  const path = `/apis/${glanceImageType.group}/${glanceImageType.version}/namespaces/${world.namespace}/${glanceImageType.plural}`;
  const reached = await rate(async () => {
    const manifests = Array.from({ length: images }, (_, index) => manifestIn(world.namespace, index, url));
    await Promise.all(manifests.map(async (manifest) => (await stack.kubernetes.request('POST', path, manifest)).ok()));
    for (const { metadata } of manifests) await world.ready(metadata.name);
  });
  await world.untilEvents('Ready', images);
  const cpu = (cpuSecondsOf(world.operator.pid) - cpuBefore) / images;
  const writes = await stack.kubernetes.audit.writes(world.user, mark);
  const calls = glance.requests.filter((request) => request.path.startsWith('/v2/'));
  say(
    [
      `${atOnce} at a time: ${reached.toFixed(1)} images/s`,
      `${(reached / bound.loop).toFixed(2)} of the loop (${bound.loop.toFixed(1)}/s)`,
      `${(reached / bound.controller).toFixed(2)} of the bare controller (${bound.controller.toFixed(1)}/s)`,
      `${cpu.toFixed(3)} CPU s an image`,
      `API writes ${(writes.length / images).toFixed(2)} ${JSON.stringify(countByVerb(writes))}`,
      `Glance calls ${(calls.length / images).toFixed(2)}`,
      `RSS ${Math.round(world.operator.rss() / 2 ** 20)} MiB`,
    ].join('; '),
  );
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
