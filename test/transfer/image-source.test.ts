import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { digestOf, generated } from '../env/content.ts';
import type { Project } from '../env/project.ts';
import { startProxy } from '../env/proxy.ts';
import { patience } from '../env/wait.ts';
import { type Scene, useScene } from './real.ts';

const mib = 2 ** 20;
/** Another project, whose images the one of the scene cannot see. */
let other: Project;
const scene = useScene(async ({ stack }) => {
  other = await stack.openstack.createProject('source');
});

const sourceOf = (ref: string) =>
  ({ kind: 'glance', image: ref, cloud: { secretRef: { name: 'other' }, name: 'demo' } }) as const;

/** `imageUrl`: what the clouds.yaml of the source has as its image endpoint. */
async function run(ref: string, options: Parameters<Scene['plan']>[0] = {}, imageUrl?: string) {
  const plan = await scene().plan({ source: sourceOf(ref), ...options });
  const access = {
    ...scene().access,
    source: { cloud: { cloudsYaml: await other.cloudsYaml(imageUrl === undefined ? {} : { imageUrl }) } },
  };
  const signal = patience();
  const result = await scene().executor.run(plan, access, { signal, onProgress: () => {} });
  return { result, image: await scene().project.getImage(plan.imageID) };
}

test('an image of another project is copied with the credentials in the plan', async () => {
  const body = generated(2 * mib).slice(0, 2 * mib);
  const { id } = await other.createImage({}, body);
  const { result, image } = await run(id);
  assert.equal(image.status, 'active');
  assert.equal(image.os_hash_value, digestOf(body, 'sha512'));
  assert.deepEqual([result.bytes, result.url], [body.length, `glance://${id}`]);
  assert.equal(result.digest, `sha512:${digestOf(body, 'sha512')}`);
});

test('an image is found by its address too, on the server that it names and no other', async () => {
  await using there = await startProxy({ url: scene().stack.openstack.imageUrl });
  const { id } = await other.createImage({}, generated(mib).slice(0, mib));
  const { image } = await run(`${there.url}/v2/images/${id}`, {}, there.url);
  assert.equal(image.status, 'active');
  assert(there.requests.some(({ path }) => path === `/v2/images/${id}/file`));
});

test('a compressed image in Glance is decompressed, and both digests are verified', async () => {
  const inside = Buffer.concat([generated(mib).slice(0, mib), Buffer.alloc(mib)]);
  const { id } = await other.createImage({ container_format: 'compressed' }, gzipSync(inside));
  const digest = `sha256:${digestOf(inside)}`;
  const { result, image } = await run(id, { digest, digestOf: 'Image' });
  assert.deepEqual([image.size, result.compression, result.digest], [inside.length, 'gzip', digest]);
});

test('data that does not match the digest of its Glance never becomes active', async () => {
  await using there = await startProxy({ url: scene().stack.openstack.imageUrl });
  const { id } = await other.createImage({}, generated(mib).slice(0, mib));
  there.on({
    matches: ({ path }) => path === `/v2/images/${id}/file`,
    fault: { kind: 'answer', status: 200, body: 'x'.repeat(mib) },
  });
  await assert.rejects(run(`${there.url}/${id}`, {}, there.url), { code: 'DigestMismatch' });
});

test('errors of the source image name the source', async () => {
  const { id } = await other.createImage();
  await assert.rejects(run(id), { code: 'SourceNotReady', message: /is queued: its data is not there yet/ });
  await assert.rejects(run('6b1fd7a2-0000-4000-8000-00000000dead'), { code: 'SourceNotFound', httpStatus: 404 });
  await assert.rejects(run('ftp://example.com/x'), { code: 'InvalidSpec' });
});
