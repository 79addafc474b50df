import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { createFairQueue, type FairQueue } from '../../src/lib/fair-queue.ts';

interface Waiter {
  group: string;
  name: string;
  /** What it waits for; it may go only while that is open. */
  door: number;
}

let serial = 0;
const waiter = (group: string, door = 0): Waiter => ({ group, name: `${group}${serial++}`, door });
const newQueue = () => createFairQueue<Waiter>(({ group }) => group);
const always = () => true;

function drain(queue: FairQueue<Waiter>): Waiter[] {
  const gone: Waiter[] = [];
  for (let next = queue.take(always); next !== undefined; next = queue.take(always)) gone.push(next);
  return gone;
}

describe('a fair queue', () => {
  test('a fair queue is round-robin over groups and FIFO within a group', () => {
    const queue = newQueue();
    const [a, b, c, d, e] = ['x', 'x', 'x', 'y', 'z'].map((group) => waiter(group));
    for (const each of [a, b, c, d, e]) if (each !== undefined) queue.add(each);
    assert.deepEqual(drain(queue), [a, d, e, b, c]);
  });

  test('an item of a group that has just been served waits for the first items of the others', () => {
    const queue = newQueue();
    queue.add(waiter('x'));
    queue.take(always);
    const again = waiter('x');
    const fresh = waiter('y');
    queue.add(again);
    queue.add(fresh);
    assert.deepEqual(drain(queue), [fresh, again]);
  });

  test('the round of a removed item goes to the next item of its group', () => {
    const queue = newQueue();
    const [x1, x2, y1, y2] = [waiter('x'), waiter('x'), waiter('y'), waiter('y')];
    for (const each of [x1, x2, y1, y2]) queue.add(each);
    queue.remove(x1);
    assert.deepEqual(drain(queue), [x2, y1, y2]);
  });

  test('the round of the last item of a group goes to the next arrival of the group', () => {
    const queue = newQueue();
    const [x1, x2, x3] = [waiter('x'), waiter('x'), waiter('x')];
    const [y1, y2, y3] = [waiter('y'), waiter('y'), waiter('y')];
    for (const each of [x1, x2, y1, y2, y3]) queue.add(each);
    queue.remove(x2);
    queue.add(x3);
    assert.deepEqual(drain(queue), [x1, y1, y2, x3, y3]);
  });

  test('an item that moves up does not get a round that was over at its arrival', () => {
    const queue = newQueue();
    const [x1, x2, y1, y2, z] = [waiter('x', 1), waiter('x'), waiter('y'), waiter('y'), waiter('z')];
    for (const each of [x1, y1, y2]) queue.add(each);
    for (const went of [y1, y2])
      assert.equal(
        queue.take(({ door }) => door === 0),
        went,
      );
    queue.add(z);
    queue.add(x2);
    queue.remove(x1);
    assert.deepEqual(drain(queue), [z, x2]);
  });

  test('a blocked item keeps its round and does not block the others', () => {
    const queue = newQueue();
    const blocked = waiter('x', 1);
    queue.add(blocked);
    for (let busy = 0; busy < 20; busy++) {
      queue.add(waiter('x'));
      queue.add(waiter('y', busy % 2));
      assert.notEqual(
        queue.take(({ door }) => door === 0),
        undefined,
      );
    }
    assert.equal(
      queue.take(({ door }) => door === 1),
      blocked,
    );
  });
});

