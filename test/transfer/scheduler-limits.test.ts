import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { OperatorError } from '../../src/lib/errors.ts';
import type { TransferObserver } from '../../src/transfer/meter.ts';
import { imageIDOf, resultOf } from './plans.ts';
import { ample, moved, planOf, settle, setUp } from './schedulers.ts';

describe('the limits of a scheduler', () => {
  test('limits of a scheduler are kept per cloud, and do not delay transfers to other clouds', async () => {
    const { scheduler, runOf, kinds } = setUp(10);
    scheduler.setLimits({ ...ample, perCloud: 1 });
    const busy = { address: 'https://busy.example.com' };
    for (const key of ['a', 'b']) scheduler.start(key, planOf(key, busy));
    scheduler.start('c', planOf('c', { address: 'https://idle.example.com' }));
    assert.deepEqual(kinds('a', 'b', 'c'), ['running', 'queued', 'running']);
    runOf('c').finish(resultOf(1));
    await settle();
    assert.deepEqual(kinds('b'), ['queued']);
    runOf('a').finish(resultOf(1));
    await settle();
    assert.deepEqual(kinds('b'), ['running']);
  });

  test('limits of a scheduler are kept per source host for any path', async () => {
    const { scheduler, kinds } = setUp(10);
    scheduler.setLimits({ ...ample, perHost: 1 });
    scheduler.start('a', planOf('a', { url: 'https://mirror.example.com/a' }));
    scheduler.start('b', planOf('b', { url: 'https://mirror.example.com/b' }));
    scheduler.start('c', planOf('c', { url: 'https://other.example.com/c' }));
    const image = (secretName: string) =>
      ({ kind: 'glance', image: imageIDOf('x'), cloud: { secretRef: { name: secretName }, name: 'demo' } }) as const;
    scheduler.start('d', planOf('d', { source: image('one') }));
    scheduler.start('e', planOf('e', { source: image('one') }));
    scheduler.start('f', planOf('f', { source: image('two') }));
    assert.deepEqual(kinds('a', 'b', 'c'), ['running', 'queued', 'running']);
    assert.deepEqual(kinds('d', 'e', 'f'), ['running', 'queued', 'running']);
  });

  test('limits of a scheduler take effect at once when raised, and do not affect running transfers when lowered', async () => {
    const { scheduler, runs, runOf, kinds } = setUp(1);
    for (const key of ['a', 'b', 'c']) scheduler.start(key, planOf(key));
    scheduler.setLimits({ ...ample, total: 3 });
    assert.deepEqual(kinds('a', 'b', 'c'), ['running', 'running', 'running']);
    scheduler.setLimits({ ...ample, total: 1 });
    scheduler.start('d', planOf('d'));
    assert(runs.every(({ signal }) => !signal.aborted));
    for (const key of ['a', 'b']) runOf(key).finish(resultOf(1));
    await settle();
    assert.deepEqual(kinds('c', 'd'), ['running', 'queued']);
    runOf('c').finish(resultOf(1));
    await settle();
    assert.deepEqual(kinds('d'), ['running']);
  });
});

describe('fairness between namespaces', () => {
  test('a scheduler starts transfers round-robin over namespaces', async () => {
    const { scheduler, runs, clock } = setUp(1);
    const started = () => runs.map(({ plan }) => plan.cloud.namespace).join('');
    for (const key of ['1', '2', '3', '4']) scheduler.start(`a${key}`, planOf(`a${key}`, { namespace: 'a' }));
    for (const key of ['1', '2']) scheduler.start(`b${key}`, planOf(`b${key}`, { namespace: 'b' }));
    scheduler.start('c1', planOf('c1', { namespace: 'c' }));
    const positions = ['a2', 'a3', 'a4', 'b1', 'b2', 'c1'].map((key) => {
      const state = scheduler.get(key);
      return state?.kind === 'queued' ? state.position : undefined;
    });
    assert.deepEqual(positions, [3, 5, 6, 1, 4, 2]);
    for (let run = 0; run < 7; run++) {
      runs[run]?.finish(resultOf(1));
      await settle();
    }
    assert.equal(started(), 'abcabaa');
    assert.equal(clock.pending, 0);
  });
});

