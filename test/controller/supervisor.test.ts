import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Component, supervise } from '../../src/controller/supervisor.ts';
import { aborted } from '../../src/lib/abort.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { createVirtualClock, type VirtualClock } from '../clock.ts';

function setup(components: (story: string[], clock: VirtualClock) => Component[]) {
  const clock = createVirtualClock();
  const story: string[] = [];
  const signal = new AbortController();
  const ended = supervise(components(story, clock), { clock, log: silentLogger, drainMs: 20_000 }, signal.signal);
  ended.catch(() => {});
  return { clock, story, signal, ended };
}

const waits = (name: string, story: string[]): Component => ({
  name,
  async run(stop) {
    story.push(`${name} started`);
    await aborted(stop);
    story.push(`${name} stopped`);
  },
});

test('parts start in order and stop in reverse order, each after the next has finished', async () => {
  const { clock, story, signal, ended } = setup((story) => [
    waits('health', story),
    {
      name: 'workers',
      async run(stop) {
        story.push('workers started');
        await aborted(stop);
        await clock.sleep(3000);
        story.push('workers drained');
      },
    },
  ]);
  await clock.advance(0);
  signal.abort();
  await clock.advance(2999);
  assert.deepEqual(story, ['health started', 'workers started']);
  await clock.advance(1);
  await ended;
  assert.deepEqual(story, ['health started', 'workers started', 'workers drained', 'health stopped']);
});

test('the failure of one part stops all others immediately and becomes the error', async () => {
  const { story, ended } = setup((story) => [
    waits('health', story),
    {
      name: 'workers',
      run: (stop, halt) => aborted(AbortSignal.any([stop, halt])).then(() => void story.push('workers halted')),
    },
    { name: 'lease', run: () => Promise.reject(new Error('lost to another')) },
  ]);
  await assert.rejects(ended, /lease failed: lost to another/);
  assert.deepEqual(story.toSorted(), ['health started', 'health stopped', 'workers halted']);
});

test('a part that ends before shutdown counts as a failure', async () => {
  const { ended } = setup((story) => [waits('health', story), { name: 'watch', run: async () => {} }]);
  await assert.rejects(ended, /watch ended before the shutdown/);
});

test('a part that throws the reason of its stop has ended normally', async () => {
  const { signal, ended } = setup((_, time) => [{ name: 'watch', run: (stop) => time.sleep(1e9, stop) }]);
  signal.abort(new Error('SIGTERM'));
  await ended;
});

test('at the drain deadline, the remaining parts are halted', async () => {
  const { clock, story, signal, ended } = setup((story) => [
    {
      name: 'slow',
      async run(_stop, halt) {
        await aborted(halt);
        story.push('slow halted');
      },
    },
  ]);
  signal.abort();
  await clock.advance(19_999);
  assert.deepEqual(story, []);
  await clock.advance(1);
  await ended;
  assert.deepEqual(story, ['slow halted']);
});

test('a part that never ends does not block the shutdown', async () => {
  const { clock, signal, ended } = setup(() => [{ name: 'stuck', run: () => new Promise(() => {}) }]);
  signal.abort();
  await clock.advance(20_000);
  await clock.advance(3000);
  await ended;
  assert.equal(clock.pending, 0);
});
