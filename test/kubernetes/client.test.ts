import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { createClient } from '../../src/kubernetes/client.ts';
import { isConflict, isInvalid } from '../../src/kubernetes/errors.ts';
import { metadataOnly } from '../../src/kubernetes/resource.ts';
import { secretMetadataType, secretType } from '../../src/kubernetes/secret.ts';
import { type Answer, connect, json, lines, never, object, startServer, status } from './server.ts';
import { thingType } from './things.ts';

async function setup(t: TestContext, ...answers: Answer[]) {
  const server = await startServer(t, ...answers);
  return { server, client: createClient(await connect(t, server)) };
}

const list = (items: unknown[], resourceVersion: string, next = '') =>
  json(200, { kind: 'ThingList', metadata: { resourceVersion, continue: next }, items });

const at = { namespace: 'default', name: 'a' };

test('a get returns the parsed object, or undefined if it does not exist', async (t) => {
  const { server, client } = await setup(t, json(200, object('a', '7')), status(404, 'NotFound', 'gone'));
  assert.equal((await client.get(thingType, at, never))?.metadata.resourceVersion, '7');
  assert.equal(await client.get(thingType, at, never), undefined);
  assert.equal(server.seen[0]?.path, '/apis/example.com/v1/namespaces/default/things/a');
});

test('an object that is not what its type says is an error of the get that asked for it', async (t) => {
  const { client } = await setup(t, json(200, object('a', '7', { spec: { size: 'big' } })));
  await assert.rejects(client.get(thingType, at, never), /spec\.size/);
});

test('a list follows its pages and adds apiVersion and kind where the server left them out', async (t) => {
  const { apiVersion: _, kind: __, ...bare } = object('b', '2');
  const { server, client } = await setup(t, list([object('a', '1')], '9', 'token'), list([bare], '9'));
  const scope = { labelSelector: 'x=y' };
  const first = await client.listPage(thingType, scope, undefined, never);
  const {
    items: others,
    resourceVersion,
    ...end
  } = await client.listPage(thingType, scope, first.continueToken, never);
  assert.deepEqual(end, {});
  const items = [...first.items, ...others];
  assert.deepEqual(
    items.map((item) => [item.kind, item.object.metadata.name]),
    [
      ['readable', 'a'],
      ['readable', 'b'],
    ],
  );
  assert.equal(resourceVersion, '9');
  assert.equal(server.seen[0]?.path, '/apis/example.com/v1/things');
  assert.equal(server.seen[0]?.query.toString(), 'labelSelector=x%3Dy&limit=500');
  assert.equal(server.seen[1]?.query.get('continue'), 'token');
});

test('one unreadable object does not hide the others', async (t) => {
  const { client } = await setup(t, list([object('bad', '1', { spec: {} }), object('good', '2')], '9'));
  const { items } = await client.listPage(thingType, {}, undefined, never);
  const [bad, good] = items;
  assert.equal(good?.kind, 'readable');
  assert.ok(bad?.kind === 'unreadable');
  assert.equal(bad.object.metadata.name, 'bad');
  assert.match(bad.problem, /spec\.size/);
});

test('a deletion names the object that is meant: in its version, or, with all that it owns, in any version', async (t) => {
  const { server, client } = await setup(t, json(200, {}));
  const thing = thingType.parse(object('a', '7'));
  await client.delete(thingType, thing, never);
  await client.deleteWithOwned(thingType, thing, never);
  assert.deepEqual(
    server.seen.map(({ method, path, body }) => [method, path, JSON.parse(body)]),
    [
      { preconditions: { uid: 'uid-a', resourceVersion: '7' } },
      { propagationPolicy: 'Background', preconditions: { uid: 'uid-a' } },
    ].map((how) => [
      'DELETE',
      '/apis/example.com/v1/namespaces/default/things/a',
      { apiVersion: 'v1', kind: 'DeleteOptions', ...how },
    ]),
  );
});

test('managedFields are not kept, and of the last applied configuration only the key', async (t) => {
  const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';
  const annotations = { [lastApplied]: '{…}', mine: 'yes' };
  const metadata = { ...object('a', '1').metadata, managedFields: [{ manager: 'x' }], annotations };
  const { client } = await setup(t, json(200, { ...object('a', '1'), metadata }));
  const found = await client.get(thingType, at, never);
  assert.equal(found?.metadata['managedFields'], undefined);
  assert.deepEqual(found?.metadata['annotations'], { ...annotations, [lastApplied]: '' });
});

test('an apply is server-side, forced, by our field manager, and names kind and uid', async (t) => {
  const { server, client } = await setup(t, json(200, object('a', '8')));
  const metadata = { name: 'a', namespace: 'default', uid: 'u' };
  await client.applyStatus(thingType, { metadata, status: { phase: 'Ready' } }, never);
  const [seen] = server.seen;
  assert.equal(seen?.method, 'PATCH');
  assert.equal(seen?.path, '/apis/example.com/v1/namespaces/default/things/a/status');
  assert.equal(seen?.query.toString(), 'fieldManager=glance-image-operator&force=true');
  assert.equal(seen?.headers['content-type'], 'application/apply-patch+yaml');
  assert.deepEqual(JSON.parse(seen?.body ?? ''), {
    apiVersion: 'example.com/v1',
    kind: 'Thing',
    metadata,
    status: { phase: 'Ready' },
  });
});