describe('the observer of a scheduler', () => {
  test('the observer of a scheduler receives counts, bytes, durations and ends for each cloud', async () => {
    const heard: unknown[] = [];
    const observer: TransferObserver = {
      counted: (cloud, { queued, active }) => heard.push(['counted', cloud, queued, active]),
      moved: (cloud, bytes) => heard.push(['moved', cloud, bytes]),
      spent: (cloud, phase, ms) => heard.push(['spent', cloud, phase, ms]),
      ended: (cloud, end) => heard.push(['ended', cloud, end.kind === 'failed' ? end.code : end.kind]),
    };
    const { scheduler, runOf, clock } = setUp(1, observer);
    const next = () => heard.splice(0);
    scheduler.start('a', planOf('a', { address: 'A' }));
    assert.deepEqual(next(), [
      ['counted', 'A', 1, 0],
      ['spent', 'A', 'queued', 0],
      ['counted', 'A', 0, 1],
    ]);
    scheduler.start('b', planOf('b', { address: 'B' }));
    scheduler.start('c', planOf('c', { address: 'B' }));
    assert.deepEqual(next(), [
      ['counted', 'B', 1, 0],
      ['counted', 'B', 2, 0],
    ]);
    await clock.advance(500);
    runOf('a').onProgress(moved(100));
    await clock.advance(200);
    runOf('a').onProgress(moved(150));
    runOf('a').onProgress({ ...moved(150), phase: 'finishing' });
    runOf('a').finish(resultOf(150));
    await settle();
    assert.deepEqual(next(), [
      ['moved', 'A', 100],
      ['spent', 'A', 'connecting', 500],
      ['moved', 'A', 50],
      ['spent', 'A', 'transferring', 200],
      ['spent', 'A', 'finishing', 0],
      ['ended', 'A', 'succeeded'],
      ['counted', 'A', 0, 0],
      ['spent', 'B', 'queued', 700],
      ['counted', 'B', 1, 1],
    ]);
    runOf('b').fail(new OperatorError('no', { code: 'DigestMismatch' }));
    await settle();
    assert(next().some((each) => isDeepStrictEqual(each, ['ended', 'B', 'DigestMismatch'])));
    const cancelled = scheduler.cancel('c');
    runOf('c').fail(runOf('c').signal.reason);
    await cancelled;
    assert.deepEqual(next().slice(-2), [
      ['ended', 'B', 'cancelled'],
      ['counted', 'B', 0, 0],
    ]);
  });
});

