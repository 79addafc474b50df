import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from '../../src/kubernetes/client.ts';
import { KubernetesError } from '../../src/kubernetes/errors.ts';
import { createStore, runReflector } from '../../src/kubernetes/reflector.ts';
import { parseObject } from '../../src/kubernetes/resource.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { applied, failure, page, type Step, start } from './script.ts';
import { connect, createImpatientClock, json, lines, object, reset, startServer, status } from './server.ts';
import { type Thing, thingType } from './things.ts';

test('a watcher lists page by page, replaces all objects once, and watches from there', async () => {
  const { clock, asked, told, progress, finish } = start([
    page('5', ['a'], 'more'),
    page('5', ['b']),
    [{ at: 1000, line: applied('c', '6') }],
  ]);
  await clock.advance(2000);
  assert.deepEqual(asked, ['0 list', '0 list more', '0 watch 5']);
  assert.deepEqual(told, ['restarted a,b', 'applied c 6']);
  assert.deepEqual(
    progress.map((step) => step.kind),
    ['listed', 'connected', 'event'],
  );
  await finish();
});

test('a watch that ends after its time is opened again at once, from the last bookmark', async () => {
  const { clock, asked, finish } = start([
    page('5', []),
    [
      { at: 60_000, line: { type: 'BOOKMARK', object: { metadata: { resourceVersion: '50' } } } },
      { at: 265_000, end: 'cleanly' },
    ],
  ]);
  await clock.advance(265_000);
  assert.deepEqual(asked, ['0 list', '0 watch 5', '265 watch 50']);
  await finish();
});

test('a broken watch goes on from the last event, after a wait', async () => {
  const { clock, asked, told, finish } = start([
    page('5', []),
    [
      { at: 1000, line: applied('a', '6') },
      { at: 2000, end: failure('Unreachable') },
    ],
    failure('Unreachable'),
    [{ at: 0, line: applied('b', '7') }],
  ]);
  await clock.advance(10_000);
  assert.deepEqual(asked, ['0 list', '0 watch 5', '2.8 watch 6', '4.4 watch 6']);
  assert.deepEqual(told, ['restarted ', 'applied a 6', 'applied b 7']);
  await finish();
});

for (const [name, expired] of [
  ['410 Expired', failure('Expired', 410)],
  ['410 Gone', failure('Gone', 410)],
  ['400 for a version it does not understand', failure('BadRequest', 400)],
  ['404, because the kind is gone for now,', failure('UnknownResource', 404)],
  [
    'a version from the future, after a restore',
    new KubernetesError('', { reason: 'Timeout', causes: ['ResourceVersionTooLarge'] }),
  ],
] as const)
  test(`${name} leads to a new list, after a wait`, async () => {
    const { clock, asked, told, finish } = start([page('5', ['a']), expired, page('9', ['b']), []]);
    await clock.advance(5000);
    assert.deepEqual(asked, ['0 list', '0 watch 5', '0.8 list', '0.8 watch 9']);
    assert.deepEqual(told, ['restarted a', 'restarted b']);
    await finish();
  });

test('an expired continue token restarts the list and reports nothing of the first attempt', async () => {
  const { clock, asked, told, finish } = start([
    page('5', ['a'], 'more'),
    failure('Expired', 410),
    page('9', ['b']),
    [],
  ]);
  await clock.advance(5000);
  assert.deepEqual(asked, ['0 list', '0 list more', '0.8 list', '0.8 watch 9']);
  assert.deepEqual(told, ['restarted b']);
  await finish();
});

test('a page that fails for another reason is asked for again', async () => {
  const { clock, asked, told, finish } = start([
    page('5', ['a'], 'more'),
    failure('Unreachable'),
    page('5', ['b']),
    [],
  ]);
  await clock.advance(5000);
  assert.deepEqual(asked, ['0 list', '0 list more', '0.8 list more', '0.8 watch 5']);
  assert.deepEqual(told, ['restarted a,b']);
  await finish();
});

test('a server that asks to be left alone is left alone that long, within reason', async () => {
  const asked429 = (retryAfterMs: number) =>
    new KubernetesError('', { reason: 'TooManyRequests', httpStatus: 429, retryAfterMs });
  const { clock, asked, finish } = start([page('5', []), asked429(10_000), asked429(86_400_000), []]);
  await clock.advance(10 * 60_000);
  assert.deepEqual(asked, ['0 list', '0 watch 5', '11 watch 5', '143 watch 5']);
  await finish();
});

test('a line that cannot be read is asked for once more; struck by it again, it lists past it', async () => {
  const poison: Step[] = [{ at: 1000, line: { type: 'MODIFIED', object: { metadata: {} } } }];
  const { clock, asked, told, finish } = start([
    page('5', ['a']),
    [{ at: 0, line: applied('a', '6') }, ...poison],
    poison,
    page('9', ['a']),
    [],
  ]);
  await clock.advance(20_000);
  assert.deepEqual(asked, ['0 list', '0 watch 5', '1.8 watch 6', '4.4 list', '4.4 watch 9']);
  assert.deepEqual(told, ['restarted a', 'applied a 6', 'restarted a']);
  await finish();
});

