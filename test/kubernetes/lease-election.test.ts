import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Election, next, start } from '../../src/kubernetes/election.ts';
import type { Lease } from '../../src/kubernetes/lease.ts';

const timing = { leaseMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2000 };

const lease = (holder: string, renewTime = 't0', durationMs: number | undefined = 15_000): Lease => ({
  holder,
  durationMs,
  renewTime,
  transitions: 0,
  object: { metadata: { resourceVersion: '1' } },
});

const step = (state: Election, finding: Parameters<typeof next>[1]) => next(state, finding, 'me', timing);
const read = (found: Lease | undefined, at: number) => ({ kind: 'read', lease: found, at }) as const;
const held = (sentAt: number, at = sentAt) => ({ kind: 'held', lease: lease('me'), sentAt, at }) as const;
const nothing = (at: number) => ({ kind: 'nothing', at }) as const;
const leading: Election = { kind: 'leading', lease: lease('me'), renewedAt: 1000 };

test('a missing or released lease is available immediately', () => {
  assert.equal(step(start, read(undefined, 0)).kind, 'acquiring');
  assert.equal(step(start, read(lease(''), 0)).kind, 'acquiring');
});

test('a lease is over only after it has been seen unchanged for its whole duration, whatever its times say', () => {
  const ancient = lease('other', '1999-01-01T00:00:00.000000Z');
  const first = step(start, read(ancient, 100_000));
  assert.equal(first.kind, 'following');
  const second = step(first, read(ancient, 114_999));
  assert.equal(second.kind, 'following');
  assert.equal(step(second, read(ancient, 115_000)).kind, 'acquiring');
});

test('each observed renewal restarts the wait', () => {
  const first = step(start, read(lease('other', 't0'), 0));
  const second = step(first, read(lease('other', 't1'), 14_000));
  assert.equal(step(second, read(lease('other', 't1'), 28_999)).kind, 'following');
  assert.equal(step(second, read(lease('other', 't1'), 29_000)).kind, 'acquiring');
});

test('the duration is the one that the holder has promised', () => {
  const first = step(start, read(lease('other', 't0', 60_000), 0));
  assert.equal(step(first, read(lease('other', 't0', 60_000), 59_999)).kind, 'following');
  assert.equal(step(first, read(lease('other', 't0', 60_000), 60_000)).kind, 'acquiring');
});

test('a deleted lease counts as held until what was last seen of it would be over', () => {
  const first = step(start, read(lease('other'), 0));
  const second = step(first, read(undefined, 5000));
  assert.equal(second.kind, 'following');
  assert.equal(step(second, read(undefined, 15_000)).kind, 'acquiring');
});

test('a lease with our name is ours by a write with a lost response', () => {
  assert.equal(step(start, read(lease('me'), 0)).kind, 'acquiring');
});

test('the elector follows a faster candidate', () => {
  const state = step(start, read(undefined, 0));
  assert.equal(step(state, read(lease('other'), 10)).kind, 'following');
});

test('leadership counts from the moment at which the write was sent', () => {
  assert.deepEqual(step({ kind: 'acquiring', seen: undefined, over: undefined }, held(500, 3000)), {
    kind: 'leading',
    lease: lease('me'),
    renewedAt: 500,
  });
  assert.equal(step({ kind: 'acquiring', seen: undefined, over: undefined }, held(500, 10_500)).kind, 'following');
});

test('a leader that cannot renew gives up at its deadline and never leads again', () => {
  assert.equal(step(leading, nothing(10_999)).kind, 'leading');
  const lost = step(leading, nothing(11_000));
  assert.deepEqual(lost, { kind: 'lost', why: 'it could not renew its lease for 10 s' });
  assert.equal(step(lost, held(12_000)), lost);
});

test('a renewal with a response after its deadline does not save the leader', () => {
  assert.equal(step(leading, held(2000, 11_999)).kind, 'leading');
  assert.equal(step(leading, held(2000, 12_000)).kind, 'lost');
});

test('a leader that sees the name of another, or none, has lost', () => {
  assert.deepEqual(step(leading, read(lease('other'), 2000)), { kind: 'lost', why: 'other has taken its lease' });
  assert.deepEqual(step(leading, read(lease(''), 2000)), {
    kind: 'lost',
    why: 'its lease was released by another client',
  });
});

test('a leader restores a lease that another client edited or deleted, without restarting its time', () => {
  assert.deepEqual(step(leading, read(lease('me', 't9'), 2000)), {
    kind: 'leading',
    lease: lease('me', 't9'),
    renewedAt: 1000,
  });
  assert.deepEqual(step(leading, read(undefined, 2000)), { kind: 'leading', lease: undefined, renewedAt: 1000 });
});