describe('the fairness of a scheduler', () => {
  const minute = 60_000;
  const of = (namespace: string) => ({ namespace });

  test('one slot of a scheduler is reserved for a namespace without a running transfer', async () => {
    const { scheduler, runOf, kinds } = setUp(4);
    scheduler.setLimits({ ...ample, total: 4, perNamespace: 3 });
    for (const key of ['a', 'b', 'c', 'd']) scheduler.start(key, planOf(key, of('greedy')));
    assert.deepEqual(kinds('a', 'b', 'c', 'd'), ['running', 'running', 'running', 'queued']);
    runOf('a').finish(resultOf(1));
    await settle();
    scheduler.start('e', planOf('e', of('greedy')));
    assert.deepEqual(kinds('b', 'c', 'd', 'e'), ['running', 'running', 'running', 'queued']);
    scheduler.start('m', planOf('m', of('modest')));
    assert.deepEqual(kinds('m'), ['running']);
  });

  test('the last slot of a scheduler goes to a namespace without a running transfer, also if no namespace is at its limit', async () => {
    const { scheduler, kinds } = setUp(4);
    scheduler.setLimits({ ...ample, total: 4, perNamespace: 3 });
    for (const key of ['a', 'b']) scheduler.start(key, planOf(key, of('one')));
    scheduler.start('c', planOf('c', of('two')));
    scheduler.start('d', planOf('d', of('one')));
    scheduler.start('e', planOf('e', of('two')));
    assert.deepEqual(kinds('a', 'b', 'c', 'd', 'e'), ['running', 'running', 'running', 'queued', 'queued']);
    scheduler.start('m', planOf('m', of('three')));
    assert.deepEqual(kinds('d', 'e', 'm'), ['queued', 'queued', 'running']);
  });

  test('slow transfers give way while another one waits, and run again after it', async () => {
    const { clock, scheduler, runs, runOf, kinds } = setUp(2);
    for (const key of ['a', 'b']) scheduler.start(key, planOf(key, of('slow')));
    await clock.advance(20 * minute);
    assert.deepEqual(kinds('a', 'b'), ['running', 'running']);
    scheduler.start('m', planOf('m', of('other')));
    for (const { signal, fail } of runs) signal.addEventListener('abort', () => fail(signal.reason));
    await clock.advance(5 * minute);
    await settle();
    assert.deepEqual(kinds('m'), ['running']);
    const waiting = ['a', 'b'].map((key) => scheduler.get(key)).find((state) => state?.kind === 'queued');
    assert.equal(waiting?.kind === 'queued' && waiting.gaveWay, 1);
    runOf('m').finish(resultOf(1));
    await settle();
    assert.deepEqual(kinds('a', 'b'), ['running', 'running']);
  });

  test('each time that a transfer has given way doubles the time that its next run has', async () => {
    const { clock, scheduler, runs, kinds } = setUp(1);
    const given: number[] = [];
    for (const key of ['a', 'b']) scheduler.start(key, planOf(key));
    while (given.length < 6) {
      const { signal, fail } = runs.at(-1) ?? assert.fail('nothing runs');
      signal.addEventListener('abort', () => fail(signal.reason));
      const startedAt = clock.monotonic();
      while (!signal.aborted) await clock.advance(minute);
      given.push((clock.monotonic() - startedAt) / minute);
      await settle();
    }
    assert.deepEqual(given, [5, 5, 10, 10, 20, 20]);
    assert.deepEqual(kinds('a', 'b'), ['running', 'queued']);
  });

  test('a slow transfer gives way while another one waits for the memory of its decoder', async () => {
    const { clock, scheduler, runs, runOf, kinds } = setUp(9);
    for (const key of ['holder', 'plain', 'waiting']) scheduler.start(key, planOf(key));
    for (const { signal, fail } of runs) signal.addEventListener('abort', () => fail(signal.reason));
    const first = runOf('holder');
    first.onProgress({ ...moved(1), decoderMemory: 'held' });
    await clock.advance(10 * minute);
    assert.equal(first.signal.aborted, false);
    runOf('waiting').onProgress({ ...moved(0), decoderMemory: 'awaited' });
    await clock.advance(5 * minute);
    await settle();
    assert.equal(first.signal.aborted, true);
    assert.deepEqual(kinds('holder', 'plain', 'waiting'), ['running', 'running', 'running']);
    assert.deepEqual([runOf('plain').signal.aborted, runOf('waiting').signal.aborted], [false, false]);
    assert.notEqual(runOf('holder'), first);
  });

  test('a transfer that moves a mebibyte per second keeps its slot, whatever else waits', async () => {
    const { clock, scheduler, runOf, kinds } = setUp(1);
    scheduler.start('a', planOf('a', of('fast')));
    scheduler.start('m', planOf('m', of('other')));
    for (let minutes = 5; minutes <= 60; minutes += 5) {
      runOf('a').onProgress(moved(minutes * 60 * 2 ** 20));
      await clock.advance(5 * minute);
    }
    assert.deepEqual([...kinds('a', 'm'), runOf('a').signal.aborted], ['running', 'queued', false]);
  });

  test('a conversion keeps its slot while it reads the file, and afterwards while it sends fewer bytes than it read', async () => {
    const { clock, scheduler, runOf, kinds } = setUp(1);
    scheduler.start('a', planOf('a', of('fast')));
    scheduler.start('m', planOf('m', of('other')));
    const half = 30 * 60 * 2 ** 20;
    for (let minutes = 5; minutes <= 60; minutes += 5) {
      const all = minutes * 60 * 2 ** 20;
      runOf('a').onProgress({ ...moved(Math.max(0, all - half)), servedBytes: Math.min(all, half) });
      await clock.advance(5 * minute);
    }
    assert.deepEqual([...kinds('a', 'm'), runOf('a').signal.aborted], ['running', 'queued', false]);
  });

  test('a transfer that starts again at zero shows no negative rate, and keeps its slot if it is fast', async () => {
    const { clock, scheduler, runs, runOf, kinds } = setUp(1);
    scheduler.start('a', planOf('a', of('fast')));
    scheduler.start('m', planOf('m', of('other')));
    for (const { signal, fail } of runs) signal.addEventListener('abort', () => fail(signal.reason));
    runOf('a').onProgress(moved(600 * 60 * 2 ** 20));
    await clock.advance(5 * minute - 1000);
    runOf('a').onProgress(moved(300 * 2 ** 20));
    await clock.advance(2000);
    const state = scheduler.get('a');
    assert.equal(state?.kind === 'running' && state.bytesPerSecond, 0);
    assert.deepEqual(kinds('a', 'm'), ['running', 'queued']);
  });

  test('a slow transfer keeps its slot if that helps no one who waits', async () => {
    const { clock, scheduler, kinds } = setUp(2);
    scheduler.setLimits({ ...ample, total: 2, perCloud: 1 });
    const [one, two] = [{ address: 'https://one.example.com' }, { address: 'https://two.example.com' }];
    scheduler.start('a', planOf('a', one));
    scheduler.start('b', planOf('b', two));
    scheduler.start('c', planOf('c', { ...two }));
    const slow = setUp(2);
    slow.scheduler.start('x', planOf('x'));
    await Promise.all([clock.advance(5 * minute), slow.clock.advance(60 * minute)]);
    assert.deepEqual(kinds('a'), ['running']);
    assert.deepEqual(slow.kinds('x'), ['running']);
  });

  test('a transfer ends after a day, or after twice the time that its length takes at the slowest rate', async () => {
    const { clock, scheduler, runs, runOf, kinds } = setUp(2);
    for (const key of ['a', 'b']) scheduler.start(key, planOf(key));
    for (const { signal, fail } of runs) signal.addEventListener('abort', () => fail(signal.reason));
    runOf('b').onProgress(moved(0, 100 * 3600 * 2 ** 20));
    await clock.advance(24 * 60 * minute);
    await settle();
    assert.deepEqual(kinds('a', 'b'), ['failed', 'running']);
    const state = scheduler.get('a');
    assert.ok(state?.kind === 'failed' && state.error instanceof OperatorError && state.error.code === 'SourceTooSlow');
    await clock.advance(176 * 60 * minute);
    await settle();
    assert.deepEqual(kinds('b'), ['failed']);
  });
});
