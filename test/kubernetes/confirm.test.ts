/** The comparison of a cached object with that of the API server, before something outside the cluster is changed. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { z } from 'zod';
import { createClient } from '../../src/kubernetes/client.ts';
import { createStore } from '../../src/kubernetes/reflector.ts';
import type { ResourceType } from '../../src/kubernetes/resource.ts';
import { type Confirmation, createKindResources } from '../../src/kubernetes/resources.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { type Answer, connect, json, never, startServer, status } from './server.ts';
import { readable, type Thing, thing, thingType } from './things.ts';

const ours = 'example.com/ours';
const own = 'example.com/own';
const abandon = 'example.com/abandon';
const deletionTimestamp = '2026-01-01T00:00:00Z';

function guarded(version: string, more: object = {}): Thing {
  const object = thing('a', version);
  return { ...object, metadata: { ...object.metadata, finalizers: [ours], ...more } };
}

type Shown = Thing & { status?: unknown };
const shownType: ResourceType<Shown> = {
  ...thingType,
  parse: (object) => ({
    ...thingType.parse(object),
    status: z.looseObject({ status: z.unknown().optional() }).parse(object).status,
  }),
};

async function setup(t: TestContext, cached: Thing, ...answers: Answer[]) {
  const store = createStore<Shown>({ log: silentLogger });
  const resources = createKindResources<Shown, string>({
    client: createClient(await connect(t, await startServer(t, ...answers))),
    type: shownType,
    store,
    finalizer: ours,
    ownAnnotations: [own],
    requestAnnotations: [abandon],
    events: { record: () => {} },
    log: silentLogger,
  });
  const watch = (object: Thing) =>
    store.handle({ kind: 'applied', item: readable(object), resourceVersion: object.metadata.resourceVersion });
  watch(cached);
  const echoes: boolean[] = [];
  store.subscribe((change) => echoes.push(resources.isEcho(change)));
  return { resources, watch, echoes, version: () => resources.get('default/a')?.metadata.resourceVersion };
}

const rows: readonly { what: string; cached?: Thing; now: Answer; confirmation: Confirmation }[] = [
  { what: 'an object that has a newer version is current', now: json(200, guarded('9')), confirmation: 'current' },
  {
    what: 'an object with a status that another process has written is outdated',
    now: json(200, { ...guarded('9'), status: { other: 'x' } }),
    confirmation: 'outdated',
  },
  {
    what: 'an object with another own annotation is current',
    now: json(200, guarded('9', { annotations: { [own]: 'x' } })),
    confirmation: 'current',
  },
  {
    what: 'an object that is known to be deleted is current until it is gone',
    cached: guarded('1', { deletionTimestamp }),
    now: json(200, guarded('9', { deletionTimestamp })),
    confirmation: 'current',
  },
  { what: 'an object that does not exist is gone', now: status(404, 'NotFound', 'gone'), confirmation: 'gone' },
  {
    what: 'an object in whose place another one was made is gone',
    now: json(200, guarded('9', { uid: 'another' })),
    confirmation: 'gone',
  },
  {
    what: 'an object that was edited is outdated',
    now: json(200, guarded('9', { generation: 2 })),
    confirmation: 'outdated',
  },
  {
    what: 'an object with a new annotation that says nothing of the outside is current',
    now: json(200, guarded('9', { annotations: { 'example.com/other': 'x' } })),
    confirmation: 'current',
  },
  {
    what: 'an object with a new annotation that requests something outside is outdated',
    now: json(200, guarded('9', { annotations: { [abandon]: 'true' } })),
    confirmation: 'outdated',
  },
  {
    what: 'an object whose deletion the cache does not show is outdated',
    now: json(200, guarded('9', { deletionTimestamp })),
    confirmation: 'outdated',
  },
  {
    what: 'an object that has lost the finalizer is outdated',
    now: json(200, guarded('9', { finalizers: [] })),
    confirmation: 'outdated',
  },
];
for (const { what, cached = guarded('1'), now, confirmation } of rows) {
  test(`before a change outside, ${what}`, async (t) => {
    const { resources, version } = await setup(t, cached, now);
    assert.equal(await resources.confirm(cached, never), confirmation);
    assert.equal(version(), confirmation === 'outdated' ? '9' : '1');
  });
}

test('the present state of an outdated object is known at once, and its event still counts as an edit by a user', async (t) => {
  const edited = guarded('9', { generation: 2 });
  const { resources, watch, echoes, version } = await setup(t, guarded('1'), json(200, edited));
  await resources.confirm(guarded('1'), never);
  watch(guarded('5', { generation: 2 }));
  assert.deepEqual([version(), echoes], ['9', [false]]);
});

test('an object that nothing holds is current without the finalizer', async (t) => {
  const { resources } = await setup(t, thing('a', '1'), json(200, thing('a', '9')));
  assert.equal(await resources.confirm(thing('a', '1'), never, 'nothing'), 'current');
});

test('a failed read confirms nothing and is an error', async (t) => {
  const { resources } = await setup(t, guarded('1'), status(403, 'Forbidden', 'no'));
  await assert.rejects(resources.confirm(guarded('1'), never), /Forbidden|no/);
});

test('a status that was only read in a comparison is not replaced by one that was computed before', async (t) => {
  const cached = guarded('1');
  const latest = { ...guarded('9', { generation: 2 }), status: { other: 'x' } };
  const conflict = status(409, 'Conflict', 'changed');
  const { resources } = await setup(t, cached, json(200, latest), conflict, json(200, latest));
  assert.equal(await resources.confirm(cached, never), 'outdated');
  assert.deepEqual(await resources.writeStatus(cached, { mine: 'y' }, never), { kind: 'outdated' });
});

test('an object with a status that this process has written since is current', async (t) => {
  const cached = guarded('1');
  const written = { ...guarded('2'), status: { mine: 'y' } };
  const { resources } = await setup(t, cached, json(200, written), json(200, written));
  assert.deepEqual(await resources.writeStatus(cached, { mine: 'y' }, never), { kind: 'written' });
  assert.equal(await resources.confirm(cached, never), 'current');
});
