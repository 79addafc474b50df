/**
 * The ConfigMap of an image, on the real API server.
 *
 * Invariants: it shows the image to use, under the resource's name as its owner; a ConfigMap of another owner is never written; a
 * resource that is settled writes nothing.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { apiVersion, kind, reconcileAtAnnotation } from '../../src/api/group.ts';
import { raw } from '../env/images.ts';
import { digestOf } from './digest.ts';
import { World } from './world.ts';

const body = raw(64 * 1024);
const configMapSchema = z.object({
  metadata: z.object({
    labels: z.record(z.string(), z.string()).default({}),
    ownerReferences: z
      .array(z.object({ apiVersion: z.string(), kind: z.string(), name: z.string(), uid: z.string() }))
      .default([]),
  }),
  data: z.record(z.string(), z.string()).default({}),
});

describe('an operator that publishes images', () => {
  let world: World;
  let content: object;
  before(async () => {
    world = await World.create();
    content = { http: { url: world.source.add('/image.raw', { body }), digest: digestOf(body) } };
  });
  after(() => world[Symbol.asyncDispose]());

  const publishing = (configMap: string | undefined) => ({
    interval: '0',
    image: { diskFormat: 'raw' },
    content,
    ...(configMap && { publish: { configMapRef: { name: configMap } } }),
  });
  const pathOf = (name = '') => `/api/v1/namespaces/${world.namespace}/configmaps${name && `/${name}`}`;

  async function configMap(name: string): Promise<z.infer<typeof configMapSchema> | undefined> {
    const answer = await world.stack.kubernetes.request('GET', pathOf(name));
    return answer.status === 404 ? undefined : answer.as(configMapSchema);
  }
  async function change(name: string, patch: object): Promise<void> {
    const options = { contentType: 'application/merge-patch+json' };
    (await world.stack.kubernetes.request('PATCH', pathOf(name), patch, options)).ok();
  }
  let rounds = 0;
  async function lookAgain(name: string): Promise<void> {
    const round = String(++rounds);
    await world.annotate(name, reconcileAtAnnotation, round);
    await world.until(name, 'looked at again', ({ status }) => status.lastHandledReconcileAt === round);
  }

  test('a ConfigMap shows the image to use, is corrected, renamed, and deleted when it is not declared any more', async () => {
    await world.apply('shown', publishing('first'));
    const { metadata, status } = await world.ready('shown');
    const found = await configMap('first');
    assert.deepEqual(found?.metadata.ownerReferences, [{ apiVersion, kind, name: 'shown', uid: metadata.uid }]);
    assert.equal(found.metadata.labels['reconcile.fluxcd.io/watch'], 'Enabled');
    const { created_at: imageDate } = await world.project.getImage(status.imageID ?? '');
    const data = { imageID: status.imageID, imageName: 'shown', imageDigest: digestOf(body), imageDate };
    assert.deepEqual(found.data, data);

    const mark = await world.stack.kubernetes.audit.mark();
    await lookAgain('shown');
    const records = await world.stack.kubernetes.audit.read(world.user, mark);
    const asked = records.filter(({ resource }) => resource === 'configmaps').map(({ verb }) => verb);
    assert.deepEqual([...new Set(asked)], ['get']);

    await change('first', { data: { imageID: 'other', more: 'x' }, metadata: { labels: { mine: 'yes' } } });
    await lookAgain('shown');
    assert.deepEqual((await configMap('first'))?.data, data);
    assert.equal((await configMap('first'))?.metadata.labels['mine'], 'yes');

    await world.apply('shown', publishing('second'));
    await world.ready('shown');
    assert.deepEqual((await configMap('second'))?.data, data);
    assert.equal(await configMap('first'), undefined);

    await world.apply('shown', publishing(undefined));
    await world.ready('shown');
    assert.equal(await configMap('second'), undefined);
  });

  test('a ConfigMap follows a roll and the way back, and never names an image that cannot be used', async () => {
    const next = raw(64 * 1024, 'the next build');
    const other = { http: { url: world.source.add('/next.raw', { body: next }), digest: digestOf(next) } };
    const shown = async () => (await configMap('rolled'))?.data['imageID'] ?? assert.fail('it shows no image');
    await world.apply('rolled', publishing('rolled'));
    const first = (await world.ready('rolled')).status.imageID;
    const seen = new Set<string>();
    const watched = new AbortController();
    const watching = (async () => {
      while (!watched.signal.aborted) {
        const id = await shown();
        seen.add(id);
        assert.equal((await world.project.getImage(id)).status, 'active');
      }
    })();
    await world.apply('rolled', { ...publishing('rolled'), content: other });
    const { status } = await world.ready('rolled');
    assert.equal(await shown(), status.imageID);
    assert.equal((await configMap('rolled'))?.data['imageDigest'], digestOf(next));
    await world.apply('rolled', publishing('rolled'));
    assert.equal((await world.ready('rolled')).status.imageID, first);
    assert.equal(await shown(), first);
    watched.abort();
    await watching;
    assert.deepEqual(seen, new Set([first, status.imageID]));
  });

  test('a ConfigMap of another owner is reported and left as it is, until another name is declared', async () => {
    const foreign = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' }, data: { a: '1' } };
    (await world.stack.kubernetes.request('POST', pathOf(), foreign)).ok();
    await world.apply('careful', publishing('settings'));
    const { status } = await world.reason('careful', 'ConfigMapNotOwned');
    assert.equal((await world.project.getImage(status.imageID ?? '')).status, 'active');
    assert.deepEqual((await configMap('settings'))?.data, { a: '1' });

    await world.apply('owner', publishing('taken'));
    await world.ready('owner');
    const before = await configMap('taken');
    await world.apply('careful', publishing('taken'));
    const refused = await world.reason('careful', 'ConfigMapNotOwned');
    assert.match(refused.status.lastError?.message ?? '', /belongs to GlanceImage owner/);
    assert.deepEqual(await configMap('taken'), before);

    await world.apply('careful', publishing('its-own'));
    await world.ready('careful');
    assert.equal((await configMap('its-own'))?.data['imageName'], 'careful');
    assert.deepEqual((await configMap('settings'))?.data, { a: '1' });
  });

  test('an image that is observed is published, too', async () => {
    const image = await world.project.createImage({ name: 'of-others' }, body);
    await world.apply('mirrored', {
      interval: '0',
      managementPolicy: 'Observe',
      import: { filter: { name: 'of-others' } },
      publish: { configMapRef: { name: 'mirrored' } },
    });
    await world.ready('mirrored');
    const { data } = (await configMap('mirrored')) ?? assert.fail();
    assert.deepEqual([data['imageID'], data['imageName']], [image.id, 'of-others']);
    assert.equal(data['imageDigest'], digestOf(body, 'sha512'));
  });
});
