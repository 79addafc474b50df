import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createTrust } from '../../src/http/trust.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { mostConnections } from '../../src/source/parallel/width.ts';
import { ExecutorClosed, type Runner } from '../../src/transfer/executor.ts';
import type { TransferProgress } from '../../src/transfer/plan.ts';
import { createThreadExecutor } from '../../src/transfer/thread-executor.ts';
import { createVirtualClock } from '../clock.ts';
import { imageIDOf, planOf } from './plans.ts';

const nowhere = { allow: [], deny: [] };
const egress = { sources: nowhere, clouds: nowhere };
const entry = new URL('./odd-thread.ts', import.meta.url);
const access = { cloud: { cloudsYaml: 'clouds: {}' }, source: {} };
const never = new AbortController().signal;

/** With one thread, in which transfers meet. */
function executorOf(
  t: TestContext,
  clock = systemClock,
  onCrash: (why: string) => void = () => {},
  threads = 1,
): Runner {
  const executor = createThreadExecutor({ egress, clock, entry, onCrash, threads });
  t.after(() => executor.close());
  return executor;
}

function run(
  executor: Runner,
  task: string,
  signal = never,
  onProgress: (seen: TransferProgress) => void = () => {},
  image = task,
) {
  return executor.run(planOf({ url: task, imageID: imageIDOf(image) }), access, { signal, onProgress });
}

const isCrash = (why: RegExp) => (error: unknown) => {
  assert(error instanceof OperatorError);
  assert.equal(error.code, 'TransferCrashed');
  assert.deepEqual(error.retry, { kind: 'after', ms: 3_600_000 });
  assert.match(error.message, why);
  return true;
};

test('a transfer thread has the certificates of the installation as they are at the start of a run', async (t) => {
  const trust = createTrust();
  const executor = createThreadExecutor({ egress, trust, clock: systemClock, entry });
  t.after(() => executor.close());
  for (const certificates of [[], ['one'], ['one', 'two'], []]) {
    trust.set(certificates);
    assert.equal((await run(executor, 'trust')).url, certificates.join());
    assert.equal((await run(executor, 'trust')).url, certificates.join());
  }
  await assert.rejects(run(executor, 'exit'), isCrash(/exited with code 3/));
  trust.set(['three']);
  await assert.rejects(run(executor, 'exit'), isCrash(/exited with code 3/));
  assert.equal((await run(executor, 'trust')).url, 'three', 'a new thread has them too');
});

test('a transfer thread receives plan and access, and returns the result', async (t) => {
  const executor = executorOf(t);
  const { url } = await run(executor, 'echo');
  assert.deepEqual(JSON.parse(url), access);
});

test('an error of the transfer thread arrives with all its fields', async (t) => {
  const executor = executorOf(t);
  await assert.rejects(run(executor, 'fail'), (error) => {
    assert(error instanceof OperatorError);
    const { message, code, retry, httpStatus, requestId } = error;
    assert.deepEqual(
      { message, code, retry, httpStatus, requestId },
      {
        message: 'Glance returned 413',
        code: 'QuotaExceeded',
        retry: { kind: 'after', ms: 700_000 },
        httpStatus: 413,
        requestId: 'req-1',
      },
    );
    assert.equal(error.cause instanceof Error && error.cause.message, 'the response');
    return true;
  });
  await assert.rejects(run(executor, 'bug'), { name: 'TypeError', message: 'x is not a function' });
});

test('threads share the memory of further connections, and a thread that crashes returns its part', async (t) => {
  const executor = executorOf(t, systemClock, () => {}, 2);
  const left = async () => (await run(executor, 'ahead')).bytes;
  assert.equal(await left(), mostConnections);
  assert.equal(await left(), 0, 'the thread has all of it');
  const controller = new AbortController();
  const busy = run(executor, 'wait', controller.signal);
  assert.equal(await left(), 0, 'another thread has none');
  controller.abort(new Error('enough'));
  await assert.rejects(busy);
  for (const each of ['exit', 'exit again'])
    await assert.rejects(
      run(executor, 'exit', never, () => {}, each),
      isCrash(/exited with code 3/),
    );
  assert.equal(await left(), mostConnections);
});

test('many progress reports result in few messages, and the last one is complete', async (t) => {
  const seen: TransferProgress[] = [];
  await run(executorOf(t), 'count', never, (progress) => seen.push(progress));
  assert(seen.length < 20, `${seen.length} messages`);
  assert.equal(seen.at(-1)?.bytes, 100_000);
});

test('a change of phase is reported at once', async (t) => {
  const controller = new AbortController();
  const phases: string[] = [];
  const running = run(executorOf(t), 'phases', controller.signal, ({ phase }) => {
    phases.push(phase);
    if (phase === 'finishing') controller.abort(new Error('enough'));
  });
  await assert.rejects(running, /enough/);
  assert.deepEqual(phases, ['connecting', 'transferring', 'finishing']);
});