test('a watcher retries after every failure, and waits at most half a minute', async () => {
  const reasons = ['Forbidden', 'InternalError', 'Unreachable', 'Unauthorized', 'UnknownResource', 'MalformedResponse'];
  const failures = Array.from({ length: 30 }, (_, i) => failure(reasons[i % reasons.length] ?? ''));
  const { clock, asked, told, finish } = start([...failures, new TypeError('a bug'), page('5', ['a']), []]);
  await clock.advance(30 * 60_000);
  assert.deepEqual(told, ['restarted a']);
  const times = asked.map((each) => Number(each.split(' ')[0]));
  const waits = times.slice(1).map((time, i) => time - (times[i] ?? 0));
  assert.ok(Math.max(...waits) <= 30.1);
  assert.deepEqual(
    waits.slice(0, 6).map((wait) => Math.round(wait * 10) / 10),
    [0.8, 1.6, 3.2, 6.4, 12.8, 25.6],
  );
  await finish();
});

test('a server that accepts each watch and drops it at once is left alone longer and longer', async () => {
  const dropped: Step[] = [{ at: 10, end: 'cleanly' }];
  const { clock, asked, finish } = start([page('5', []), ...Array.from({ length: 200 }, () => dropped)]);
  await clock.advance(10 * 60_000);
  assert.ok(asked.length < 30, `${asked.length} requests in ten minutes`);
  await finish();
});

test('two minutes of health make the waits short again', async () => {
  const broken: Step[] = [{ at: 121_000, end: failure('Unreachable') }];
  const { clock, asked, finish } = start([page('5', []), broken, broken, broken, []]);
  await clock.advance(10 * 60_000);
  assert.deepEqual(asked, ['0 list', '0 watch 5', '121.8 watch 5', '243.6 watch 5', '365.4 watch 5']);
  await finish();
});

test('every few hours it lists again, in case an event was lost', async () => {
  const healthy: Step[] = [{ at: 265_000, end: 'cleanly' }];
  const watches = Array.from({ length: 55 }, () => healthy);
  const { clock, asked, told, finish } = start([page('5', ['a']), ...watches, page('9', ['b']), []]);
  await clock.advance(5 * 3_600_000);
  assert.equal(asked.filter((each) => each.endsWith('list')).length, 2);
  assert.deepEqual(told, ['restarted a', 'restarted b']);
  await finish();
});

test('a store that covers no namespace is synced, and following it asks for nothing until the end', async () => {
  const store = createStore<Thing>({ namespaces: [], log: silentLogger });
  const signal = new AbortController();
  const options = { type: thingType, store, clock: createImpatientClock(), random: () => 0.5, log: silentLogger };
  const transport = {
    request: assert.fail,
    stream: assert.fail,
    close: assert.fail,
    now: assert.fail,
    server: '',
    namespace: '',
  };
  const ended = runReflector({ ...options, client: createClient(transport) }, signal.signal);
  await store.whenSynced(signal.signal);
  signal.abort(new Error('over'));
  await assert.rejects(ended, /over/);
});

test('a store follows a server through rejections, resets, an expired version and an unreadable object', async (t) => {
  const event = (type: string, name: string, version: string, more = {}) => ({
    type,
    object: object(name, version, more),
  });
  const list = (version: string, ...items: unknown[]) => json(200, { metadata: { resourceVersion: version }, items });
  const server = await startServer(
    t,
    status(422, 'Invalid', 'sendInitialEvents is forbidden'),
    status(403, 'Forbidden', 'not yet'),
    list('10', object('a', '1'), object('b', '2')),
    lines(event('MODIFIED', 'a', '11'), event('ADDED', 'c', '12', { spec: { size: 'unreadable' } })),
    reset,
    lines({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' } }),
    list('20', object('a', '11'), object('d', '19')),
    lines(event('DELETED', 'd', '21')),
    () => {},
  );
  const changes: string[] = [];
  const finished = Promise.withResolvers<void>();
  const store = createStore<Thing>({ log: silentLogger });
  store.subscribe(({ kind, key, origin }) => {
    changes.push(`${origin}: ${kind} ${key}`);
    if (changes.length === 8) finished.resolve();
  });
  const signal = new AbortController();
  const client = createClient(await connect(t, server));
  const clock = createImpatientClock();
  const options = { client, type: thingType, store, clock, random: () => 0.5, log: silentLogger };
  const ended = runReflector(options, signal.signal);
  await store.whenSynced(signal.signal);
  await finished.promise;
  signal.abort(new Error('over'));
  await assert.rejects(ended, /over/);
  assert.deepEqual(changes, [
    'list: added default/a',
    'list: added default/b',
    'watch: updated default/a',
    'watch: added default/c',
    'list: deleted default/b',
    'list: deleted default/c',
    'list: added default/d',
    'watch: deleted default/d',
  ]);
  assert.deepEqual(
    store.list().map((item) => item.object.metadata.resourceVersion),
    ['11'],
  );
  assert.equal(parseObject(store.get('default/a')?.object).metadata.name, 'a');
});
