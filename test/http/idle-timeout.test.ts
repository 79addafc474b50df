/** Idle timeouts, on a clock that moves only when the test says so. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createIdleTimer, idleTimeout } from '../../src/http/idle-timeout.ts';
import { createVirtualClock } from '../clock.ts';

function timerOf(limit: { windowMs: number; minBytes?: number }) {
  const clock = createVirtualClock();
  let idle = 0;
  const timer = createIdleTimer({ clock, ...limit }, () => idle++);
  return { clock, timer, idle: () => idle };
}

describe('an idle timeout', () => {
  test('a peer that sends nothing for the window is idle', async () => {
    const { clock, timer, idle } = timerOf({ windowMs: 100 });
    timer.waiting();
    await clock.advance(99);
    assert.equal(idle(), 0);
    await clock.advance(1);
    assert.equal(idle(), 1);
    await clock.advance(1000);
    assert.equal(idle(), 1, 'reported once');
  });

  test('each chunk starts a new window', async () => {
    const { clock, timer, idle } = timerOf({ windowMs: 100 });
    for (let chunk = 0; chunk < 5; chunk++) {
      timer.waiting();
      await clock.advance(60);
      timer.received(1);
    }
    timer.waiting();
    await clock.advance(99);
    assert.equal(idle(), 0);
    await clock.advance(1);
    assert.equal(idle(), 1);
  });

  test('the time that the reader takes does not count', async () => {
    const { clock, timer, idle } = timerOf({ windowMs: 100 });
    timer.waiting();
    await clock.advance(50);
    timer.received(1);
    await clock.advance(10_000);
    timer.waiting();
    await clock.advance(99);
    assert.equal(idle(), 0);
    await clock.advance(1);
    assert.equal(idle(), 1);
  });

  test('a peer that sends fewer than the least bytes within the window is idle, however often it sends', async () => {
    const { clock, timer, idle } = timerOf({ windowMs: 100, minBytes: 10 });
    for (let chunk = 0; chunk < 9; chunk++) {
      timer.waiting();
      await clock.advance(10);
      timer.received(1);
    }
    timer.waiting();
    assert.equal(idle(), 0);
    await clock.advance(10);
    assert.equal(idle(), 1);
  });

  test('a peer that sends the least bytes within each window is never idle', async () => {
    const { clock, timer, idle } = timerOf({ windowMs: 100, minBytes: 10 });
    for (let chunk = 0; chunk < 100; chunk++) {
      timer.waiting();
      await clock.advance(90);
      timer.received(10);
    }
    assert.equal(idle(), 0);
  });

  test('one timer serves any number of chunks, and none is left when the body has ended', async () => {
    const clock = createVirtualClock();
    let most = 0;
    async function* body() {
      for (let chunk = 0; chunk < 1000; chunk++) {
        most = Math.max(most, clock.pending);
        yield new Uint8Array(1);
      }
    }
    let length = 0;
    for await (const chunk of idleTimeout(body(), { clock, windowMs: 100 }, assert.fail)) length += chunk.length;
    assert.deepEqual([length, most, clock.pending], [1000, 1, 0]);
  });
});
