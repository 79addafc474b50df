/** Revisions that the operator of the source creates while the target marks the images of a moved object. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GlanceConnectionFailed } from '../../src/glance/errors.ts';
import { clusterProperty, imageIDOf } from '../../src/image/model/identity.ts';
import { imageOf, uid } from './resource.ts';
import { createWorld, type World } from './world.ts';
import { createGlance, specOf } from './world-glance.ts';

const spec = specOf('a');
const newUID = '11111111-1111-4111-8111-111111111111';
const first = imageIDOf(uid, 0);
const second = imageIDOf(uid, 1);

/** `creates`: when the target has listed the images, the source creates a second one. */
async function racing(creates = true, revisions = 1): Promise<{ from: World; to: World; lists: () => number }> {
  const glance = createGlance();
  const from = createWorld({ spec: revisions === 1 ? spec : specOf('b'), glance, cluster: 'source' });
  await from.settle();
  if (revisions > 1) from.edit(spec);
  await from.settle();
  const { annotations, finalizers } = from.resource?.metadata ?? assert.fail();
  const metadata = { annotations, finalizers, uid: newUID };
  const to = createWorld({ spec, glance, cluster: 'target', inheritFrom: ['source'], metadata });
  let lists = 0;
  const { images } = to.cloud;
  to.cloud.images = {
    ...images,
    list: (...query) => {
      lists++;
      return images.list(...query);
    },
  };
  to.decide(({ op }) => {
    const properties = from.images.get(first)?.properties;
    const isBefore =
      creates && op.startsWith('patch') && properties?.[clusterProperty] === 'source' && !from.images.has(second);
    if (isBefore) from.put(imageOf({ id: second, status: 'queued', hidden: true, size: null, hash: null, properties }));
    return 'ok';
  });
  return { from, to, lists: () => lists };
}

test('a revision that the source creates between the list of the target and its mark is found by another list, and is no orphan', async () => {
  const { to, lists } = await racing();
  assert.ok((await to.settle()).isSettled, to.ready());
  assert.deepEqual([...to.images.keys()], [first], 'the new one is not needed');
  const afterMove = lists();
  await to.settle();
  assert.equal(lists(), afterMove, 'a settled object costs no more lists');
  to.delete();
  await to.settle();
  assert.equal(to.images.size, 0);
});

test('a move in which the source creates nothing costs one more list, of visible and of hidden images', async () => {
  for (const revisions of [1, 2]) {
    const { to, lists } = await racing(false, revisions);
    assert.ok((await to.settle()).isSettled, to.ready());
    assert.deepEqual([to.images.size, lists()], [revisions, 4]);
  }
});

test('a list that fails after the marks were set is made up for by the next reconcile', async () => {
  const { from, to } = await racing();
  const { images } = to.cloud;
  let isFailing = true;
  to.cloud.images = {
    ...images,
    list: (...query) => {
      const isMarked = from.images.get(first)?.properties[clusterProperty] === 'target';
      if (!isMarked || !isFailing) return images.list(...query);
      isFailing = false;
      throw new GlanceConnectionFailed('refused', 'GlanceUnavailable', { httpStatus: 503 });
    },
  };
  assert.ok((await to.settle()).isSettled, to.ready());
  assert.equal(isFailing, false);
  assert.deepEqual([...to.images.keys()], [first]);
});
