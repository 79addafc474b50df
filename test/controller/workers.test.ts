import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { createBackoff } from '../../src/controller/backoff.ts';
import { createQueue } from '../../src/controller/queue.ts';
import { createWorkers, type Reconcile, type WorkersObserver } from '../../src/controller/workers.ts';
import { addToContext } from '../../src/lib/context.ts';
import { createLogger, type Logger, silentLogger } from '../../src/lib/log.ts';
import { newRequestId } from '../../src/openstack/request-id.ts';
import { createVirtualClock } from '../clock.ts';

function start(reconcile: Reconcile, options: { count?: number; log?: Logger } = {}) {
  const clock = createVirtualClock();
  const seen: string[] = [];
  const observer: WorkersObserver = {
    started: () => {},
    ended: (result) => seen.push(result),
    timedOut: () => seen.push('timeout'),
    panicked: () => seen.push('panic'),
  };
  const count = options.count ?? 1;
  const queue = createQueue({ clock, workers: count });
  const backoff = createBackoff(() => 1);
  const workers = createWorkers({
    count,
    queue,
    controller: 'thing',
    backoff,
    reconcile,
    clock,
    log: options.log ?? silentLogger,
    observer,
  });
  const stop = new AbortController();
  const halt = new AbortController();
  const ended = workers.run(stop.signal, halt.signal);
  return { clock, queue, workers, seen, stop, halt, ended };
}

test('awaitChange schedules nothing, requeueAfter a reconcile after its delay, and an exception one after the backoff', async () => {
  const calls: string[] = [];
  const { clock, queue, seen, stop, ended } = start(async (key) => {
    calls.push(key);
    if (key === 'later') return { kind: 'requeueAfter', afterMs: 5000 };
    if (key === 'retry') throw new Error('Busy');
    return { kind: 'awaitChange' };
  });
  for (const key of ['never', 'later', 'retry']) queue.add(key);
  await clock.advance(0);
  assert.deepEqual(calls.splice(0), ['never', 'later', 'retry']);
  assert.deepEqual(seen.splice(0), ['success', 'requeue_after', 'error']);
  await clock.advance(1000);
  assert.deepEqual(calls.splice(0), ['retry']);
  await clock.advance(4000);
  assert.deepEqual(calls.splice(0), ['retry', 'later']);
  stop.abort();
  await ended;
});

test('an exception is retried with growing delays, and a success resets them', async () => {
  const starts: number[] = [];
  const { clock, queue, seen, stop, ended } = start(async () => {
    starts.push(clock.monotonic());
    if (starts.length <= 3) throw new TypeError('a bug');
    return { kind: 'awaitChange' };
  });
  queue.add('a');
  await clock.advance(60_000);
  assert.deepEqual(starts, [0, 1000, 3000, 7000]);
  assert.deepEqual(seen, ['panic', 'error', 'panic', 'error', 'panic', 'error', 'success']);
  stop.abort();
  await ended;
});

test('a reconcile over its deadline is cancelled, counted and retried', async () => {
  const { clock, queue, seen, stop, ended } = start(async (_key, signal) => {
    await clock.sleep(1e9, signal);
    return { kind: 'awaitChange' };
  });
  queue.add('a');
  await clock.advance(120_000);
  assert.deepEqual(seen, ['timeout', 'error']);
  stop.abort();
  await clock.advance(1e9);
  await ended;
});

test('a reconcile that ignores its signal keeps its key, and other keys continue', async () => {
  const stuck = Promise.withResolvers<void>();
  const calls: string[] = [];
  const { clock, queue, stop, ended } = start(
    async (key) => {
      calls.push(key);
      if (key === 'stuck') await stuck.promise;
      return { kind: 'awaitChange' };
    },
    { count: 2 },
  );
  queue.add('stuck');
  await clock.advance(600_000);
  queue.add('stuck');
  queue.add('other');
  await clock.advance(0);
  assert.deepEqual(calls, ['stuck', 'other']);
  assert.deepEqual(queue.running(), [600_000]);
  stuck.resolve();
  await clock.advance(0);
  assert.deepEqual(calls, ['stuck', 'other', 'stuck']);
  stop.abort();
  await ended;
});

