/** Signals that follow others. */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, test } from 'node:test';
import { abortable, DeadlineExceeded, linked, withDeadline } from '../../src/lib/abort.ts';
import { createVirtualClock } from '../clock.ts';
import { untyped } from '../library/untyped.ts';

describe('a linked signal', () => {
  test('a linked signal aborts with the reason of its parent', () => {
    const parent = new AbortController();
    using link = linked(parent.signal);
    parent.abort('stop');
    assert.equal(link.signal.reason, 'stop');
  });

  test('a linked signal of an aborted parent is aborted from the start', () => {
    using link = linked(AbortSignal.abort('stop'));
    assert.equal(link.signal.reason, 'stop');
  });

  test('aborting a linked signal does not abort its parent', () => {
    const parent = new AbortController();
    using link = linked(parent.signal);
    link.abort('mine');
    assert.equal(link.signal.reason, 'mine');
    assert.equal(parent.signal.aborted, false);
  });

  test('a disposed link leaves no listener on its parent and does not follow it any more', () => {
    const parent = new AbortController();
    const link = linked(parent.signal);
    assert.equal(getEventListeners(parent.signal, 'abort').length, 1);
    link[Symbol.dispose]();
    assert.equal(getEventListeners(parent.signal, 'abort').length, 0);
    parent.abort();
    assert.equal(link.signal.aborted, false);
  });
});

describe('a deadline', () => {
  test('work under a deadline fails with DeadlineExceeded when the time is up', async () => {
    const clock = createVirtualClock();
    const work = withDeadline(clock, 'the call', 1500, undefined, (signal) => clock.sleep(60_000, signal));
    const failed = assert.rejects(work, new DeadlineExceeded('the call', 1500));
    await clock.advance(1500);
    await failed;
  });

  test('the time of a deadline begins when the work is due', async () => {
    const clock = createVirtualClock();
    const { promise: due, resolve } = Promise.withResolvers<void>();
    const sleep = (signal: AbortSignal) => clock.sleep(60_000, signal);
    const failed = assert.rejects(
      withDeadline(clock, 'the call', 1500, undefined, sleep, due),
      new DeadlineExceeded('the call', 1500),
    );
    await clock.advance(30_000);
    resolve();
    await due;
    await clock.advance(1500);
    await failed;
  });

  test('work that ends before it is due leaves no timer behind', async () => {
    const clock = createVirtualClock();
    const { promise: due, resolve } = Promise.withResolvers<void>();
    assert.equal(await withDeadline(clock, 'the call', 1500, undefined, async () => 'early', due), 'early');
    resolve();
    await due;
    assert.equal(clock.pending, 0);
  });

  test('work under a deadline leaves neither a timer nor a listener behind', async () => {
    const clock = createVirtualClock();
    const parent = new AbortController();
    assert.equal(await withDeadline(clock, 'the call', 1000, parent.signal, async () => 'result'), 'result');
    assert.equal(clock.pending, 0);
    assert.equal(getEventListeners(parent.signal, 'abort').length, 0);
  });
});

test('a promise that is waited for under what is no signal may still reject without ending the process', async () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => void unhandled.push(reason);
  process.on('unhandledRejection', note);
  for (const signal of [null, 7, {}]) {
    const { promise, reject } = Promise.withResolvers<void>();
    await assert.rejects(abortable(promise, untyped(signal)), TypeError);
    reject(new Error('late'));
  }
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', note);
  assert.deepEqual(unhandled, []);
});
