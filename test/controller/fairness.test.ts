import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createQueue, type Priority, type Queue } from '../../src/controller/queue.ts';
import { createVirtualClock } from '../clock.ts';

const workers = 16;
const flowOf = (key: string) => key.split('/')[1]?.split('-')[0];

function queueOf(count = workers) {
  const clock = createVirtualClock();
  return { clock, queue: createQueue({ clock, workers: count, flowOf }) };
}

/** What workers get that ask now; they keep it. */
async function takeNow(queue: Queue, most = Number.POSITIVE_INFINITY): Promise<string[]> {
  const taken: string[] = [];
  while (taken.length < most) {
    const enough = new AbortController();
    const next = queue.take(enough.signal);
    enough.abort();
    const key = await next.catch(() => undefined);
    if (key === undefined) return taken;
    taken.push(key);
  }
  return taken;
}

test('namespaces alternate, however many keys one of them adds', async () => {
  const { queue } = queueOf();
  for (let i = 0; i < 100; i++) queue.add(`greedy/c1-${i}`);
  queue.add('modest/c2-a');
  queue.add('modest/c2-b');
  assert.deepEqual(await takeNow(queue, 4), ['greedy/c1-0', 'modest/c2-a', 'greedy/c1-1', 'modest/c2-b']);
});

test('within a namespace clouds alternate, and within a cloud keys are first in, first out', async () => {
  const { queue } = queueOf();
  for (const name of ['c1-a', 'c1-b', 'c1-c', 'c2-a']) queue.add(`ns/${name}`);
  assert.deepEqual(await takeNow(queue), ['ns/c1-a', 'ns/c2-a', 'ns/c1-b', 'ns/c1-c']);
});

test('a dead cloud with a thousand resources gets half of the workers, and a resource of another cloud starts immediately', async () => {
  const { queue } = queueOf();
  for (let i = 0; i < 1000; i++) queue.add(`ns/dead-${i}`);
  assert.equal((await takeNow(queue)).length, workers / 2);
  queue.add('ns/alive-1', 'periodic');
  assert.deepEqual(await takeNow(queue), ['ns/alive-1']);
});

test('a waiting worker gets the key of a flow as soon as the flow has room again', async () => {
  const { queue } = queueOf(2);
  queue.add('ns/c1-a');
  queue.add('ns/c1-b');
  assert.deepEqual(await takeNow(queue), ['ns/c1-a']);
  const next = queue.take(new AbortController().signal);
  queue.done('ns/c1-a');
  assert.equal(await next, 'ns/c1-b');
});

test('a key whose flow has changed waits in the new flow', async () => {
  const clock = createVirtualClock();
  let flow = 'dead';
  const queue = createQueue({ clock, workers: 2, flowOf: (key) => (key === 'ns/moving' ? flow : 'dead') });
  queue.add('ns/first');
  await takeNow(queue);
  queue.add('ns/moving');
  assert.deepEqual(await takeNow(queue), []);
  flow = 'alive';
  queue.add('ns/moving');
  assert.deepEqual(await takeNow(queue), ['ns/moving']);
});

test('a waiting key moves to its flow once the flow is known, without losing its place', async () => {
  const clock = createVirtualClock();
  const known = new Set<string>();
  const secrets = (key: string) => (known.has(key) ? 'dead' : `secret of ${key}`);
  const queue = createQueue({ clock, workers, flowOf: secrets });
  const keys = Array.from({ length: 50 }, (_, index) => `a/${index}`);
  for (const key of keys) queue.add(key);
  queue.add('b/1');
  for (const key of keys) known.add(key);
  assert.deepEqual(await takeNow(queue), ['a/0', 'b/1', ...keys.slice(1, workers / 2 - 1)]);
  assert.equal(queue.depth('fresh'), keys.length - (workers / 2 - 1));
  for (const key of keys.slice(0, 3)) queue.done(key);
  assert.deepEqual(await takeNow(queue), keys.slice(7, 10));
});