test("an apply meant for another uid is a conflict, in both forms of the server's response", async (t) => {
  const immutable = { details: { causes: [{ reason: 'FieldValueInvalid', field: 'metadata.uid' }] } };
  const { client } = await setup(
    t,
    status(409, 'Conflict', 'uid mismatch: no existing object was found'),
    status(422, 'Invalid', 'metadata.uid: Invalid value: field is immutable', immutable),
    status(422, 'Invalid', 'spec.size: Invalid value'),
  );
  const apply = () => client.applyStatus(thingType, { metadata: { ...at, uid: 'u' }, status: {} }, never);
  await assert.rejects(apply(), isConflict);
  await assert.rejects(apply(), isConflict);
  await assert.rejects(apply(), isInvalid);
});

test('a watch yields what happened, bookmarks included', async (t) => {
  const events = [
    { type: 'ADDED', object: object('a', '1') },
    { type: 'MODIFIED', object: object('a', '2', { spec: {} }) },
    { type: 'DELETED', object: object('a', '3') },
    { type: 'BOOKMARK', object: { kind: 'Thing', metadata: { resourceVersion: '9' } } },
  ];
  const { server, client } = await setup(t, lines(...events));
  const seen: unknown[] = [];
  const options = { resourceVersion: '0', timeoutSeconds: 250 };
  for await (const event of client.watch(thingType, { namespace: 'default' }, options, never))
    seen.push([event.kind, event.kind === 'bookmark' ? '' : event.item.kind, event.resourceVersion]);
  assert.deepEqual(seen, [
    ['applied', 'readable', '1'],
    ['applied', 'unreadable', '2'],
    ['deleted', 'readable', '3'],
    ['bookmark', '', '9'],
  ]);
  assert.equal(
    server.seen[0]?.query.toString(),
    'watch=true&allowWatchBookmarks=true&timeoutSeconds=250&resourceVersion=0',
  );
});

test('a watch from no version is a streaming list, whose end is marked', async (t) => {
  const mark = { 'k8s.io/initial-events-end': 'true' };
  const { server, client } = await setup(
    t,
    lines(
      { type: 'ADDED', object: object('a', '1') },
      { type: 'BOOKMARK', object: { kind: 'Thing', metadata: { resourceVersion: '8' } } },
      { type: 'BOOKMARK', object: { kind: 'Thing', metadata: { resourceVersion: '9', annotations: mark } } },
    ),
  );
  const ends: unknown[] = [];
  for await (const event of client.watch(thingType, {}, { timeoutSeconds: 250 }, never))
    ends.push(event.kind === 'bookmark' ? event.endsList : event.kind);
  assert.deepEqual(ends, ['applied', false, true]);
  assert.equal(
    server.seen[0]?.query.toString(),
    'watch=true&allowWatchBookmarks=true&timeoutSeconds=250&sendInitialEvents=true&resourceVersionMatch=NotOlderThan',
  );
});

test('an ERROR event and a line cut short end a watch with an error', async (t) => {
  const gone = { type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' } };
  const cut: Answer = (response) => void response.writeHead(200).end('{"type":"ADD');
  const { client } = await setup(t, lines(gone), cut);
  const options = { resourceVersion: '0', timeoutSeconds: 250 };
  await assert.rejects(client.watch(thingType, {}, options, never).next(), /410 Expired for .*: too old/);
  await assert.rejects(client.watch(thingType, {}, options, never).next(), /not JSON/);
});

test('a list of Secrets requests only metadata, and a get hides the decoded values', async (t) => {
  const secret = { metadata: object('s', '1').metadata, data: { password: Buffer.from('hunter2').toString('base64') } };
  const { server, client } = await setup(t, list([secret], '1'), json(200, secret));
  const { items } = await client.listPage(secretMetadataType, {}, undefined, never);
  assert.match(server.seen[0]?.headers.accept ?? '', /as=PartialObjectMetadataList;g=meta\.k8s\.io;v=v1/);
  assert.ok(!inspect(items, { depth: 9 }).includes('aHVudGVyMg'));
  const live = await client.get(secretType, { namespace: 'default', name: 's' }, never);
  assert.equal(live?.data.get('password')?.reveal(), 'hunter2');
  assert.ok(!inspect(live, { depth: 9 }).includes('hunter2'));
  assert.equal(server.seen[1]?.path, '/api/v1/namespaces/default/secrets/s');
});

test('any type can be read as metadata only', async (t) => {
  const { server, client } = await setup(t, json(200, object('a', '1', { spec: { size: 'whatever' } })));
  const found = await client.get(metadataOnly(thingType), at, never);
  assert.deepEqual(Object.keys(found ?? {}), ['metadata']);
  assert.match(server.seen[0]?.headers.accept ?? '', /as=PartialObjectMetadata;/);
});
