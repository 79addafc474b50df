/** A good and a failing roll of a followed publisher, as Flux and Argo CD see them. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { findCondition } from '../../src/api/conditions.ts';
import { parseGlanceImage } from '../../src/api/glanceimage.ts';
import { apiVersion, plural, reconcileAtAnnotation } from '../../src/api/group.ts';
import { raw } from '../env/images.ts';
import { eventually } from '../env/wait.ts';
import { digestOf } from '../operator/digest.ts';
import { World } from '../operator/world.ts';
import { judge } from './judge.ts';

const [first, second, third] = [raw(64 * 1024), raw(128 * 1024), raw(192 * 1024)];
const anyObject = z.looseObject({ metadata: z.looseObject({ resourceVersion: z.string() }) });

describe('a followed publisher in the eyes of Flux and Argo CD', () => {
  let world: World;
  before(async () => {
    world = await World.create();
  });
  after(() => world[Symbol.asyncDispose]());

  test('a resource stays Current and Healthy while its image rolls, while a roll fails, and while its list is wrong', async () => {
    const publish = (body: Buffer, list = `${digestOf(body).slice('sha256:'.length)}  disk.raw\n`) => ({
      url: world.source.add('/disk.raw', { body }),
      list: world.source.add('/SHA256SUMS', { body: Buffer.from(list) }),
    });
    const { url, list } = publish(first);
    const http = { url, digestFrom: { checksums: { url: list } } };
    await world.apply('rolled', { image: { diskFormat: 'raw' }, content: { http, update: { interval: '24h' } } });
    await world.ready('rolled');

    const seen = new Map<string, Record<string, unknown>>();
    const path = `/apis/${apiVersion}/namespaces/${world.namespace}/${plural}/rolled`;
    /** Looks at every version that it can get until it is as wanted, after another reading of the list. */
    const until = (what: string, wanted: (resource: ReturnType<typeof parseGlanceImage>) => boolean) =>
      eventually(
        async () => {
          const object = (await world.stack.kubernetes.request('GET', path)).as(anyObject);
          seen.set(object.metadata.resourceVersion, object);
          return wanted(parseGlanceImage(object));
        },
        () => what,
      );
    const updating =
      (reason: string) =>
      ({ status }: ReturnType<typeof parseGlanceImage>) =>
        findCondition(status.conditions, 'Updating')?.reason === reason;

    publish(second);
    await world.annotate('rolled', reconcileAtAnnotation, 'second');
    await until('rolled', ({ status }) => status.source?.digest === digestOf(second));
    publish(second, `${digestOf(third).slice('sha256:'.length)}  disk.raw\n`);
    await world.annotate('rolled', reconcileAtAnnotation, 'third');
    await until('failed', updating('DigestMismatch'));
    publish(second, 'nothing\n');
    await world.annotate('rolled', reconcileAtAnnotation, 'nothing');
    await until('without a digest', updating('DigestNotFound'));

    assert.ok(seen.size > 3, `${seen.size} versions`);
    for (const { kstatus, argo } of await judge([...seen.values()])) {
      assert.equal(kstatus.status, 'Current', kstatus.message);
      assert.equal(argo.status, 'Healthy', argo.message);
    }
  });
});
