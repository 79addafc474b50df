import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createTrust } from '../../src/http/trust.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { type Executor, ExecutorClosed } from '../../src/transfer/executor.ts';
import type { TransferProgress } from '../../src/transfer/plan.ts';
import { createThreadExecutor } from '../../src/transfer/thread-executor.ts';
import { createVirtualClock } from '../clock.ts';
import { planOf } from './plans.ts';

const nowhere = { allow: [], deny: [] };
const egress = { sources: nowhere, clouds: nowhere };
const entry = new URL('./odd-thread.ts', import.meta.url);
const access = { cloud: { cloudsYaml: 'clouds: {}' }, source: {} };
const never = new AbortController().signal;

function executorOf(t: TestContext, clock = systemClock): Executor {
  const executor = createThreadExecutor({ egress, clock, entry, heapMiB: 32 });
  t.after(() => executor.close());
  return executor;
}

function run(
  executor: Executor,
  task: string,
  signal = never,
  onProgress: (seen: TransferProgress) => void = () => {},
) {
  return executor.run(planOf({ url: task }), access, { signal, onProgress });
}

const isCrash = (why: RegExp) => (error: unknown) => {
  assert(error instanceof OperatorError);
  assert.equal(error.code, 'TransferCrashed');
  assert.deepEqual(error.retry, { kind: 'backoff' });
  assert.match(error.message, why);
  return true;
};

test('a transfer thread has the certificates of the installation as they are at the start of a run', async (t) => {
  const trust = createTrust();
  const executor = createThreadExecutor({ egress, trust, clock: systemClock, entry, heapMiB: 32 });
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
        retry: { kind: 'after', ms: 7000 },
        httpStatus: 413,
        requestId: 'req-1',
      },
    );
    assert.equal(error.cause instanceof Error && error.cause.message, 'the response');
    return true;
  });
  await assert.rejects(run(executor, 'bug'), { name: 'TypeError', message: 'x is not a function' });
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

for (const [what, task, why] of [
  ['an uncaught error', 'throw', /uncaught on purpose/],
  ['an exit', 'exit', /exited with code 3/],
  ['the end of its memory', 'heap', /memory limit/],
] as const) {
  test(`${what} fails the transfers of the thread as TransferCrashed, and the next one gets a new thread`, async (t) => {
    const executor = executorOf(t);
    await run(executor, 'echo');
    const innocent = run(executor, 'wait');
    await Promise.all([assert.rejects(innocent, isCrash(why)), assert.rejects(run(executor, task), isCrash(why))]);
    await run(executor, 'echo');
  });
}

test('a transfer thread that does not respond is terminated', async (t) => {
  const clock = createVirtualClock();
  const executor = executorOf(t, clock);
  await run(executor, 'echo');
  const healthy = run(executor, 'wait');
  healthy.catch(() => {});
  const stuck = run(executor, 'spin');
  const given = assert.rejects(stuck, isCrash(/did not respond for \d+ s/));
  for (let tens = 0; tens < 5; tens++) await clock.advance(10_000);
  await given;
  await assert.rejects(healthy, isCrash(/did not respond/));
  await run(executor, 'echo');
  assert.equal(clock.pending, 0);
});

test('a transfer thread that does not end a cancelled transfer is terminated', async (t) => {
  const clock = createVirtualClock();
  const executor = executorOf(t, clock);
  const controller = new AbortController();
  const deaf = run(executor, 'deaf', controller.signal);
  const other = assert.rejects(run(executor, 'wait'), isCrash(/did not end a cancelled transfer/));
  const reason = new Error('deleted');
  const cancelled = assert.rejects(deaf, reason);
  controller.abort(reason);
  await clock.advance(10_000);
  await Promise.all([cancelled, other]);
});

test('closing the executor rejects its transfers, and it accepts no more', async (t) => {
  const executor = executorOf(t);
  const running = assert.rejects(run(executor, 'wait'), ExecutorClosed);
  await executor.close();
  await running;
  await assert.rejects(run(executor, 'echo'), ExecutorClosed);
  await createThreadExecutor({ egress, clock: systemClock }).close();
});
