import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createQueue, type Priority, type Queue } from '../../src/controller/queue.ts';
import { createVirtualClock } from '../clock.ts';

const never = new AbortController().signal;

/** What can be taken right now, without giving it back. */
async function takeAll(queue: Queue): Promise<string[]> {
  const taken: string[] = [];
  while (queue.depth('fresh') + queue.depth('periodic') > 0) taken.push(await queue.take(never));
  return taken;
}

test('a key added many times is taken once', async () => {
  const queue = createQueue({ clock: createVirtualClock(), workers: 4 });
  queue.add('a');
  queue.add('b');
  queue.add('a');
  assert.deepEqual(await takeAll(queue), ['a', 'b']);
});

test('a key added during its reconcile is taken again after that reconcile, not before', async () => {
  const queue = createQueue({ clock: createVirtualClock(), workers: 4 });
  queue.add('a');
  await queue.take(never);
  queue.add('a');
  queue.add('a');
  assert.equal(queue.depth('fresh'), 0);
  queue.done('a');
  assert.deepEqual(await takeAll(queue), ['a']);
});

test('a waiting worker gets the key as soon as it is added', async () => {
  const queue = createQueue({ clock: createVirtualClock(), workers: 4 });
  const taken = queue.take(never);
  queue.add('a', 'periodic');
  assert.equal(await taken, 'a');
});

test('an aborted take rejects with the reason and loses no key', async () => {
  const queue = createQueue({ clock: createVirtualClock(), workers: 4 });
  const controller = new AbortController();
  const taken = queue.take(controller.signal);
  controller.abort(new Error('stop'));
  await assert.rejects(taken, /stop/);
  queue.add('a');
  assert.deepEqual(await takeAll(queue), ['a']);
});

test('a delayed key becomes available after its delay', async () => {
  const clock = createVirtualClock();
  const queue = createQueue({ clock, workers: 4 });
  queue.addAfter('a', 1000);
  await clock.advance(999);
  assert.deepEqual(await takeAll(queue), []);
  await clock.advance(1);
  assert.deepEqual(await takeAll(queue), ['a']);
});

test('the earlier of two delays wins, in either order', async () => {
  const clock = createVirtualClock();
  const queue = createQueue({ clock, workers: 4 });
  queue.addAfter('a', 1000);
  queue.addAfter('a', 500);
  queue.addAfter('b', 500);
  queue.addAfter('b', 1000);
  await clock.advance(500);
  assert.deepEqual(await takeAll(queue), ['a', 'b']);
  queue.done('a');
  queue.done('b');
  await clock.advance(10_000);
  assert.deepEqual(await takeAll(queue), []);
  assert.equal(clock.pending, 0);
});

test('an immediate add overrides the delay and clears its timer', async () => {
  const clock = createVirtualClock();
  const queue = createQueue({ clock, workers: 4 });
  queue.addAfter('a', 1000);
  queue.add('a');
  assert.equal(clock.pending, 0);
  assert.deepEqual(await takeAll(queue), ['a']);
});

test('new keys precede periodic ones, and a periodic key that is added as new moves forward', async () => {
  const queue = createQueue({ clock: createVirtualClock(), workers: 4 });
  for (const key of ['p1', 'p2', 'p3']) queue.add(key, 'periodic');
  queue.add('f1');
  queue.add('p3');
  assert.deepEqual(await takeAll(queue), ['f1', 'p3', 'p1', 'p2']);
});

test('a burst of new keys does not starve the periodic ones', async () => {
  const queue = createQueue({ clock: createVirtualClock(), workers: 4 });
  queue.add('periodic', 'periodic');
  for (let i = 0; i < 100; i++) queue.add(`fresh-${i}`);
  const order = await takeAll(queue);
  assert.ok(order.indexOf('periodic') < 10);
});

test('the queue reports how long a key has been in work', async () => {
  const clock = createVirtualClock();
  const queue = createQueue({ clock, workers: 4 });
  queue.add('a');
  await queue.take(never);
  await clock.advance(5000);
  assert.deepEqual(queue.running(), [5000]);
  queue.done('a');
  assert.deepEqual(queue.running(), []);
});

test('the queue throws on done without take', () => {
  const queue = createQueue({ clock: createVirtualClock(), workers: 4 });
  assert.throws(() => queue.done('a'), /was not taken/);
});