test('the queue reports the longest wait of any key', async () => {
  const { clock, queue } = queueOf();
  assert.equal(queue.longestWait(), 0);
  queue.add('a/c1-1', 'periodic');
  await clock.advance(1000);
  queue.add('b/c2-1');
  assert.equal(queue.longestWait(), 1000);
});

const flow = fc.constantFrom('c1', 'c2', 'c3', 'c4', 'c5');
const namespace = fc.constantFrom('n1', 'n2', 'n3');
const key = fc.tuple(namespace, flow, fc.nat(9)).map(([ns, of, index]) => `${ns}/${of}-${index}`);

type Step = { do: 'add'; key: string; priority: Priority } | { do: 'take' } | { do: 'done'; pick: number };
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('add' as const),
      key,
      priority: fc.constantFrom<Priority>('fresh', 'periodic'),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('take' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('done' as const), pick: fc.nat(20) }) },
);

test('in every sequence of steps no flow exceeds its share, no worker idles while a key is available, and no key is lost', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 9 }), fc.array(step, { maxLength: 80 }), async (count, steps) => {
      const clock = createVirtualClock();
      const queue = createQueue({ clock, workers: count, flowOf: flowOf });
      const asked = new Set<string>();
      const held: string[] = [];
      const may = (of: string | undefined) => {
        const own = held.filter((each) => flowOf(each) === of).length;
        return own < Math.max(1, Math.floor((count - (held.length - own)) / 2));
      };
      const take = async () => {
        const possible = [...asked].filter((each) => !held.includes(each) && may(flowOf(each)));
        const [taken] = await takeNow(queue, 1);
        if (taken === undefined) return assert.deepEqual(possible, [], 'a worker is idle');
        assert.ok(possible.includes(taken), `${taken} was not to go`);
        asked.delete(taken);
        held.push(taken);
      };
      const done = (pick: number) => {
        const [gone] = held.splice(pick % Math.max(1, held.length), 1);
        if (gone !== undefined) queue.done(gone);
      };
      for (const each of steps) {
        if (each.do === 'add') {
          queue.add(each.key, each.priority);
          asked.add(each.key);
        } else if (each.do === 'done') done(each.pick);
        else if (held.length < count) await take();
      }
      while (held.length > 0 || asked.size > 0) {
        if (held.length < count) await take();
        done(0);
      }
      assert.equal(queue.depth('fresh') + queue.depth('periodic'), 0);
    }),
    { seed: 11, numRuns: 300 },
  );
});

test('with up to four hanging clouds, a key of another cloud finds one of sixteen workers free', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(key, { maxLength: 60 }), async (dead, keys) => {
      const { queue } = queueOf();
      const clouds = ['c1', 'c2', 'c3', 'c4'].slice(0, dead);
      for (const cloud of clouds) for (let i = 0; i < 30; i++) queue.add(`n${i % 3}/${cloud}-${i}`);
      for (const each of keys) if (clouds.includes(flowOf(each) ?? '')) queue.add(each);
      await takeNow(queue);
      queue.add('n9/alive-1');
      assert.deepEqual(await takeNow(queue), ['n9/alive-1']);
    }),
    { seed: 12, numRuns: 60 },
  );
});

test('for every backlog, a namespace gets its first turn after at most one turn of each other namespace', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(5), { minLength: 1, maxLength: 60 }), fc.nat(30), async (backlog, before) => {
      const clock = createVirtualClock();
      const queue = createQueue({ clock, workers: 1000 });
      for (const [index, ns] of backlog.entries()) queue.add(`n${ns}/${index}`);
      await takeNow(queue, Math.min(before, backlog.length));
      queue.add('late/1');
      const order = await takeNow(queue);
      const ahead = order.slice(0, order.indexOf('late/1')).map((each) => each.split('/')[0]);
      assert.equal(new Set(ahead).size, ahead.length, `${ahead} went before`);
    }),
    { seed: 13, numRuns: 200 },
  );
});
