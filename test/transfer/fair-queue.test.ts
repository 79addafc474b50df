import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { createFairQueue, type FairQueue } from '../../src/transfer/fair-queue.ts';

interface Waiter {
  group: string;
  name: string;
  /** What it waits for; it may go only while that is open. */
  door: number;
}

let serial = 0;
const waiter = (group: string, door = 0): Waiter => ({ group, name: `${group}${serial++}`, door });
const newTurns = () => createFairQueue<Waiter>(({ group }) => group);
const anybody = () => true;

function drain(turns: FairQueue<Waiter>): Waiter[] {
  const gone: Waiter[] = [];
  for (let next = turns.take(anybody); next !== undefined; next = turns.take(anybody)) gone.push(next);
  return gone;
}

describe('a fair queue', () => {
  test('a fair queue is round-robin over groups and FIFO within a group', () => {
    const turns = newTurns();
    const [a, b, c, d, e] = ['x', 'x', 'x', 'y', 'z'].map((group) => waiter(group));
    for (const each of [a, b, c, d, e]) if (each !== undefined) turns.add(each);
    assert.deepEqual(drain(turns), [a, d, e, b, c]);
  });

  test('an item of a group that has just been served waits for the first items of the others', () => {
    const turns = newTurns();
    turns.add(waiter('x'));
    turns.take(anybody);
    const again = waiter('x');
    const fresh = waiter('y');
    turns.add(again);
    turns.add(fresh);
    assert.deepEqual(drain(turns), [fresh, again]);
  });

  test('the round of a removed item goes to the next item of its group', () => {
    const turns = newTurns();
    const [x1, x2, y1, y2] = [waiter('x'), waiter('x'), waiter('y'), waiter('y')];
    for (const each of [x1, x2, y1, y2]) turns.add(each);
    turns.remove(x1);
    assert.deepEqual(drain(turns), [x2, y1, y2]);
  });

  test('the round of the last item of a group goes to the next arrival of the group', () => {
    const turns = newTurns();
    const [x1, x2, x3] = [waiter('x'), waiter('x'), waiter('x')];
    const [y1, y2, y3] = [waiter('y'), waiter('y'), waiter('y')];
    for (const each of [x1, x2, y1, y2, y3]) turns.add(each);
    turns.remove(x2);
    turns.add(x3);
    assert.deepEqual(drain(turns), [x1, y1, y2, x3, y3]);
  });

  test('an item that moves up does not get a round that was over at its arrival', () => {
    const turns = newTurns();
    const [x1, x2, y1, y2, z] = [waiter('x', 1), waiter('x'), waiter('y'), waiter('y'), waiter('z')];
    for (const each of [x1, y1, y2]) turns.add(each);
    for (const went of [y1, y2])
      assert.equal(
        turns.take(({ door }) => door === 0),
        went,
      );
    turns.add(z);
    turns.add(x2);
    turns.remove(x1);
    assert.deepEqual(drain(turns), [z, x2]);
  });

  test('a blocked item keeps its round and does not block the others', () => {
    const turns = newTurns();
    const blocked = waiter('x', 1);
    turns.add(blocked);
    for (let busy = 0; busy < 20; busy++) {
      turns.add(waiter('x'));
      turns.add(waiter('y', busy % 2));
      assert.notEqual(
        turns.take(({ door }) => door === 0),
        undefined,
      );
    }
    assert.equal(
      turns.take(({ door }) => door === 1),
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
        const turns = newTurns();
        const waiting: Waiter[] = [];
        for (const each of steps) {
          if (each.kind === 'come') {
            const next = waiter(each.group, each.door);
            waiting.push(next);
            turns.add(next);
          } else {
            const gone = each.kind === 'open' ? turns.take((one) => one.door === each.door) : waiting[each.at];
            if (gone === undefined) continue;
            if (each.kind === 'leave') turns.remove(gone);
            waiting.splice(waiting.indexOf(gone), 1);
            assert.equal(turns.position(gone), undefined);
          }
        }
        const places = waiting.map((one) => turns.position(one));
        assert.deepEqual(
          [...places].sort((a, b) => Number(a) - Number(b)),
          waiting.map((_, index) => index + 1),
        );
        const sorted = [...waiting].sort((a, b) => Number(turns.position(a)) - Number(turns.position(b)));
        for (const name of ['a', 'b', 'c', 'd']) {
          const of = (list: Waiter[]) => list.filter((one) => one.group === name);
          assert.deepEqual(of(sorted), of(waiting));
        }
        assert.deepEqual(drain(turns), sorted);
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  test('an item is never overtaken by more than one item of each other group per round', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const turns = newTurns();
        const waiting = new Map<Waiter, { ahead: number; overtaken: number }>();
        const come = (next: Waiter) => {
          const ahead = [...waiting.keys()].filter(({ group }) => group === next.group).length;
          waiting.set(next, { ahead, overtaken: 0 });
          turns.add(next);
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
          const went = each.kind === 'open' ? turns.take((one) => one.door === each.door) : undefined;
          if (went !== undefined) go(went);
        }
        // A newcomer of each other group may go before it, once for its own turn and once for each turn of its group before.
        for (const { ahead, overtaken } of waiting.values()) assert(overtaken <= 3 * (ahead + 2));
      }),
      { seed: 2, numRuns: 500 },
    );
  });

  test('a fair queue stays fair after any number of groups', () => {
    const turns = newTurns();
    for (let index = 0; index < 5000; index++) {
      turns.add(waiter(`group-${index}`));
      turns.take(anybody);
    }
    const [first, second, other] = [waiter('x'), waiter('x'), waiter('y')];
    for (const each of [first, second, other]) turns.add(each);
    assert.deepEqual(drain(turns), [first, other, second]);
  });
});
