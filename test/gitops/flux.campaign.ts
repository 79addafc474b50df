/**
 * Flux's real kustomize-controller applies images from a source, waits for them, and prunes them.
 *
 * Invariant: a Kustomization is Ready when its images are in Glance, fails when they are impossible, and leaves nothing
 * behind.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { z } from 'zod';
import { findCondition } from '../../src/api/conditions.ts';
import type { GlanceImage } from '../../src/api/glanceimage.ts';
import { apiVersion, kind, reconcileAtAnnotation } from '../../src/api/group.ts';
import { raw } from '../env/images.ts';
import { eventually } from '../env/wait.ts';
import { digestOf } from '../operator/digest.ts';
import { World } from '../operator/world.ts';
import { Flux, readyOf } from './flux.ts';
import { yamlBlocks } from './pages.ts';

const body = raw(512 * 1024);
/** Longer than any test waits: an earlier failure is not the timeout. */
const wait = { wait: true, timeout: '5m', retryInterval: '1s' };

const templateSchema = z.object({ data: z.object({ image: z.string() }) });

/** Of the kinds whose definitions are here; helm-controller's are not to be had as a module. */
const shownSchema = z.looseObject({
  kind: z.enum(['Kustomization', 'OCIRepository']),
  metadata: z.looseObject({}),
  spec: z.looseObject({ healthCheckExprs: z.array(z.unknown()).optional() }),
});

function shown(page: 'flux.md' | 'publish.md' = 'flux.md'): z.infer<typeof shownSchema>[] {
  const text = readFileSync(join(import.meta.dirname, '../../docs/how-to', page), 'utf8');
  return yamlBlocks(text).flatMap((object) => shownSchema.safeParse(object).data ?? []);
}