test('a stop lets the running reconcile finish and takes no further key', async () => {
  const calls: string[] = [];
  const { clock, queue, stop, ended } = start(async (key, signal) => {
    calls.push(key);
    await clock.sleep(5000, signal);
    calls.push(`${key} finished`);
    return { kind: 'awaitChange' };
  });
  queue.add('a');
  queue.add('b');
  await clock.advance(1000);
  stop.abort();
  await clock.advance(4000);
  await ended;
  assert.deepEqual(calls, ['a', 'a finished']);
});

test('a halt cancels the reconcile in progress', async () => {
  const { clock, queue, stop, halt, ended } = start(async (_key, signal) => {
    await clock.sleep(100_000, signal);
    return { kind: 'awaitChange' };
  });
  queue.add('a');
  await clock.advance(0);
  stop.abort();
  halt.abort(new Error('the lease is lost'));
  await ended;
});

test('log lines carry the id of their reconcile, and a slow one is reported', async () => {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger('debug', { write: (line) => lines.push(JSON.parse(line)) });
  const seen: string[] = [];
  const { clock, queue, stop, ended } = start(
    async (key, signal) => {
      log.info(`working on ${key}`);
      addToContext({ generation: 3, cloud: 'demo' });
      seen.push(newRequestId());
      if (key === 'ns/slow') await clock.sleep(1e9, signal);
      return { kind: 'awaitChange' };
    },
    { count: 2, log },
  );
  queue.add('ns/slow');
  queue.add('ns/quick');
  await clock.advance(120_000);
  stop.abort();
  await ended;
  const of = (name: string) => lines.filter((line) => line['name'] === name);
  const told = (name: string) => of(name).map(({ msg }) => msg);
  assert.deepEqual(told('quick'), ['working on ns/quick', 'Reconciled']);
  assert.deepEqual(told('slow'), [
    'working on ns/slow',
    'A reconcile exceeded its deadline',
    'Reconciled',
    'Reconcile will be retried',
  ]);
  const ids = ['slow', 'quick'].map((name) => new Set(of(name).map(({ reconcileID }) => `req-${reconcileID}`)));
  assert.deepEqual(
    ids.map((each) => [...each]),
    seen.map((id) => [id]),
  );
  const after = lines.filter(({ msg }) => msg === 'Reconciled');
  assert.deepEqual(
    after.map(({ namespace, generation, cloud }) => [namespace, generation, cloud]),
    [
      ['ns', 3, 'demo'],
      ['ns', 3, 'demo'],
    ],
  );
});

test('after any number of reconciles, no listener remains on a signal of the process', async () => {
  const { clock, queue, stop, halt, ended } = start(
    async (key, signal) => {
      await clock.sleep(1, signal);
      if (key.endsWith('7')) throw new Error('Busy');
      return { kind: 'awaitChange' };
    },
    { count: 3 },
  );
  const listeners = () => [stop, halt].map(({ signal }) => getEventListeners(signal, 'abort').length);
  await clock.advance(0);
  const idle = listeners();
  for (let round = 0; round < 30; round++) {
    for (let i = 0; i < 10; i++) queue.add(`ns/${i}`);
    await clock.advance(700_000);
  }
  assert.deepEqual(listeners(), idle);
  stop.abort();
  await ended;
});

test('running workers report how long they have been idle; stopped ones, as in a standby, report nothing', async () => {
  const { clock, workers, stop, ended } = start(async () => ({ kind: 'awaitChange' }));
  await clock.advance(5000);
  assert.equal(workers.idleMs(), 5000);
  stop.abort();
  await ended;
  assert.equal(workers.idleMs(), undefined);
});