describe('a fair queue with any arrivals and removals', () => {
  const group = fc.constantFrom('a', 'b', 'c', 'd');
  const door = fc.nat(2);
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('come' as const), group, door }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('open' as const), door }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('leave' as const), at: fc.nat(9) }) },
  );

  test('positions are 1, 2, 3… in starting order, and within a group by arrival', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const queue = newQueue();
        const waiting: Waiter[] = [];
        for (const each of steps) {
          if (each.kind === 'come') {
            const next = waiter(each.group, each.door);
            waiting.push(next);
            queue.add(next);
          } else {
            const gone = each.kind === 'open' ? queue.take((one) => one.door === each.door) : waiting[each.at];
            if (gone === undefined) continue;
            if (each.kind === 'leave') queue.remove(gone);
            waiting.splice(waiting.indexOf(gone), 1);
            assert.equal(queue.position(gone), undefined);
          }
        }
        const places = waiting.map((one) => queue.position(one));
        assert.deepEqual(
          [...places].sort((a, b) => Number(a) - Number(b)),
          waiting.map((_, index) => index + 1),
        );
        const sorted = [...waiting].sort((a, b) => Number(queue.position(a)) - Number(queue.position(b)));
        for (const name of ['a', 'b', 'c', 'd']) {
          const of = (list: Waiter[]) => list.filter((one) => one.group === name);
          assert.deepEqual(of(sorted), of(waiting));
        }
        assert.deepEqual(drain(queue), sorted);
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  test('an item is never overtaken by more than one item of each other group per round', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const queue = newQueue();
        const waiting = new Map<Waiter, { ahead: number; overtaken: number }>();
        const come = (next: Waiter) => {
          const ahead = [...waiting.keys()].filter(({ group }) => group === next.group).length;
          waiting.set(next, { ahead, overtaken: 0 });
          queue.add(next);
        };
        const go = (went: Waiter) => {
          const arrivals = [...waiting];
          waiting.delete(went);
          const earlier = arrivals.slice(
            0,
            arrivals.findIndex(([one]) => one === went),
          );
          for (const [one, fate] of earlier) if (one.door === went.door) fate.overtaken++;
        };
        for (const each of steps) {
          if (each.kind === 'come') come(waiter(each.group, each.door));
          const went = each.kind === 'open' ? queue.take((one) => one.door === each.door) : undefined;
          if (went !== undefined) go(went);
        }
        // A newcomer of each other group may go before it, once for its own turn and once for each turn of its group before.
        for (const { ahead, overtaken } of waiting.values()) assert(overtaken <= 3 * (ahead + 2));
      }),
      { seed: 2, numRuns: 500 },
    );
  });

  test('a fair queue stays fair after any number of groups', () => {
    const queue = newQueue();
    for (let index = 0; index < 5000; index++) {
      queue.add(waiter(`group-${index}`));
      queue.take(always);
    }
    const [first, second, other] = [waiter('x'), waiter('x'), waiter('y')];
    for (const each of [first, second, other]) queue.add(each);
    assert.deepEqual(drain(queue), [first, other, second]);
  });
});

