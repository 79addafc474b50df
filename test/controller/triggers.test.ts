import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createController } from '../../src/controller/controller.ts';
import { createMetrics } from '../../src/controller/metrics.ts';
import type { Priority } from '../../src/controller/queue.ts';
import {
  changed,
  createEmitter,
  type ObjectChange,
  referenced,
  reported,
  type Trigger,
} from '../../src/controller/triggers.ts';
import type { Key } from '../../src/lib/key.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { createVirtualClock } from '../clock.ts';

/** What the triggers enqueue. */
function collect(...triggers: Trigger[]): [Key, Priority][] {
  const enqueued: [Key, Priority][] = [];
  for (const trigger of triggers) trigger((key, priority) => enqueued.push([key, priority]));
  return enqueued;
}

test('a change enqueues its object: fresh from a watch, periodic from a list', () => {
  const objects = createEmitter<ObjectChange>();
  const enqueued = collect(changed(objects));
  objects.emit({ key: 'a/1', origin: 'list' });
  objects.emit({ key: 'a/1', origin: 'watch' });
  assert.deepEqual(enqueued, [
    ['a/1', 'periodic'],
    ['a/1', 'fresh'],
  ]);
});

test('an ignored change enqueues nothing', () => {
  const objects = createEmitter<ObjectChange & { own: boolean }>();
  const enqueued = collect(changed(objects, ({ own }) => own));
  objects.emit({ key: 'a/1', origin: 'watch', own: true });
  objects.emit({ key: 'a/2', origin: 'watch', own: false });
  assert.deepEqual(enqueued, [['a/2', 'fresh']]);
});

test('the change of an object enqueues its present users, and nothing without users', () => {
  const secrets = createEmitter<ObjectChange>();
  const users = new Map<Key, Key[]>([['a/secret', ['a/1', 'a/2']]]);
  const enqueued = collect(referenced(secrets, (key) => users.get(key) ?? []));
  secrets.emit({ key: 'a/other', origin: 'watch' });
  secrets.emit({ key: 'a/secret', origin: 'watch' });
  users.set('a/secret', ['a/3']);
  secrets.emit({ key: 'a/secret', origin: 'list' });
  assert.deepEqual(enqueued, [
    ['a/1', 'fresh'],
    ['a/2', 'fresh'],
    ['a/3', 'periodic'],
  ]);
});

test('another part enqueues keys with the priority of its trigger', () => {
  const transfers = createEmitter<Key>();
  const checks = createEmitter<Key>();
  const enqueued = collect(reported(transfers), reported(checks, 'periodic'));
  checks.emit('a/1');
  transfers.emit('a/2');
  assert.deepEqual(enqueued, [
    ['a/1', 'periodic'],
    ['a/2', 'fresh'],
  ]);
});

test('an emitter without listeners drops changes, and calls several listeners in order', () => {
  const emitter = createEmitter<string>();
  const calls: string[] = [];
  emitter.emit('lost');
  emitter.subscribe((change) => calls.push(`first ${change}`));
  emitter.subscribe((change) => calls.push(`second ${change}`));
  emitter.emit('kept');
  assert.deepEqual(calls, ['first kept', 'second kept']);
});

test('a controller reconciles keys of all its triggers, but none before its caches are synced and it may write', async () => {
  const clock = createVirtualClock();
  const [synced, allowed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const objects = createEmitter<ObjectChange>();
  const reports = createEmitter<Key>();
  const reconciled: Key[] = [];
  const cache = { size: 1, synced: false, whenSynced: () => synced.promise };
  const controller = createController({
    name: 'thing',
    workers: 1,
    caches: { things: cache },
    triggers: [changed(objects), reported(reports)],
    reconcile: async (key) => {
      reconciled.push(key);
      return { kind: 'awaitChange' };
    },
    whenAllowed: () => allowed.promise,
    metrics: createMetrics(clock),
    clock,
    random: () => 0.5,
    log: silentLogger,
  });
  const stop = new AbortController();
  const ended = controller.run(stop.signal, new AbortController().signal);
  objects.emit({ key: 'a/1', origin: 'list' });
  await clock.advance(0);
  assert.equal(controller.ready['things']?.(), 'the initial list has not completed');
  synced.resolve();
  cache.synced = true;
  await clock.advance(0);
  assert.deepEqual([controller.ready['things']?.(), reconciled], [undefined, []]);
  allowed.resolve();
  await clock.advance(0);
  reports.emit('a/2');
  await clock.advance(0);
  assert.deepEqual(reconciled, ['a/1', 'a/2']);
  await controller.whenIdle(['a/1', 'a/2'], stop.signal);
  stop.abort();
  await ended;
});

test('two controllers with one registry have series and checks of their own', async () => {
  const clock = createVirtualClock();
  const metrics = createMetrics(clock);
  const hang = Promise.withResolvers<never>();
  const setup = (name: string, keys: Key[]) => {
    const reports = createEmitter<Key>();
    const controller = createController({
      name,
      workers: 1,
      caches: {},
      triggers: [reported(reports)],
      reconcile: () => hang.promise,
      metrics,
      clock,
      random: () => 0.5,
      log: silentLogger,
    });
    void controller.run(new AbortController().signal, new AbortController().signal);
    return { controller, start: () => keys.forEach(reports.emit) };
  };
  const [busy, idle] = [setup('busy', ['a/1', 'a/2', 'a/3']), setup('idle', [])];
  await clock.advance(0);
  busy.start();
  await clock.advance(11 * 60_000);
  const { text } = await metrics.render();
  for (const line of [
    'workqueue_depth{name="busy",controller="busy",priority="fresh"} 2',
    'workqueue_depth{name="idle",controller="idle",priority="fresh"} 0',
    'controller_runtime_active_workers{controller="busy"} 1',
    'controller_runtime_active_workers{controller="idle"} 0',
    'workqueue_adds_total{name="busy",controller="busy"} 3',
  ])
    assert.ok(text.includes(line), `${line} is missing`);
  const failed = ({ controller }: typeof busy) =>
    Object.entries(controller.live).flatMap(([name, check]) => (check() === undefined ? [] : [name]));
  assert.deepEqual([failed(busy), failed(idle)], [['slow-reconciles-busy', 'workers-busy'], []]);
});
