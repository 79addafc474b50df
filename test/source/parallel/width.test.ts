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

const alone = { bytes: 0, cuts: 0 };

/** The widths of a download, each once, from a source with this rate for so many connections. `waits`: the part of the time. */
function widthsOf(rate: (width: number) => number, waits = 1, seconds = 60): number[] {
  const widths: number[] = [];
  let state = startWidth();
  for (let at = 100; at <= seconds * 1000; at += 100) {
    state = nextWidth(state, {
      at,
      bytes: rate(state.width) * 100,
      waitedMs: 100 * waits,
      others: alone,
      idleProcessors: 2,
    });
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

test('many connections that reach their rates only after a second are kept', () => {
  let state = startWidth();
  let wideSince = Number.POSITIVE_INFINITY;
  for (let at = 100; at < 10_000; at += 100) {
    if (state.width === 8) wideSince = Math.min(wideSince, at);
    const rate = state.width < 8 ? 20 * state.width : at - wideSince < 1000 ? 40 : 130;
    state = nextWidth(state, { at, bytes: rate * 100, waitedMs: 100, others: alone, idleProcessors: 2 });
  }
  assert.equal(state.width, 8);
});

test('a source that is not faster with two connections is read by one again, and is tried once more after half a minute', () => {
  assert.deepEqual(
    widthsOf(() => 20, 1, 30),
    [1, 2, 1],
  );
  assert.deepEqual(
    widthsOf(() => 20, 1, 600),
    [1, 2, 1, 2, 1],
  );
});

test('a source that becomes faster with two connections only later is read by 8 then', () => {
  let state = startWidth();
  for (let at = 100; at < 60_000; at += 100) {
    const rate = at < 20_000 ? 20 : 20 * state.width;
    state = nextWidth(state, { at, bytes: rate * 100, waitedMs: 100, others: alone, idleProcessors: 2 });
  }
  assert.equal(state.width, 8);
});

/** The widths of a download next to others, whose bytes per millisecond and cuts are those of each moment. */
function widthsBeside(others: (at: number, width: number) => { rate: number; cuts: number }): number[] {
  const widths: number[] = [];
  let state = startWidth();
  let bytes = 0;
  for (let at = 100; at <= 20_000; at += 100) {
    const { rate, cuts } = others(at, state.width);
    bytes += rate * 100;
    state = nextWidth(state, {
      at,
      bytes: 20 * state.width * 100,
      waitedMs: 100,
      others: { bytes, cuts },
      idleProcessors: 2,
    });
    if (state.width !== widths.at(-1)) widths.push(state.width);
  }
  return widths;
}

test('bytes that other downloads lose are no gain of a second connection', () => {
  assert.deepEqual(
    widthsBeside((_at, width) => ({ rate: 80 - 20 * width, cuts: 0 })),
    [1, 2, 1],
  );
});

test('other downloads that gain bytes, or end, change nothing in what further connections gain', () => {
  assert.deepEqual(
    widthsBeside((at) => ({ rate: at / 50, cuts: 0 })),
    [1, 2, 8],
  );
  for (let end = 100; end < 5000; end += 100) {
    const widths = widthsBeside((at) => (at < end ? { rate: 100, cuts: 0 } : { rate: 0, cuts: 1 }));
    assert.deepEqual(widths, [1, 2, 8], `the other one ends after ${end} ms`);
  }
});

test('the number of connections stays where more of them bring no more bytes', () => {
  assert.deepEqual(
    widthsOf((width) => Math.min(20 * width, 80)),
    [1, 2, 8, 4, 8, 4],
  );
  assert.deepEqual(
    widthsOf((width) => Math.min(20 * width, 45)),
    [1, 2, 8, 2, 4, 2],
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

test('a download has one connection while the processors are busy, and more of them later', () => {
  let state = startWidth();
  for (let at = 100; at < 60_000; at += 100) {
    const [bytes, idleProcessors] = [2000 * state.width, at < 20_000 ? 0.4 : 0.6];
    state = nextWidth(state, { at, bytes, waitedMs: 100, others: alone, idleProcessors });
    if (at < 20_000) assert.equal(state.width, 1);
  }
  assert.equal(state.width, 8);
});

test('a connection that is fast at first, because of what buffers held, is one of 8 within two seconds', () => {
  for (const burst of [25, 30, 45, 100, 1000]) {
    let state = startWidth();
    for (let at = 100; at <= 2000; at += 100) {
      const rate = at <= 300 ? burst : 20 * state.width;
      state = nextWidth(state, { at, bytes: rate * 100, waitedMs: 100, others: alone, idleProcessors: 2 });
    }
    assert.equal(state.width, 8, `${burst}`);
  }
});

test('a connection that is slow at first is no reason for others', () => {
  let state = startWidth();
  for (let at = 100; at < 60_000; at += 100) {
    const rate = Math.min(20, at / 50);
    state = nextWidth(state, { at, bytes: rate * 100, waitedMs: 100, others: alone, idleProcessors: 2 });
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
  for (let at = 100; at < 60_000; at += 100)
    state = nextWidth(state, { at, bytes: 5, waitedMs: 100, others: alone, idleProcessors: 2 });
  assert.equal(state.width, 1);
});

test('whatever arrives, there are 1 to 8 connections, and their number stays after two trials without gain', () => {
  const arrival = fc.record({
    ms: fc.integer({ min: 0, max: 5000 }),
    bytes: fc.nat(10 ** 9),
    part: fc.double({ min: 0, max: 1, noNaN: true }),
    others: fc.record({ bytes: fc.nat(10 ** 9), cuts: fc.nat(1) }),
  });
  fc.assert(
    fc.property(fc.array(arrival, { maxLength: 200 }), (arrivals) => {
      let state: Width = startWidth();
      let at = 0;
      let others = alone;
      for (const { ms, bytes, part, others: more } of arrivals) {
        at += ms;
        others = { bytes: others.bytes + more.bytes, cuts: others.cuts + more.cuts };
        const next = nextWidth(state, { at, bytes, waitedMs: ms * part, others, idleProcessors: 2 });
        assert(next.width >= 1 && next.width <= mostConnections && Number.isInteger(next.width));
        if (next.width < state.width) assert.equal(next.failures, state.failures + 1);
        if (next.failures === 2) assert(next.isSettled);
        if (state.isSettled) assert.equal(next.width, state.width);
        state = next;
      }
    }),
  );
});
