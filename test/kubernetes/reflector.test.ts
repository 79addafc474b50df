import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createStore, type StoreChange } from '../../src/kubernetes/reflector.ts';
import { type Item, keyOfObject } from '../../src/kubernetes/resource.ts';
import type { WatcherEvent } from '../../src/kubernetes/watcher.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { readable, type Thing, thing } from './things.ts';

function setup(namespaces?: string[]) {
  const changes: StoreChange<Thing>[] = [];
  const store = createStore<Thing>({
    ...(namespaces === undefined ? {} : { namespaces }),
    indexes: { parity: (item) => [Number(item.object.metadata.resourceVersion) % 2 === 0 ? 'even' : 'odd'] },
    log: silentLogger,
  });
  store.subscribe((change) => changes.push(change));
  const kinds = () => changes.splice(0).map((change) => `${change.kind} ${change.key}`);
  return { store, changes, kinds };
}

const restarted = (...items: Item<Thing>[]): WatcherEvent<Thing> => ({ kind: 'restarted', items });
const event = (kind: 'applied' | 'deleted', item: Item<Thing>): WatcherEvent<Thing> => ({
  kind,
  item,
  resourceVersion: item.object.metadata.resourceVersion,
});

test('a restart replaces all objects in one step and reports only differences', () => {
  const { store, kinds } = setup();
  store.handle(restarted(readable(thing('a', '1')), readable(thing('b', '2'))));
  assert.deepEqual(kinds(), ['added default/a', 'added default/b']);
  store.handle(restarted(readable(thing('b', '2')), readable(thing('c', '3'))));
  assert.deepEqual(kinds(), ['deleted default/a', 'added default/c']);
  assert.equal(store.size, 2);
});

test('an event with a known resourceVersion reports no change', () => {
  const { store, kinds } = setup();
  store.handle(event('applied', readable(thing('a', '1'))));
  store.handle(event('applied', readable(thing('a', '1'))));
  assert.deepEqual(kinds(), ['added default/a']);
});

test('an object created again under the same name is a deletion and an addition', () => {
  const { store, kinds } = setup();
  store.handle(restarted(readable(thing('a', '1', { uid: 'first' }))));
  store.handle(restarted(readable(thing('a', '9', { uid: 'second' }))));
  assert.deepEqual(kinds(), ['added default/a', 'deleted default/a', 'added default/a']);
});

test('an unreadable object is kept with its metadata', () => {
  const { store } = setup();
  const object = thing('a', '1');
  store.handle(event('applied', { kind: 'unreadable', object, problem: 'spec: expected object' }));
  assert.equal(store.get('default/a')?.kind, 'unreadable');
});

test('a listener that throws stops neither the other changes, nor the other listeners, nor the watcher', () => {
  let calls = 0;
  const store = createStore<Thing>({ log: silentLogger });
  store.subscribe(() => {
    throw new Error('a bug in a listener');
  });
  store.subscribe(() => calls++);
  store.handle(restarted(readable(thing('a', '1')), readable(thing('b', '2'))));
  assert.equal(calls, 2);
  assert.equal(store.size, 2);
});

test('a reflector is synced when each namespace is listed, and a restart of one leaves the others alone', async () => {
  const { store, kinds } = setup(['x', 'y']);
  let done = false;
  const synced = store.whenSynced(new AbortController().signal).then(() => {
    done = true;
  });
  store.handle(restarted(readable(thing('a', '1', { namespace: 'x' }))), 'x');
  await Promise.resolve();
  assert.deepEqual([store.synced, done], [false, false]);
  store.handle(restarted(readable(thing('b', '2', { namespace: 'y' }))), 'y');
  await synced;
  assert.deepEqual([store.synced, done], [true, true]);
  store.handle(restarted(), 'x');
  assert.deepEqual(kinds(), ['added x/a', 'added y/b', 'deleted x/a']);
});

test('waiting for the first list ends with the signal', async () => {
  const { store } = setup();
  await assert.rejects(store.whenSynced(AbortSignal.abort(new Error('stop'))), /stop/);
});

const anItem = fc
  .record({
    name: fc.constantFrom('a', 'b', 'c'),
    namespace: fc.constantFrom('x', 'y'),
    uid: fc.constantFrom('1', '2'),
    version: fc.integer({ min: 1, max: 6 }),
  })
  .map(({ name, namespace, uid, version }) => readable(thing(name, String(version), { namespace, uid })));
const anEvent: fc.Arbitrary<WatcherEvent<Thing>> = fc.oneof(
  anItem.map((item) => event('applied', item)),
  anItem.map((item) => event('deleted', item)),
  fc.uniqueArray(anItem, { selector: (item) => keyOfObject(item.object) }).map((items) => restarted(...items)),
);

test('for every sequence of events, content and index follow the events, and the changes add up to them', () => {
  fc.assert(
    fc.property(fc.array(anEvent, { maxLength: 40 }), (events) => {
      const { store, changes } = setup();
      const model = new Map<string, Item<Thing>>();
      for (const each of events) {
        store.handle(each);
        if (each.kind === 'restarted') {
          model.clear();
          for (const item of each.items) model.set(keyOfObject(item.object), item);
        } else if (each.kind === 'applied') model.set(keyOfObject(each.item.object), each.item);
        else if (each.kind === 'deleted') model.delete(keyOfObject(each.item.object));
      }
      const replayed = new Map<string, Item<Thing>>();
      for (const change of changes) {
        const before = change.kind === 'added' ? undefined : change.before;
        assert.equal(replayed.get(change.key), before);
        if (change.kind === 'deleted') replayed.delete(change.key);
        else replayed.set(change.key, change.after);
      }
      const sorted = (items: Iterable<Item<Thing>>) =>
        [...items].map((item) => `${keyOfObject(item.object)} ${item.object.metadata.uid}`).sort();
      assert.deepEqual(sorted(store.list()), sorted(model.values()));
      assert.deepEqual(sorted(replayed.values()), sorted(model.values()));
      for (const parity of ['even', 'odd']) {
        const expected = store
          .list()
          .filter((item) => Number(item.object.metadata.resourceVersion) % 2 === (parity === 'even' ? 0 : 1));
        assert.deepEqual(sorted(store.findBy('parity', parity)), sorted(expected));
      }
    }),
  );
});
