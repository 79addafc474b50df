/**
 * What very many resources cost: until they are all Ready, at rest, at a restart, and when some of their images drift. Images
 * without data, so that it is the operator that is measured; the bound is a bare loop of POSTs on the same Glance.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { findCondition, isConvergedReason } from '../src/api/conditions.ts';
import { glanceImageSchema } from '../src/api/glanceimage.ts';
import { countByVerb } from '../test/env/audit.ts';
import type { Project } from '../test/env/project.ts';
import { changesSomething, type FaultProxy, type ProxiedRequest, startProxy } from '../test/env/proxy.ts';
import { startStack } from '../test/env/stack.ts';
import { World } from '../test/operator/world.ts';
import { startBareController } from './bare-controller.ts';
import { buildProgram } from './program.ts';

const atOnce = 8;
/** A bound is a rate, for which that many are enough. */
const boundSample = 100;
const drifting = [0, 1, 100];
const patience = 3_600_000;

const say = (text: string) => process.stdout.write(`${text}\n`);

export async function scale(sizes: readonly number[]): Promise<void> {
  const program = await buildProgram();
  for (const size of sizes.length > 0 ? sizes : [1_000]) await measure(size, program);
}

async function measure(size: number, program: readonly string[]): Promise<void> {
  const stack = await startStack({ quotas: false });
  try {
    await stack.kubernetes.apply('crds');
    await using glance = await startProxy({ url: stack.openstack.imageUrl });
    const flags = ['--workers', String(atOnce)];
    await using world = await World.create({ stack, clouds: { imageUrl: glance.url }, flags, program });
    const rssEmpty = world.operator.rss();
    await world.operator.stop();

    const bare = await stack.openstack.createProject();
    const sample = Math.min(size, boundSample);
    const bound = () => rate(sample, () => inParallel(range(sample), () => bare.createImage(fields)));

    const path = `/apis/glance-image-operator.dev/v1alpha1/namespaces/${world.namespace}/glanceimages`;
    await inParallel(range(size), async (index) =>
      (await stack.kubernetes.request('POST', path, manifest(world.namespace, index))).ok(),
    );
    // Before and after: the machine may have become busier meanwhile.
    say(`${size} resources exist; next: the bound, and all Ready`);
    const before = await bound();
    const reached = await creation(world, glance, size, rssEmpty);
    const after = await bound();
    const withWrites = await bareController(world, bare, sample);
    say(`bound: ${before.toFixed(1)} POSTs a second before and ${after.toFixed(1)} after, ${atOnce} at a time`);
    say(`bound with the writes to the API server that any controller needs: ${withWrites.toFixed(1)} a second`);
    say(
      `all Ready: ${reached.toFixed(1)} a second, ${((2 * reached) / (before + after)).toFixed(2)} of the first bound ` +
        `and ${(reached / withWrites).toFixed(2)} of the second`,
    );
    await rest(world, glance, size);
    await restart(world, glance, size);
    for (const count of drifting.filter((some) => some < size)) await drift(world, glance, count);
    say(`RSS at the end: ${mebibytes(world.operator.rss())} MiB`);
  } finally {
    await stack.stop();
  }
}

/** Images a second of a controller that does nothing but what it must. */
async function bareController(world: World, project: Project, count: number): Promise<number> {
  await using controller = await startBareController(world.stack.kubernetes, manifest);
  await inParallel(range(count), (index) => controller.create(index));
  const status = (await world.get('image-0'))?.status;
  if (status === undefined) throw new Error('image-0 is gone');
  return rate(count, () =>
    inParallel(range(count), (index) => controller.look(index, () => project.createImage(fields), status)),
  );
}

const fields = {
  name: 'image',
  visibility: 'private',
  os_distro: 'ubuntu',
  hw_disk_bus: 'virtio',
  hw_qemu_guest_agent: 'yes',
};

/** The first has the shortest interval there is, and so sets the pace of the lists for all. */
function manifest(namespace: string, index: number) {
  const { name: _, visibility: __, ...properties } = fields;
  return {
    apiVersion: 'glance-image-operator.dev/v1alpha1',
    kind: 'GlanceImage',
    metadata: { name: `image-${index}`, namespace },
    spec: {
      cloud: { secretRef: { name: 'openstack' }, name: 'demo' },
      interval: index === 0 ? '10s' : '1h',
      image: { diskFormat: 'raw', properties },
    },
  };
}

async function creation(world: World, glance: FaultProxy, size: number, rssEmpty: number): Promise<number> {
  const { audit } = world.stack.kubernetes;
  const mark = await audit.mark();
  const from = glance.requests.length;
  await world.start();
  const reached = await rate(size, () => until(() => ready(world) >= size));
  // Events are sent shortly after the status that they describe.
  await calm(world);
  const writes = await audit.writes(world.user, mark);
  const calls = glance.requests.slice(from).filter(isAboutImages);
  say(`${size} images without data`);
  say(`API writes an image: ${(writes.length / size).toFixed(2)} ${JSON.stringify(countByVerb(writes))}`);
  say(`Glance calls an image: ${(calls.length / size).toFixed(2)}`);
  say(`processor time an image: ${((cpuSeconds(world) * 1000) / size).toFixed(1)} ms, with the start of the process`);
  say(`RSS: ${mebibytes(rssEmpty)} MiB without resources, ${mebibytes(world.operator.rss())} MiB with ${size}`);
  return reached;
}