describe('Flux', () => {
  let world: World;
  let flux: Flux;
  let url: string;
  before(async () => {
    world = await World.create();
    flux = await Flux.start(world);
    url = world.source.add('/image.raw', { body });
  });
  after(async () => {
    await flux?.[Symbol.asyncDispose]();
    await world?.[Symbol.asyncDispose]();
  });

  const image = (name: string, more: Record<string, unknown> = {}, at = url, digest = digestOf(body)) => ({
    apiVersion,
    kind,
    metadata: { name, namespace: world.namespace },
    spec: {
      cloud: { secretRef: { name: 'openstack' }, name: 'demo' },
      image: { diskFormat: 'raw' },
      content: { http: { url: at, digest } },
      ...more,
    },
  });
  const failed = (name: string, message: RegExp) =>
    flux.until(name, `failed with ${message}`, (status) => {
      const ready = readyOf(status);
      return ready?.status === 'False' && message.test(ready.message);
    });

  async function namesInGlance(): Promise<string[]> {
    return (await world.images()).map(({ name, status }) => `${name} ${status}`).sort();
  }

  test('Flux waits until every image is active in Glance, and prunes images that leave the source', async () => {
    const released = Promise.withResolvers<void>();
    const held = world.source.add('/held.raw', { body, gate: { at: 1024, released: released.promise } });
    const first = await flux.publish('images', { 'a.yaml': image('a'), 'b.yaml': image('b', {}, held) });
    await flux.kustomization('images', wait);
    await world.reason('b', 'Transferring');
    await world.ready('a');
    await sleep(5_000);
    assert.notEqual(readyOf(await flux.get('images'))?.status, 'True');
    released.resolve();
    await flux.ready('images', first);
    assert.deepEqual(await namesInGlance(), ['a active', 'b active']);

    const second = await flux.publish('images', { 'a.yaml': image('a') });
    await flux.ready('images', second);
    await world.gone('b');
    assert.deepEqual(await namesInGlance(), ['a active']);
  });

  test('Flux applies unchanged images without a write', async () => {
    const mark = await world.stack.kubernetes.audit.mark();
    // Another revision of the same objects, so that it looks again.
    const revision = await flux.publish('images', { 'renamed.yaml': image('a') });
    await flux.ready('images', revision);
    const records = await world.stack.kubernetes.audit.read(flux.user, mark);
    const writes = records.filter(({ resource, verb, uri }) => {
      return (
        resource === 'glanceimages' && ['patch', 'apply', 'update', 'create'].includes(verb) && !/dryRun/.test(uri)
      );
    });
    assert.deepEqual(writes, []);
    assert.ok(records.some(({ resource, uri }) => resource === 'glanceimages' && /dryRun=All/.test(uri)));
  });

  test('Flux fails before its timeout on an impossible image, and becomes Ready after the correction', async () => {
    const other = digestOf(raw(4096));
    await flux.publish('broken', { 'c.yaml': image('c', {}, url, other) });
    const start = performance.now();
    await flux.kustomization('broken', wait);
    const named = `GlanceImage/${world.namespace}/c`;
    await failed('broken', new RegExp(`failed early due to stalled resources: \\[${named} status: 'Failed'`));
    assert.ok(performance.now() - start < 60_000);
    const mended = await flux.publish('broken', { 'c.yaml': image('c') });
    await flux.ready('broken', mended);
  });

  test('Flux can be configured to fail for a missing file', async () => {
    const [expressions] = shown().flatMap(({ spec }) => spec.healthCheckExprs ?? []);
    const missing = `${world.source.url}/to-come.raw`;
    await flux.publish('told', { 'h.yaml': image('h', {}, missing) });
    await flux.kustomization('told', { ...wait, healthCheckExprs: [expressions] });
    await failed('told', /failed early/);
    await world.reason('h', 'SourceNotFound');
    const mended = await flux.publish('told', { 'h.yaml': image('h') });
    await flux.ready('told', mended);
  });

  test('Flux waits for a roll, fails for an impossible one, and is ready again after the way back', async () => {
    const next = raw(512 * 1024, 'the next build');
    const released = Promise.withResolvers<void>();
    const at = world.source.add('/next.raw', { body: next, gate: { at: 1024, released: released.promise } });
    const first = await flux.publish('rolling', { 'r.yaml': image('r') });
    await flux.kustomization('rolling', wait);
    await flux.ready('rolling', first);
    const firstID = (await world.ready('r')).status.imageID;

    const second = await flux.publish('rolling', { 'r.yaml': image('r', {}, at, digestOf(next)) });
    await world.reason('r', 'Transferring');
    assert.notEqual((await flux.get('rolling')).lastAppliedRevision, second);
    released.resolve();
    await flux.ready('rolling', second);
    const secondID = (await world.ready('r')).status.imageID;
    assert.notEqual(secondID, firstID);

    await flux.publish('rolling', { 'r.yaml': image('r', {}, url, digestOf(raw(4096))) });
    await failed('rolling', /failed early due to stalled resources/);
    assert.equal((await world.get('r'))?.status.imageID, secondID);
    const back = await flux.publish('rolling', { 'r.yaml': image('r') });
    await flux.ready('rolling', back);
    assert.equal((await world.ready('r')).status.imageID, firstID);
  });

  test('Flux stays ready while a followed image rolls, while a roll fails, and while its list is wrong', async () => {
    const next = raw(512 * 1024, 'the next release');
    const released = Promise.withResolvers<void>();
    const list = (text: string) => world.source.add('/followed/SHA256SUMS', { body: Buffer.from(text) });
    const lineOf = (file: Buffer) => `${digestOf(file).slice('sha256:'.length)}  disk.raw\n`;
    const at = world.source.add('/followed/disk.raw', { body });
    const http = { url: at, digestFrom: { checksums: { url: list(lineOf(body)) } } };
    const followed = image('w', { content: { http, update: { interval: '24h' } } });
    await flux.kustomization('followed', { ...wait, interval: '1s' });
    await flux.ready('followed', await flux.publish('followed', { '0.yaml': followed }));

    const seen: (string | undefined)[] = [];
    /** Has the list read again, and Flux apply and wait once more while the image is as wanted. */
    const during = async (step: string, reason: string) => {
      await world.annotate('w', reconcileAtAnnotation, step);
      const updating = ({ status }: GlanceImage) => findCondition(status.conditions, 'Updating')?.reason === reason;
      await world.until('w', `Updating with ${reason}`, updating);
      const revision = await flux.publish('followed', { [`${step}.yaml`]: followed });
      await flux.until('followed', `Ready during ${step}`, (status) => {
        seen.push(readyOf(status)?.status);
        return readyOf(status)?.status === 'True' && status.lastAppliedRevision === revision;
      });
    };
    list(lineOf(next));
    world.source.add('/followed/disk.raw', { body: next, gate: { at: 1024, released: released.promise } });
    await during('roll', 'Transferring');
    assert.equal(
      (await world.get('w'))?.status.source?.digest,
      digestOf(body),
      'the newer file is still being downloaded',
    );
    released.resolve();
    await world.until('w', 'rolled', ({ status }) => status.source?.digest === digestOf(next));
    list(lineOf(raw(4096)));
    await during('mismatch', 'DigestMismatch');
    list('nothing\n');
    await during('nothing', 'DigestNotFound');
    assert.ok(!seen.includes('False'), seen.join());
  });

  test('Flux fills the ID of the image in, and applies the manifests again as soon as another image is promoted', async () => {
    const publish = { configMapRef: { name: 'ubuntu-image' } };
    await world.apply('ubuntu', { ...image('ubuntu').spec, publish });
    const first = (await world.ready('ubuntu')).status.imageID;
    const template = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'workers', namespace: world.namespace },
      // biome-ignore lint/suspicious/noTemplateCurlyInString: Flux fills it in.
      data: { image: '${imageID}' },
    };
    const { postBuild } =
      shown('publish.md').find(({ spec }) => spec['postBuild'] !== undefined)?.spec ?? assert.fail();
    await flux.publish('clusters', { 'workers.yaml': template });
    await flux.kustomization('clusters', { postBuild });
    const shows = (imageID: string | undefined) =>
      eventually(
        async () => {
          const path = `/api/v1/namespaces/${world.namespace}/configmaps/workers`;
          const { json } = await world.stack.kubernetes.request('GET', path);
          return templateSchema.safeParse(json).data?.data.image === imageID;
        },
        () => `the template never shows ${imageID}:\n${flux.log.slice(-20).join('')}`,
      );
    await shows(first);
    const next = raw(512 * 1024, 'the next ubuntu');
    const at = world.source.add('/ubuntu.raw', { body: next });
    await world.apply('ubuntu', { ...image('ubuntu', {}, at, digestOf(next)).spec, publish });
    const second = (await world.ready('ubuntu')).status.imageID;
    assert.notEqual(second, first);
    await shows(second);
  });

  test('Flux accepts all manifests of the pages about it', async () => {
    const objects = [...shown(), ...shown('publish.md')];
    assert.ok(objects.length >= 5);
    for (const object of objects) {
      const metadata = { ...object.metadata, namespace: world.namespace };
      const args = ['apply', '--dry-run=server', '--validate=strict', '-f', '-'];
      const input = stringify({ ...object, metadata });
      const { code, stderr } = await world.stack.kubernetes.kubectl(args, { input });
      assert.equal(code, 0, stderr);
    }
  });

  test('Flux accepts an image that is applied before its Secret', async () => {
    const cloud = { secretRef: { name: 'late' }, name: 'demo' };
    const revision = await flux.publish('early', { 'd.yaml': image('d', { cloud }) });
    await flux.kustomization('early', wait);
    await world.reason('d', 'SecretNotFound');
    await sleep(5_000);
    assert.equal(readyOf(await flux.get('early'))?.status, 'Unknown');
    await world.writeSecret('late', { 'clouds.yaml': await world.project.cloudsYaml() });
    await flux.ready('early', revision);
  });

  test('Flux does not wait for an image that was suspended when it was ready', async () => {
    const first = await flux.publish('paused', { 'e.yaml': image('e') });
    await flux.kustomization('paused', wait);
    await flux.ready('paused', first);
    const second = await flux.publish('paused', { 'e.yaml': image('e', { suspend: true }) });
    await flux.ready('paused', second);
    await world.reason('e', 'Suspended');
  });

  test('Flux with WaitForTermination waits for the deletion of images in Glance', async () => {
    const revision = await flux.publish('going', {
      'f.yaml': image('f'),
      'g.yaml': image('g', { image: { diskFormat: 'raw', protected: true } }),
    });
    await flux.kustomization('going', { ...wait, deletionPolicy: 'WaitForTermination' });
    await flux.ready('going', revision);
    await flux.delete('going');
    await flux.gone('going');
    const left = await namesInGlance();
    assert.ok(!left.some((name) => /^[fg] /.test(name)), left.join());
  });
});
