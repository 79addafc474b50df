import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KubernetesError } from '../../src/kubernetes/errors.ts';
import type { RecordedEvent, Regarding } from '../../src/kubernetes/events.ts';
import { createStore } from '../../src/kubernetes/reflector.ts';
import { createKindResources } from '../../src/kubernetes/resources.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { never } from './server.ts';
import { readable, type Thing, thing, thingType } from './things.ts';

const finalizer = 'example.com/ours';
const annotation = { name: 'example.com/identity', value: 'abc' };

/** Writes get the versions 100, 101… and `fail` is the error of the next one. */
function setup() {
  const store = createStore<Thing>({ log: silentLogger });
  const echoes: boolean[] = [];
  const recorded: [Regarding, RecordedEvent][] = [];
  /** The version on which each write of a status relies. */
  const bases: unknown[] = [];
  /** `now`: the version that is read. */
  const server: { version: number; fail: Error | undefined; now: string | undefined } = {
    version: 100,
    fail: undefined,
    now: undefined,
  };
  const write = async (metadata: Partial<Thing['metadata']>): Promise<Thing> => {
    if (server.fail !== undefined) throw server.fail;
    const { name = '', ...others } = metadata;
    const written = thing(name, `${server.version++}`);
    return {
      ...written,
      metadata: { ...written.metadata, ...others, resourceVersion: written.metadata.resourceVersion },
    };
  };
  const resources = createKindResources<Thing, string>({
    client: {
      get: async (type, { name }) =>
        server.now === undefined
          ? assert.fail('no read is needed')
          : type.parse(thing(name, server.now, { uid: 'another' })),
      jsonPatch: async (type, { name }) =>
        type.parse(
          await write({ name, finalizers: [finalizer], annotations: { [annotation.name]: annotation.value } }),
        ),
      applyStatus: async (type, { metadata }) => {
        bases.push(metadata['resourceVersion']);
        return type.parse(await write({ name: metadata.name }));
      },
    },
    type: thingType,
    store,
    finalizer,
    ownAnnotations: [annotation.name],
    events: { record: (...event) => recorded.push(event) },
    log: silentLogger,
  });
  store.subscribe((change) => echoes.push(resources.isEcho(change)));
  const watch = (object: Thing) =>
    store.handle({ kind: 'applied', item: readable(object), resourceVersion: object.metadata.resourceVersion });
  const read = () => resources.get('default/a') ?? assert.fail('the object is not there');
  watch(thing('a', '1'));
  echoes.length = 0;
  return { resources, server, watch, read, echoes, recorded, bases };
}

const failure = (reason: string) => new KubernetesError(reason, { reason, httpStatus: 400 });

test('a read returns the last own write until the watch has caught up', async () => {
  const { resources, watch, read } = setup();
  assert.deepEqual(await resources.writeStatus(read(), {}, never), { kind: 'written' });
  assert.equal(read().metadata.resourceVersion, '100');
  watch(thing('a', '50'));
  assert.equal(read().metadata.resourceVersion, '100');
  watch(thing('a', '101'));
  assert.equal(read().metadata.resourceVersion, '101');
});

test('a write of another object with the same name does not hide the present one', async () => {
  const { resources, watch, read } = setup();
  await resources.writeStatus(read(), {}, never);
  watch(thing('a', '60', { uid: 'another' }));
  assert.equal(read().metadata.uid, 'another');
});

test('a status is written without a conflict after the watch has returned our earlier writes of the same reconcile', async () => {
  const { resources, watch, read, bases } = setup();
  const object = read();
  await resources.addFinalizer(object, never, annotation);
  watch(read());
  await resources.writeStatus(object, {}, never);
  watch(read());
  await resources.writeStatus(object, {}, never);
  assert.deepEqual(bases, ['100', '101']);
});

test('the watch event of an own write is an echo, also of the finalizer and the own annotation', async () => {
  const { resources, watch, read, echoes } = setup();
  assert.equal(await resources.addFinalizer(read(), never, annotation), true);
  watch(read());
  assert.deepEqual(echoes, [true]);
});

test('a change by a user is no echo, even if an own write was later', async () => {
  const { resources, watch, read, echoes } = setup();
  await resources.writeStatus(read(), {}, never);
  const edited = (version: string, change: object) => {
    const object = thing('a', version);
    watch({ ...object, metadata: { ...object.metadata, ...change } });
  };
  edited('50', { annotations: { 'example.com/of-a-user': 'x' } });
  edited('51', { annotations: { 'example.com/of-a-user': 'x' }, deletionTimestamp: '2026-01-01T00:00:00Z' });
  edited('200', {});
  assert.deepEqual(echoes, [false, false, false]);
});

test('a status of an object that is gone, and one that the server rejects, are results, and other failures are errors', async () => {
  const { resources, server, read } = setup();
  server.now = '150';
  const kindFor = async (reason: string) => {
    server.fail = failure(reason);
    return (await resources.writeStatus(read(), {}, never)).kind;
  };
  assert.deepEqual(
    [await kindFor('NotFound'), await kindFor('Conflict'), await kindFor('Invalid')],
    ['gone', 'gone', 'rejected'],
  );
  await assert.rejects(kindFor('Forbidden'), /Forbidden/);
});

test('the finalizer of an object that is gone is not added', async () => {
  const { resources, server, read } = setup();
  server.fail = failure('NotFound');
  assert.equal(await resources.addFinalizer(read(), never), false);
});

test('an Event names kind and version of its object', () => {
  const { resources, read, recorded } = setup();
  resources.event(read(), 'Warning', 'Odd', 'something is odd');
  const [[regarding, event] = assert.fail('no Event')] = recorded;
  assert.deepEqual([regarding.apiVersion, regarding.kind, regarding.metadata.name], ['example.com/v1', 'Thing', 'a']);
  assert.deepEqual(event, { type: 'Warning', reason: 'Odd', action: 'Reconcile', note: 'something is odd' });
});
