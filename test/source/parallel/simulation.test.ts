import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAheadBytes } from '../../../src/source/parallel/downloads.ts';
import { type Simulated, simulate } from './simulation.ts';

const gib = 2 ** 30;
const limited: Simulated = {
  bytes: gib,
  rate: () => 20e6,
  latencyMs: 80,
  connectMs: 0,
  readerRate: 215e6,
};
/** By eight connections from the first byte on. */
const idealSeconds = gib / (8 * 20e6);

test('a source that limits each connection is read by eight within a second, at nearly all of their rate', async () => {
  const { seconds, secondsTo, use, sent } = await simulate(limited);
  assert((secondsTo.get(8) ?? Infinity) <= 1, `eight after ${secondsTo.get(8)} s`);
  assert(use >= 0.97, `${use} of the rate of eight connections is used`);
  assert(idealSeconds / seconds >= 0.88, `${seconds} s, where ${idealSeconds} s are possible`);
  assert.equal(sent, gib, 'no byte is sent twice');
});

test('eight connections are used in full at any latency up to 80 ms, if they connect slowly too', async () => {
  for (const latencyMs of [5, 80]) {
    for (const [connectMs, slowStartMs] of [
      [0, 0],
      [160, 0],
      [240, 500],
    ] as const) {
      const { use, seconds } = await simulate({ ...limited, latencyMs, connectMs, slowStartMs });
      assert(use >= 0.93, `${use} with ${latencyMs} ms, ${connectMs} ms and ${slowStartMs} ms`);
      assert(seconds <= idealSeconds + 2.5, `${seconds} s`);
    }
  }
});

test('bytes that wait for those before them take no more than the memory for it, also behind a slow reader', async () => {
  for (const readerRate of [30e6, 120e6, 1e9]) {
    const { mostHeld, seconds } = await simulate({ ...limited, bytes: gib / 4, readerRate });
    assert(mostHeld <= readAheadBytes, `${mostHeld} bytes`);
    assert(seconds <= (gib / 4 / Math.min(readerRate, 160e6)) * 1.2 + 1.5, `${seconds} s at ${readerRate}`);
  }
});

test('a source with one limit for all connections is tried with one more, for little time and few bytes', async () => {
  for (const [connectMs, slowStartMs] of [
    [0, 0],
    [80, 0],
    [80, 300],
    [80, 1000],
  ] as const) {
    const { secondsTo, sent, seconds, requests } = await simulate({
      ...limited,
      bytes: gib / 4,
      rate: (sending) => 20e6 / sending,
      connectMs,
      slowStartMs,
    });
    if (slowStartMs === 0) assert(requests <= 8, `${requests} requests: the first connection did not go on`);
    assert(Math.max(...secondsTo.keys()) === 2, `${[...secondsTo.keys()]} connections`);
    assert(sent <= (gib / 4) * 1.05, `${sent} bytes were sent`);
    assert(seconds <= gib / 4 / 20e6 + 1.2, `${seconds} s`);
  }
});

test('a file of less than 64 MiB is read by one connection, because further ones are not worth their requests', async () => {
  const connections = async (bytes: number) => [...(await simulate({ ...limited, bytes })).secondsTo.keys()];
  assert.deepEqual(await connections(64 * 2 ** 20 - 1), [0, 1]);
  assert(Math.max(...(await connections(96 * 2 ** 20))) > 1);
});

test('a reader that is the limit gets no second connection', async () => {
  const { secondsTo } = await simulate({ ...limited, bytes: gib / 8, rate: () => 500e6, readerRate: 200e6 });
  assert.deepEqual([...secondsTo.keys()].sort(), [0, 1]);
});

test('a server that sends a response only after a pause is still read by eight', async () => {
  const { seconds } = await simulate({ ...limited, isPipelined: false });
  assert(seconds <= idealSeconds * 2, `${seconds} s`);
});

test('downloads that share one limit try one further connection at a time, for few bytes, and none of them is slowed', async () => {
  const { secondsTo, sent, seconds } = await simulate({
    ...limited,
    bytes: gib / 8,
    rate: (sending) => 60e6 / sending,
    readers: 4,
  });
  assert(Math.max(...secondsTo.keys()) <= 5, `${[...secondsTo.keys()]} connections`);
  assert(sent <= (gib / 2) * 1.05, `${sent} bytes were sent`);
  assert(seconds <= (gib / 2 / 60e6) * 1.05 + 0.5, `${seconds} s`);
});

test('downloads from sources that limit each connection share the memory of eight further ones', async () => {
  const { secondsTo, mostHeld, seconds } = await simulate({ ...limited, bytes: gib / 4, readers: 4 });
  assert(Math.max(...secondsTo.keys()) >= 11, `${[...secondsTo.keys()]} connections`);
  assert(mostHeld <= readAheadBytes, `${mostHeld} bytes`);
  assert(seconds <= (gib / 4 / 20e6) * 0.8, `${seconds} s`);
});

test('a second connection that connects too slowly is replaced by another one', async () => {
  const { secondsTo } = await simulate({ ...limited, bytes: gib / 2, slowToConnect: { 1: 60_000 } });
  assert((secondsTo.get(8) ?? Infinity) <= 4, `eight after ${secondsTo.get(8)} s`);
});
