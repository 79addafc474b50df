import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createClient } from '../../src/kubernetes/client.ts';
import { addFinalizer, removeFinalizer } from '../../src/kubernetes/finalizer.ts';
import { type Answer, connect, json, never, startServer, status } from './server.ts';
import { type Thing, thing, thingType } from './things.ts';

const ours = 'example.com/ours';
const refused = status(422, 'Invalid', 'the test operation failed');
const gone = status(404, 'NotFound', 'gone');

function withFinalizers(finalizers: string[], more: object = {}): Thing {
  const object = thing('a', '1');
  return { ...object, metadata: { ...object.metadata, finalizers, ...more } };
}

async function setup(t: TestContext, ...answers: Answer[]) {
  const server = await startServer(t, ...answers);
  const client = createClient(await connect(t, server));
  const patches = () => server.seen.filter((each) => each.method === 'PATCH').map((each) => JSON.parse(each.body));
  return { server, client, patches };
}

test('a finalizer is added next to foreign ones, and the patch tests its assumptions', async (t) => {
  const { server, client, patches } = await setup(t, json(200, withFinalizers(['other', ours])));
  const added = await addFinalizer(client, thingType, withFinalizers(['other']), ours, never);
  assert.deepEqual(added?.metadata.finalizers, ['other', ours]);
  assert.equal(server.seen[0]?.headers['content-type'], 'application/json-patch+json');
  assert.deepEqual(patches(), [
    [
      { op: 'test', path: '/metadata/uid', value: 'uid-a' },
      { op: 'test', path: '/metadata/finalizers', value: ['other'] },
      { op: 'add', path: '/metadata/finalizers', value: ['other', ours] },
    ],
  ]);
});

test('an object that has it already costs no call', async (t) => {
  const { server, client } = await setup(t, gone);
  const object = withFinalizers([ours]);
  assert.equal(await addFinalizer(client, thingType, object, ours, never), object);
  assert.equal(server.seen.length, 0);
});

test('an annotation that is missing is added alone', async (t) => {
  const { client, patches } = await setup(t, json(200, withFinalizers([ours], { annotations: { a: 'b' } })));
  await addFinalizer(client, thingType, withFinalizers([ours]), ours, never, { name: 'a', value: 'b' });
  assert.deepEqual(
    patches()[0].map(({ op, path }: { op: string; path: string }) => `${op} ${path}`),
    ['test /metadata/uid', 'test /metadata/finalizers', 'test /metadata/annotations', 'add /metadata/annotations'],
  );
});

test('a finalizer that another client removes while only an annotation is added is not put back', async (t) => {
  const { server, client } = await setup(t, refused, json(200, withFinalizers([])));
  const annotation = { name: 'a', value: 'b' };
  assert.equal(await addFinalizer(client, thingType, withFinalizers([ours]), ours, never, annotation), undefined);
  assert.deepEqual(
    server.seen.map(({ method }) => method),
    ['PATCH', 'GET'],
  );
});

test('a finalizer is added to the current list after a concurrent change', async (t) => {
  const { client, patches } = await setup(
    t,
    refused,
    json(200, withFinalizers(['new'])),
    json(200, withFinalizers(['new', ours])),
  );
  await addFinalizer(client, thingType, thing('a', '1'), ours, never);
  assert.deepEqual(
    patches().map((patch) => patch[2].value),
    [[ours], ['new', ours]],
  );
});

test('an object that is gone or being deleted gets none', async (t) => {
  const deleting = withFinalizers([], { deletionTimestamp: '2026-01-01T00:00:00Z' });
  const { client } = await setup(t, gone, refused, json(200, deleting));
  assert.equal(await addFinalizer(client, thingType, thing('a', '1'), ours, never), undefined);
  assert.equal(await addFinalizer(client, thingType, thing('a', '1'), ours, never), undefined);
  assert.equal(await addFinalizer(client, thingType, deleting, ours, never), undefined);
});

test('a successor of the same name is left alone', async (t) => {
  const { client, patches } = await setup(t, refused, json(200, thing('a', '2', { uid: 'another' })));
  assert.equal(await addFinalizer(client, thingType, thing('a', '1'), ours, never), undefined);
  assert.equal(patches().length, 1);
});

test('a finalizer is removed by its index, and no other is touched', async (t) => {
  const { client, patches } = await setup(t, json(200, withFinalizers(['other', 'more'])));
  await removeFinalizer(client, thingType, withFinalizers(['other', ours, 'more']), ours, never);
  assert.deepEqual(patches(), [
    [
      { op: 'test', path: '/metadata/uid', value: 'uid-a' },
      { op: 'test', path: '/metadata/finalizers/1', value: ours },
      { op: 'remove', path: '/metadata/finalizers/1' },
    ],
  ]);
});

test('the removal of a finalizer with a lost response is found done at the next attempt', async (t) => {
  const { server, client } = await setup(t, refused, json(200, withFinalizers(['other'])));
  await removeFinalizer(client, thingType, withFinalizers(['other', ours]), ours, never);
  assert.equal(server.seen.length, 2);
});

test('removing from an object that is gone is success', async (t) => {
  const { client } = await setup(t, gone);
  await removeFinalizer(client, thingType, withFinalizers([ours]), ours, never);
});

test('other rejections of a patch are thrown', async (t) => {
  const { client } = await setup(t, status(403, 'Forbidden', 'no'));
  await assert.rejects(addFinalizer(client, thingType, thing('a', '1'), ours, never), /Forbidden/);
});