/** Throws if settled resources cost a write. */
async function rest(world: World, glance: FaultProxy, size: number): Promise<void> {
  const { audit } = world.stack.kubernetes;
  const mark = await audit.mark();
  const from = glance.requests.length;
  const before = cpuSeconds(world);
  const seconds = 30;
  await sleep(seconds * 1000);
  const cpu = ((cpuSeconds(world) - before) * 100) / seconds;
  const writes = await audit.writes(world.user, mark);
  const calls = glance.requests.slice(from);
  const changes = calls.filter(changesSomething);
  say(
    `at rest for ${seconds} s: ${cpu.toFixed(1)} % of a core, ${writes.length} API writes, ${changes.length} writes to Glance, ` +
      `${calls.filter(isList).length} pages of lists`,
  );
  const ready = await readyNow(world);
  if (ready !== size) throw new Error(`${ready} of ${size} resources are Ready`);
  if (writes.length + changes.length > 0)
    throw new Error(`settled resources cost ${JSON.stringify(countByVerb(writes))}`);
}

async function readyNow({ stack, namespace }: World): Promise<number> {
  const path = `/apis/glance-image-operator.dev/v1alpha1/namespaces/${namespace}/glanceimages`;
  const list = (await stack.kubernetes.request('GET', path)).as(listSchema);
  return list.items.filter(({ status }) => isConvergedReason(findCondition(status.conditions, 'Ready')?.reason)).length;
}

const listSchema = z.object({ items: z.array(glanceImageSchema) });

async function restart(world: World, glance: FaultProxy, size: number): Promise<void> {
  const { audit } = world.stack.kubernetes;
  await world.operator.stop();
  const mark = await audit.mark();
  const from = glance.requests.length;
  const start = performance.now();
  await world.start();
  const synced = performance.now() - start;
  // Both lists are in, and nothing is left to do.
  await until(() => glance.requests.slice(from).some(({ path, status }) => isHidden(path) && status === 200));
  const listed = performance.now() - start;
  await calm(world);
  const writes = await audit.writes(world.user, mark);
  const calls = glance.requests.slice(from).filter(isAboutImages);
  const lists = calls.filter(isList).length;
  say(
    `restart: ${seconds(synced)} s to its caches, ${seconds(listed)} s until all are compared; ${writes.length} API writes; ` +
      `Glance: ${lists} pages for ${size} images and ${calls.length - lists} other calls; RSS ${mebibytes(world.operator.rss())} MiB`,
  );
}

async function drift(world: World, glance: FaultProxy, count: number): Promise<void> {
  const ids = await Promise.all(
    range(count).map(async (index) => (await world.get(`image-${index + 1}`))?.status.imageID),
  );
  await nextTick(glance);
  await inParallel(ids, (id) => world.patchImage(id, [{ op: 'replace', path: '/os_distro', value: 'other' }]));
  const from = glance.requests.length;
  const start = performance.now();
  if (count === 0) await nextTick(glance);
  else await until(() => glance.requests.slice(from).filter(({ method }) => method === 'PATCH').length >= count);
  const took = performance.now() - start;
  await sleep(1_000);
  const calls = glance.requests.slice(from).filter(isAboutImages);
  const lists = calls.filter(isList);
  const changes = lists.filter(({ path }) => path.includes('updated_at='));
  say(
    `${count} images drift: set right after ${seconds(took)} s; ${changes.length} pages of changes (visible and hidden), ` +
      `${lists.length - changes.length} of full lists, ${calls.length - lists.length} calls for images`,
  );
}

/** Resolves when a list of changes has been read that began after this call. */
async function nextTick(glance: FaultProxy): Promise<void> {
  const from = glance.requests.length;
  const isTick = ({ path }: ProxiedRequest) => isHidden(path) && path.includes('updated_at=');
  await until(() => glance.requests.slice(from).some((request) => isTick(request) && request.status === 200));
}

/** Resolves once the operator has used next to no processor time for two seconds. */
async function calm(world: World): Promise<void> {
  for (let quiet = 0; quiet < 2; ) {
    const before = cpuSeconds(world);
    await sleep(1_000);
    quiet = cpuSeconds(world) - before < 0.1 ? quiet + 1 : 0;
  }
}

async function until(done: () => boolean): Promise<void> {
  for (const end = performance.now() + patience; !done(); await sleep(100)) {
    if (performance.now() > end) throw new Error('that took too long');
  }
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const left = items.values();
  await Promise.all(
    range(atOnce).map(async () => {
      for (const item of left) await work(item);
    }),
  );
}

/** Per second. */
async function rate(count: number, work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return (count * 1000) / (performance.now() - start);
}

/** Each resource says so once in the log: images without declared data are RecordOnly. */
function ready({ operator }: World): number {
  return operator.log.filter((line) => line.includes('"reason":"RecordOnly"')).length;
}

/** User and system time; the kernel counts in hundredths. */
function cpuSeconds({ operator }: World): number {
  const fields = readFileSync(`/proc/${operator.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

const range = (length: number) => Array.from({ length }, (_, index) => index);
const isAboutImages = ({ path }: ProxiedRequest) => path.startsWith('/v2/images');
const isList = ({ path }: ProxiedRequest) => path.startsWith('/v2/images?');
const isHidden = (path: string) => path.startsWith('/v2/images?') && path.includes('os_hidden=true');
const seconds = (ms: number) => (ms / 1000).toFixed(1);
const mebibytes = (bytes: number) => Math.round(bytes / 2 ** 20);