test('a cancelled transfer rejects with the reason of the signal, and does not affect the others', async (t) => {
  const executor = executorOf(t);
  const controller = new AbortController();
  const other = run(executor, 'echo');
  const cancelled = run(executor, 'wait', controller.signal);
  const reason = new Error('deleted');
  controller.abort(reason);
  await assert.rejects(cancelled, reason);
  await other;
  await assert.rejects(run(executor, 'echo', AbortSignal.abort(reason)), reason);
});

/** A run that goes on until it is aborted, and how often it has started. */
function neighbour(executor: Runner, task = 'wait') {
  const controller = new AbortController();
  const reason = new Error('enough');
  const first = Promise.withResolvers<void>();
  const seen = { starts: 0 };
  const end = assert.rejects(
    run(executor, task, controller.signal, ({ phase }) => {
      if (phase !== 'transferring') return;
      seen.starts++;
      first.resolve();
    }),
    reason,
  );
  return {
    seen,
    started: Promise.race([first.promise, end]),
    async stop() {
      controller.abort(reason);
      await end;
    },
  };
}

for (const [what, task, why, crashes] of [
  // The thread names the run.
  ['an uncaught error', 'throw', /uncaught on purpose/, 2],
  // Each run is a suspect. The second crash shows which of them go alone.
  ['an exit', 'exit', /exited with code 3/, 3],
  ['the end of its memory', 'heap', /memory limit/, 3],
] as const) {
  test(`${what} fails only the transfer that has caused it, and the others start again`, async (t) => {
    const crashed: string[] = [];
    const executor = executorOf(t, systemClock, (problem) => crashed.push(problem));
    const failed = assert.rejects(run(executor, task), isCrash(why));
    const other = neighbour(executor);
    await failed;
    await other.started;
    assert.equal(crashed.length, crashes);
    await run(executor, 'echo');
    await other.stop();
    assert.equal(crashed.length, crashes, 'the other one has ended no thread');
  });
}

test('a transfer that was in a thread that another one has ended succeeds', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'starts-'));
  t.after(() => rm(directory, { recursive: true }));
  const executor = executorOf(t);
  const other = run(executor, `third ${join(directory, 'starts')}`);
  await assert.rejects(run(executor, 'throw'), isCrash(/uncaught on purpose/));
  await assert.rejects(run(executor, 'throw again'), isCrash(/uncaught on purpose/));
  assert.equal((await other).bytes, 3, 'it has started three times');
});

test('a transfer that has ended its thread before runs alone at its next attempt', async (t) => {
  const crashed: string[] = [];
  const executor = executorOf(t, systemClock, (problem) => crashed.push(problem));
  await assert.rejects(run(executor, 'throw'), isCrash(/ran alone/));
  const other = neighbour(executor);
  await other.started;
  await assert.rejects(run(executor, 'throw'), isCrash(/ran alone/));
  assert.equal(crashed.length, 3);
  assert.equal(other.seen.starts, 1, 'it has not noticed anything');
  await other.stop();
});

test('a transfer thread that does not respond is terminated, and only the transfer that blocks it fails', async (t) => {
  const clock = createVirtualClock();
  const crashed: string[] = [];
  const executor = executorOf(t, clock, (problem) => crashed.push(problem));
  await run(executor, 'echo');
  const stuck = assert.rejects(run(executor, 'spin'), isCrash(/did not respond for \d+ s/));
  let settled = false;
  void stuck.finally(() => {
    settled = true;
  });
  while (!settled) await clock.advance(1000);
  await stuck;
  await run(executor, 'echo');
  assert.equal(clock.pending, 0);
  assert.equal(crashed.length, 2);
  assert.match(crashed[0] ?? '', /did not respond for 30 s/);
});

test('a transfer thread has five minutes to load its program, because a busy machine may need them', async (t) => {
  const clock = createVirtualClock();
  const crashed: string[] = [];
  const program = new URL('data:text/javascript,for (;;);');
  const onCrash = (problem: string) => void crashed.push(problem);
  const executor = createThreadExecutor({ egress, clock, entry: program, onCrash, threads: 1 });
  t.after(() => executor.close());
  const stuck = assert.rejects(run(executor, 'echo'), isCrash(/did not respond for 300 s/));
  let settled = false;
  void stuck.finally(() => {
    settled = true;
  });
  await clock.advance(299_000);
  assert.deepEqual(crashed, []);
  while (!settled) await clock.advance(1000);
  await stuck;
});

test('a transfer that does not end when it is cancelled ends its thread, and the others start again', async (t) => {
  const clock = createVirtualClock();
  const executor = executorOf(t, clock);
  const other = neighbour(executor);
  const controller = new AbortController();
  const deaf = run(executor, 'deaf', controller.signal);
  const reason = new Error('deleted');
  const cancelled = assert.rejects(deaf, reason);
  await other.started;
  controller.abort(reason);
  await clock.advance(10_000);
  await cancelled;
  while (other.seen.starts < 2) await clock.advance(0);
  await other.stop();
});

