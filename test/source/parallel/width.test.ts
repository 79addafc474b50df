import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  mostConnections,
  nextWidth,
  startWidth,
  type Width,
  withOneConnection,
} from '../../../src/source/parallel/width.ts';

/** The widths of a download, each once, from a source with this rate for so many connections. `waits`: the part of the time. */
function widthsOf(rate: (width: number) => number, waits = 1, seconds = 60): number[] {
  const widths: number[] = [];
  let state = startWidth();
  for (let at = 100; at <= seconds * 1000; at += 100) {
    state = nextWidth(state, { at, bytes: rate(state.width) * 100, waitedMs: 100 * waits });
    if (state.width !== widths.at(-1)) widths.push(state.width);
  }
  return widths;
}

test('a source that limits each connection is read by 8', () => {
  assert.deepEqual(
    widthsOf((width) => 20 * width),
    [1, 2, 8],
  );
});

test('a source that is not faster with two connections is read by one again, for good', () => {
  assert.deepEqual(
    widthsOf(() => 20),
    [1, 2, 1],
  );
});

test('the number of connections stays where more of them bring no more bytes', () => {
  assert.deepEqual(
    widthsOf((width) => Math.min(20 * width, 80)),
    [1, 2, 8, 4],
  );
  assert.deepEqual(
    widthsOf((width) => Math.min(20 * width, 45)),
    [1, 2, 8, 2],
  );
});

test('where more connections bring more bytes, but not in proportion, their number doubles', () => {
  assert.deepEqual(
    widthsOf((width) => 20 * width ** 0.6),
    [1, 2, 4, 8],
  );
});

test('eight connections are tried within 1.5 seconds', () => {
  assert.deepEqual(
    widthsOf((width) => 20 * width, 1, 1.5),
    [1, 2, 8],
  );
});

test('a connection that is slow at first is no reason for others', () => {
  let state = startWidth();
  for (let at = 100; at < 60_000; at += 100) {
    const rate = Math.min(20, at / 50);
    state = nextWidth(state, { at, bytes: rate * 100, waitedMs: 100 });
    assert(state.width <= 2);
  }
  assert.equal(state.width, 1);
});

test('a reader that does not wait for the source uses one connection', () => {
  assert.deepEqual(
    widthsOf((width) => 20 * width, 0.4),
    [1],
  );
});

test('a reader that could hardly take twice as much from the source tries no second connection', () => {
  assert.deepEqual(
    widthsOf((width) => 20 * width, 0.6),
    [1],
  );
});

test('a failure of a further connection leaves one, for good', () => {
  let state = withOneConnection({ ...startWidth(), width: 4 });
  for (let at = 100; at < 60_000; at += 100) state = nextWidth(state, { at, bytes: 5, waitedMs: 100 });
  assert.equal(state.width, 1);
});

test('whatever arrives, there are 1 to 8 connections, their number changes at most six times, and after no gain it stays', () => {
  const arrival = fc.record({
    ms: fc.integer({ min: 0, max: 5000 }),
    bytes: fc.nat(10 ** 9),
    part: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(arrival, { maxLength: 200 }), (arrivals) => {
      let state: Width = startWidth();
      let at = 0;
      let changes = 0;
      for (const { ms, bytes, part } of arrivals) {
        at += ms;
        const next = nextWidth(state, { at, bytes, waitedMs: ms * part });
        assert(next.width >= 1 && next.width <= mostConnections && Number.isInteger(next.width));
        if (next.width !== state.width) changes++;
        if (next.width < state.width) assert(next.isSettled);
        if (state.isSettled) assert.equal(next.width, state.width);
        state = next;
      }
      assert(changes <= 6);
    }),
  );
});