test('whenIdle resolves when a key neither waits nor is in work, and ignores its delays', async () => {
  const clock = createVirtualClock();
  const queue = createQueue({ clock, workers: 4 });
  const seen: string[] = [];
  await queue.whenIdle('a', never);
  queue.add('a');
  const idle = queue.whenIdle('a', never).then(() => seen.push('idle'));
  await queue.take(never);
  queue.add('a');
  queue.done('a');
  await clock.advance(0);
  assert.deepEqual(seen, []);
  await queue.take(never);
  queue.addAfter('a', 1000);
  queue.done('a');
  await idle;
  const given = new AbortController();
  queue.add('a');
  const waiting = queue.whenIdle('a', given.signal);
  given.abort(new Error('stop'));
  await assert.rejects(waiting, /stop/);
});

type Step =
  | { do: 'add'; key: string; priority: Priority }
  | { do: 'addAfter'; key: string; ms: number; priority: Priority }
  | { do: 'take' }
  | { do: 'done'; pick: number }
  | { do: 'advance'; ms: number };

const key = fc.constantFrom('a', 'b', 'c', 'd');
const priority = fc.constantFrom<Priority>('fresh', 'periodic');
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('add' as const), key, priority }),
  fc.record({ do: fc.constant('addAfter' as const), key, ms: fc.integer({ min: 0, max: 50 }), priority }),
  fc.record({ do: fc.constant('take' as const) }),
  fc.record({ do: fc.constant('done' as const), pick: fc.nat(3) }),
  fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 30 }) }),
);

test('in every sequence of steps no key has two workers, none is lost, none appears without being added', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const clock = createVirtualClock();
      const queue = createQueue({ clock, workers: 4 });
      // The model: for each key the moment from which it must be handed out, and who has it.
      const dueAt = new Map<string, number>();
      const held: string[] = [];
      const ready = () => {
        const due = [...dueAt].filter(([name, at]) => at <= clock.monotonic() && !held.includes(name));
        return new Set(due.map(([name]) => name));
      };
      const ask = (name: string, ms: number) =>
        dueAt.set(name, Math.min(dueAt.get(name) ?? Number.POSITIVE_INFINITY, clock.monotonic() + ms));
      const take = async () => {
        const expected = ready();
        assert.equal(queue.depth('fresh') + queue.depth('periodic'), expected.size);
        if (expected.size === 0) return;
        const taken = await queue.take(never);
        assert.ok(expected.has(taken), `${taken} was taken too early`);
        dueAt.delete(taken);
        held.push(taken);
      };
      const done = (pick: number) => {
        const [name] = held.splice(pick % Math.max(held.length, 1), 1);
        if (name !== undefined) queue.done(name);
      };
      for (const each of steps) {
        switch (each.do) {
          case 'add':
            queue.add(each.key, each.priority);
            ask(each.key, 0);
            break;
          case 'addAfter':
            queue.addAfter(each.key, each.ms, each.priority);
            ask(each.key, each.ms);
            break;
          case 'take':
            await take();
            break;
          case 'done':
            done(each.pick);
            break;
          case 'advance':
            await clock.advance(each.ms);
            break;
          default:
            each satisfies never;
        }
      }
      while (held.length > 0) done(0);
      await clock.advance(100);
      while (dueAt.size > 0) await take();
      await take();
      assert.equal(clock.pending, 0);
    }),
    { numRuns: 300 },
  );
});

test('for every number of workers and keys, each key is reconciled by one worker at a time', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(key, { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1, max: 4 }),
      async (keys, n) => {
        const clock = createVirtualClock();
        const queue = createQueue({ clock, workers: 4 });
        const stop = new AbortController();
        const busy = new Set<string>();
        const lastStart = new Map<string, number>();
        let tick = 0;
        const worker = async () => {
          for (;;) {
            const taken = await queue.take(stop.signal);
            assert.ok(!busy.has(taken), `${taken} is with two workers`);
            busy.add(taken);
            lastStart.set(taken, ++tick);
            await clock.sleep(5, stop.signal);
            busy.delete(taken);
            queue.done(taken);
          }
        };
        const workers = Array.from({ length: n }, worker);
        const lastAdd = new Map<string, number>();
        for (const each of keys) {
          lastAdd.set(each, ++tick);
          queue.add(each);
          await clock.advance(3);
        }
        await clock.advance(1000);
        for (const [name, at] of lastAdd) assert.ok((lastStart.get(name) ?? 0) > at, `${name} was lost`);
        stop.abort();
        const ends = await Promise.allSettled(workers);
        for (const end of ends) if (end.status === 'rejected') assert.equal(end.reason, stop.signal.reason);
      },
    ),
    { numRuns: 100 },
  );
});