/** A transfer that goes on until it is stopped, and the number of its thread. */
async function placed(executor: Runner, name: string) {
  const controller = new AbortController();
  const { promise: thread, resolve } = Promise.withResolvers<number>();
  const end = assert.rejects(run(executor, `which ${name}`, controller.signal, ({ bytes }) => resolve(bytes), name));
  return {
    thread: await thread,
    async stop() {
      controller.abort(new Error('enough'));
      await end;
    },
  };
}

test('transfers that run at once have a thread each up to the limit, and further ones share them evenly', async (t) => {
  const executor = executorOf(t, systemClock, () => {}, 3);
  const all = [];
  for (let count = 0; count < 6; count++) all.push(await placed(executor, `t${count}`));
  const threads = all.map(({ thread }) => thread);
  assert.equal(new Set(threads.slice(0, 3)).size, 3, 'each has its own');
  assert.deepEqual(threads.slice(3).toSorted(), threads.slice(0, 3).toSorted(), 'each of them has one more');
  await all[1]?.stop();
  await all[4]?.stop();
  assert.equal((await placed(executor, 'next')).thread, threads[1], 'a thread without a transfer is used first');
});

test('transfers one after the other run in the same thread', async (t) => {
  const executor = executorOf(t, systemClock, () => {}, 3);
  const threads = new Set<number>();
  for (let count = 0; count < 3; count++) {
    const one = await placed(executor, `t${count}`);
    threads.add(one.thread);
    await one.stop();
  }
  assert.equal(threads.size, 1);
});

test('threads that have had nothing to run for a minute end, except one', async (t) => {
  const clock = createVirtualClock();
  const ended: string[] = [];
  const executor = executorOf(t, clock, (why) => ended.push(why), 2);
  const first = await placed(executor, 'first');
  const second = await placed(executor, 'second');
  await second.stop();
  await first.stop();
  await clock.advance(61_000);
  const again = await placed(executor, 'again');
  assert([first.thread, second.thread].includes(again.thread), 'one is still there');
  const other = await placed(executor, 'other');
  assert(other.thread > Math.max(first.thread, second.thread), 'the other one had ended');
  await again.stop();
  await other.stop();
  assert.deepEqual(ended, [], 'which is no crash');
});

test('a transfer that ends its thread does not affect those in other threads', async (t) => {
  const crashed: string[] = [];
  const executor = executorOf(t, systemClock, (why) => crashed.push(why), 2);
  const other = neighbour(executor);
  await other.started;
  await assert.rejects(run(executor, 'exit'), isCrash(/exited with code 3/));
  assert.equal(other.seen.starts, 1);
  assert.equal(crashed.length, 2, 'it was the only suspect, and ran alone at once');
  await other.stop();
});

/** A transfer that runs alone because the one before it, of the same image, has ended a thread. */
async function lonely(executor: Runner) {
  await assert.rejects(
    run(executor, 'throw', never, () => {}, 'same'),
    isCrash(/ran alone/),
  );
  let next = Promise.withResolvers<void>();
  const onProgress = () => next.resolve();
  const running = run(executor, 'alternate', never, onProgress, 'same');
  running.catch(() => {});
  const progress = async () => {
    next = Promise.withResolvers();
    await next.promise;
  };
  await progress();
  return { running, progress };
}

test('a second transfer runs alone when the first one has done so for a while', async (t) => {
  const clock = createVirtualClock();
  const crashed: string[] = [];
  const executor = executorOf(t, clock, (problem) => crashed.push(problem));
  const { running, progress } = await lonely(executor);
  const second = assert.rejects(run(executor, 'throw'), isCrash(/ran alone/));
  while (crashed.length < 3) await progress();
  for (let seconds = 0; seconds <= 120; seconds += 10) {
    assert.equal(crashed.length, 3);
    await clock.advance(10_000);
    await progress();
  }
  await second;
  assert.equal(crashed.length, 4);
  await executor.close();
  await assert.rejects(running, ExecutorClosed);
});

test('closing the executor ends the transfers that run alone and those that wait to', async (t) => {
  const crashed: string[] = [];
  const executor = executorOf(t, systemClock, (problem) => crashed.push(problem));
  const { running, progress } = await lonely(executor);
  const waiting = assert.rejects(run(executor, 'throw'), ExecutorClosed);
  while (crashed.length < 3) await progress();
  await executor.close();
  await Promise.all([waiting, assert.rejects(running, ExecutorClosed)]);
});

test('closing the executor rejects its transfers, and it accepts no more', async (t) => {
  const executor = executorOf(t);
  const running = assert.rejects(run(executor, 'wait'), ExecutorClosed);
  await executor.close();
  await running;
  await assert.rejects(run(executor, 'echo'), ExecutorClosed);
  await createThreadExecutor({ egress, clock: systemClock }).close();
});