describe('a fair queue with flows', () => {
  interface Job {
    group: string;
    flow: string;
    name: string;
  }
  const job = (group: string, flow: string): Job => ({ group, flow, name: `${group}/${flow}-${serial++}` });
  const newFlows = () =>
    createFairQueue<Job>(
      ({ group }) => group,
      ({ flow }) => flow,
    );

  function drainFlows(queue: FairQueue<Job>): string[] {
    const started: string[] = [];
    for (let next = queue.take(always); next; next = queue.take(always)) started.push(`${next.group}/${next.flow}`);
    return started;
  }

  test('flows of a group take turns, and more flows give a group no more turns', () => {
    const queue = newFlows();
    for (const flow of ['a', 'a', 'b', 'b', 'c']) queue.add(job('many', flow));
    for (let count = 0; count < 3; count++) queue.add(job('one', 'a'));
    assert.deepEqual(drainFlows(queue), ['many/a', 'one/a', 'many/b', 'one/a', 'many/c', 'one/a', 'many/a', 'many/b']);
  });

  test('a flow that is blocked whenever its group is next is not overtaken without limit', () => {
    const queue = newFlows();
    const steady = job('x', 'shared');
    queue.add(job('y', 'shared'));
    queue.add(steady);
    const order: string[] = [];
    for (let turn = 0; turn < 10 && queue.position(steady) !== undefined; turn++) {
      queue.add(job('x', 'own'));
      queue.add(job('y', 'shared'));
      // The shared flow may start only when group x has just had a turn.
      queue.take(({ flow }) => flow === 'own');
      order.push(queue.take(({ flow }) => flow === 'shared')?.group ?? 'none');
    }
    assert.deepEqual(order, ['y', 'x']);
  });

  test('the head of a flow that is removed is replaced by the next item of the flow, in the same round', () => {
    const queue = newFlows();
    const [first, second, third] = [job('x', 'a'), job('x', 'a'), job('x', 'b')];
    for (const each of [first, second, third, job('y', 'a')]) queue.add(each);
    queue.remove(first);
    assert.deepEqual([queue.position(second), queue.size], [1, 3]);
    assert.deepEqual(drainFlows(queue), ['x/a', 'y/a', 'x/b']);
  });

  test('items that move into one flow leave no gap in the rounds of their group', () => {
    const queue = newFlows();
    const moving = Array.from({ length: 50 }, (_, index) => job('x', `alone-${index}`));
    for (const each of moving) queue.add(each);
    for (const each of moving) each.flow = 'a';
    // The flow is blocked at first, so that all items are moved.
    assert.equal(
      queue.take(({ flow }) => flow !== 'a'),
      undefined,
    );
    for (let count = 0; count < 3; count++) queue.add(job('y', 'a'));
    assert.deepEqual(drainFlows(queue).slice(0, 6), ['x/a', 'y/a', 'x/a', 'y/a', 'x/a', 'y/a']);
  });

  test('10 000 items, each in a flow of its own, move into one flow within a bounded number of steps', () => {
    let flowCalls = 0;
    const jobs = Array.from({ length: 10_000 }, (_, index) => job('x', `alone-${index}`));
    const queue = createFairQueue<Job>(
      ({ group }) => group,
      ({ flow }) => {
        flowCalls++;
        return flow;
      },
    );
    for (const each of jobs) queue.add(each);
    for (const each of jobs) each.flow = 'a';
    assert.equal(
      queue.take(() => false),
      undefined,
    );
    assert.ok(flowCalls <= 3 * jobs.length, `${flowCalls} calls`);
    assert.equal(queue.take(always), jobs[0]);
  });

  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('add' as const),
        group: fc.constantFrom('x', 'y', 'z'),
        flow: fc.nat(3),
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('take' as const), flow: fc.nat(3) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('move' as const), at: fc.nat(9), flow: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), at: fc.nat(9) }) },
  );

  test('for every sequence of steps, changes of flows included, no item is lost or returned twice', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const queue = newFlows();
        const waiting: Job[] = [];
        const drop = (item: Job | undefined) => {
          if (item === undefined) return;
          assert.ok(waiting.includes(item), `${item.name} was returned twice`);
          waiting.splice(waiting.indexOf(item), 1);
        };
        const perform = (each: typeof step extends fc.Arbitrary<infer S> ? S : never) => {
          switch (each.kind) {
            case 'add': {
              const next = job(each.group, `${each.flow}`);
              waiting.push(next);
              return queue.add(next);
            }
            case 'take':
              return drop(queue.take(({ flow }) => flow === `${each.flow}`));
            case 'move': {
              const item = waiting[each.at];
              if (item === undefined) return;
              item.flow = `${each.flow}`;
              // Half of the changes are announced; the others are noticed when the item is next.
              return each.at % 2 === 0 ? queue.add(item) : undefined;
            }
            case 'remove': {
              const item = waiting[each.at];
              if (item !== undefined) queue.remove(item);
              return drop(item);
            }
          }
        };
        for (const each of steps) {
          perform(each);
          assert.equal(queue.size, waiting.length);
          const positions = waiting.flatMap((item) => queue.position(item) ?? []).sort((a, b) => a - b);
          assert.deepEqual(
            positions,
            positions.map((_, index) => index + 1),
          );
        }
        for (let next = queue.take(always); next !== undefined; next = queue.take(always)) drop(next);
        assert.deepEqual(waiting, []);
      }),
      { seed: 3, numRuns: 500 },
    );
  });

  test('for every backlog, a new group starts after at most one turn of each other group, whatever their flows are', () => {
    const backlog = fc.array(fc.record({ group: fc.nat(4), flow: fc.nat(9) }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(backlog, fc.nat(30), (jobs, before) => {
        const queue = newFlows();
        for (const { group, flow } of jobs) queue.add(job(`g${group}`, `${flow}`));
        for (let count = 0; count < Math.min(before, jobs.length); count++) queue.take(always);
        queue.add(job('late', 'a'));
        const order = drainFlows(queue).map((name) => name.split('/')[0]);
        const ahead = order.slice(0, order.indexOf('late'));
        assert.equal(new Set(ahead).size, ahead.length, `${ahead} started before`);
      }),
      { seed: 4, numRuns: 300 },
    );
  });
});
