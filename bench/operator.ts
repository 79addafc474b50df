/**
 * What the operator costs, against the bound: a bare loop of POST, PUT and GET on the same Glance in the same run.
 */
import { countByVerb } from '../test/env/audit.ts';
import { raw } from '../test/env/images.ts';
import { startProxy } from '../test/env/proxy.ts';
import { startStack } from '../test/env/stack.ts';
import { digestOf } from '../test/operator/digest.ts';
import { World } from '../test/operator/world.ts';
import { buildProgram } from './program.ts';

const images = 100;
const atOnce = 8;
const body = raw(2 ** 20);

const say = (text: string) => process.stdout.write(`${text}\n`);

/** Images a second. */
async function rate(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return (images * 1000) / (performance.now() - start);
}

const program = await buildProgram();
const stack = await startStack({ quotas: false });
try {
  await stack.kubernetes.apply('crds');
  const bare = await stack.openstack.createProject();
  const bound = await rate(async () => {
    let next = 0;
    const loop = async () => {
      while (next++ < images) await bare.createImage({}, body);
    };
    await Promise.all(Array.from({ length: atOnce }, loop));
  });
  say(`bound: ${bound.toFixed(1)} images of 1 MiB a second, ${atOnce} at a time (POST, PUT, GET)`);

  await using glance = await startProxy({ url: stack.openstack.imageUrl });
  await using world = await World.create({
    stack,
    program,
    clouds: { imageUrl: glance.url },
    flags: ['--transfers', String(atOnce), '--transfers-per-namespace', String(atOnce), '--workers', String(atOnce)],
  });
  const url = world.source.add('/image.raw', { body });
  const names = Array.from({ length: images }, (_, index) => `image-${index}`);
  const manifests = names.map((name) => ({
    apiVersion: 'glance-image-operator.dev/v1alpha1',
    kind: 'GlanceImage',
    metadata: { name, namespace: world.namespace },
    spec: {
      cloud: { secretRef: { name: 'openstack' }, name: 'demo' },
      interval: '1h',
      image: { diskFormat: 'raw' },
      content: { http: { url, digest: digestOf(body) } },
    },
  }));
  const rssBefore = world.operator.rss();
  const mark = await stack.kubernetes.audit.mark();
  // Created straight at the API server: kubectl itself would take longer than the operator does.
  const path = `/apis/glance-image-operator.dev/v1alpha1/namespaces/${world.namespace}/glanceimages`;
  const reached = await rate(async () => {
    await Promise.all(manifests.map(async (manifest) => (await stack.kubernetes.request('POST', path, manifest)).ok()));
    for (const name of names) await world.ready(name);
  });
  await world.untilEvents('Ready', images);
  const writes = await stack.kubernetes.audit.writes(world.user, mark);
  const calls = glance.requests.filter((request) => request.path.startsWith('/v2/'));
  say(`operator: ${reached.toFixed(1)} images a second, ${(reached / bound).toFixed(2)} of the bound`);
  say(`API writes an image: ${(writes.length / images).toFixed(2)} ${JSON.stringify(countByVerb(writes))}`);
  say(`Glance calls an image: ${(calls.length / images).toFixed(2)}`);
  say(
    `RSS: ${Math.round(rssBefore / 2 ** 20)} MiB at the start, ${Math.round(world.operator.rss() / 2 ** 20)} MiB after ${images} images`,
  );
} finally {
  await stack.stop();
}
