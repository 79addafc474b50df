import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type AllDownloads,
  createSharedDownloads,
  downloadsOf,
  readAheadBytes,
  shareBytes,
} from '../../../src/source/parallel/downloads.ts';

/** Threads that share downloads, at a time that the test sets. */
function threads(count: number) {
  const time = { now: 0 };
  const shared = createSharedDownloads();
  const joined = Array.from({ length: count }, () => shared.join());
  const each = joined.map((own) => downloadsOf(own, { monotonic: () => time.now }));
  return { time, shared, joined, each };
}

function leasesOf(downloads: AllDownloads | undefined): Disposable[] {
  const leases: Disposable[] = [];
  for (;;) {
    const lease = downloads?.readAhead.spare(shareBytes);
    if (lease === undefined) return leases;
    leases.push(lease);
  }
}

test('the downloads of all threads together have the memory of eight connections', () => {
  const action = fc.record({ thread: fc.nat(3), takes: fc.boolean() });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 100 }), (actions) => {
      const { each } = threads(4);
      const held: Disposable[][] = each.map(() => []);
      for (const { thread, takes } of actions) {
        const isFree = held.flat().length * shareBytes < readAheadBytes;
        if (takes) {
          const lease = each[thread]?.readAhead.spare(shareBytes);
          assert.equal(lease !== undefined, isFree);
          if (lease !== undefined) held[thread]?.push(lease);
        } else held[thread]?.pop()?.[Symbol.dispose]();
      }
    }),
  );
});

test('the memory of a thread that has ended is free again, and its place too', () => {
  const { shared, joined, each } = threads(2);
  assert.equal(leasesOf(each[0]).length * shareBytes, readAheadBytes);
  assert.equal(leasesOf(each[1]).length, 0);
  shared.leave(joined[0]?.thread ?? Number.NaN);
  assert.equal(leasesOf(each[1]).length * shareBytes, readAheadBytes);
  assert.equal(shared.join().thread, joined[0]?.thread);
});

test('memory that is returned twice is free once', () => {
  const { each } = threads(1);
  const [lease] = leasesOf(each[0]);
  lease?.[Symbol.dispose]();
  lease?.[Symbol.dispose]();
  assert.equal(leasesOf(each[0]).length, 1);
});

test('threads beyond those that there is a place for get no memory, and those with a place still do', () => {
  const { each } = threads(100);
  assert.equal(leasesOf(each.at(-1)).length, 0);
  assert.equal(leasesOf(each[0]).length * shareBytes, readAheadBytes);
});

test('one download of all threads tries a second connection at a time, and after no gain there is a pause', () => {
  const { time, each } = threads(2);
  const [one, other] = each;
  const first = one?.beginTrial();
  assert.notEqual(first, undefined);
  assert.equal(one?.beginTrial(), undefined);
  assert.equal(other?.beginTrial(), undefined);
  first?.end(true);
  const second = other?.beginTrial();
  second?.end(false);
  assert.equal(one?.beginTrial(), undefined);
  time.now += 10_000;
  assert.notEqual(one?.beginTrial(), undefined);
});

test('a trial that does not end holds up others only for a while, and its late end does not end that of another', () => {
  const { time, each } = threads(2);
  const [one, other] = each;
  const lost = one?.beginTrial();
  time.now += 10_000;
  assert.notEqual(other?.beginTrial(), undefined);
  lost?.end(true);
  assert.equal(one?.beginTrial(), undefined);
});

test('bytes and cuts are counted for the downloads of all threads', () => {
  const { each } = threads(3);
  for (const [at, downloads] of each.entries()) downloads.arrived(10 ** at);
  each[1]?.cut();
  for (const downloads of each) assert.deepEqual(downloads.counts(), { bytes: 111, cuts: 1 });
});

test('the processors are idle as far as the counter of their idle time rises, and are looked at every 200 ms', () => {
  const time = { now: 1000 };
  let idleMs = 5000;
  let looks = 0;
  const { idleProcessors } = downloadsOf(createSharedDownloads().join(), { monotonic: () => time.now }, () => {
    looks++;
    return { idleMs, busyMs: 2 * time.now - idleMs };
  });
  const later = (ms: number, idle: number) => {
    time.now += ms;
    idleMs += ms * idle;
    return idleProcessors();
  };
  later(3_600_000, 4);
  assert.equal(later(200, 0.5), 0.5);
  looks = 0;
  for (let at = 0; at < 199; at++) assert.equal(later(1, 2), 0.5);
  assert.equal(looks, 0);
  assert.equal(later(1, 2), 2);
  assert.equal(looks, 1);
});

test('where the system does not count the time of processors, any number of them may be idle', () => {
  const time = { now: 0 };
  const uncounted = () => ({ idleMs: 0, busyMs: 0 });
  const { idleProcessors } = downloadsOf(createSharedDownloads().join(), { monotonic: () => time.now }, uncounted);
  time.now = 1000;
  assert.equal(idleProcessors(), Number.POSITIVE_INFINITY);
});

test('any number of threads may leave', () => {
  const { shared, joined } = threads(100);
  for (const { thread } of joined) shared.leave(thread);
  assert.equal(shared.join().thread, 0);
});
