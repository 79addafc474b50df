/** What others do to Jobs, and an API server that fails: against the cluster in memory. */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { jobNameOf, podExitCodes } from '../../src/jobs/manifest.ts';
import { writeMessage } from '../../src/jobs/message.ts';
import type { TransferJob } from '../../src/jobs/objects.ts';
import { KubernetesError } from '../../src/kubernetes/errors.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import type { Execution } from '../../src/transfer/executor.ts';
import { createVirtualClock } from '../clock.ts';
import { resultOf } from '../transfer/plans.ts';
import { planOf, settle } from '../transfer/schedulers.ts';
import { createCluster } from './cluster.ts';
import { condition, terminated } from './objects.ts';

const run = { key: 'team/a', plan: planOf('a') };
const name = jobNameOf(run.plan);
const { image: _, ...result } = resultOf(7);
const success = { phase: 'Succeeded', ...terminated(0, writeMessage({ kind: 'succeeded', result })) };
const failure = {
  phase: 'Failed',
  ...terminated(
    podExitCodes.needsChange,
    writeMessage({ kind: 'failed', error: { kind: 'operator', message: 'other', code: 'DigestMismatch' } }),
  ),
};
const running = { phase: 'Running', containerStatuses: [{ name: 'transfer', state: { running: {} } }] };

describe('the executor of Jobs in trouble', () => {
  let clock: ReturnType<typeof createVirtualClock>;
  let cluster: ReturnType<typeof createCluster>;
  let operator: ReturnType<typeof cluster.process>;
  let cancel: AbortController;

  const start = (one = operator): Execution => one.executor.start(run, { signal: cancel.signal, onProgress: () => {} });
  /** The code of its failure, or `succeeded`. */
  const endOf = (execution: Execution): Promise<string> =>
    execution.ended.then(
      () => 'succeeded',
      (error: unknown) => (error instanceof OperatorError ? error.code : String(error)),
    );
  const onlyJob = (): TransferJob => [...cluster.jobs.values()].at(-1) ?? assert.fail('there is no Job');
  async function beats(ms: number): Promise<void> {
    await clock.advance(ms);
    await settle();
  }
  /** Whether it has ended within this time. */
  async function within(ms: number, end: Promise<string>): Promise<string | undefined> {
    let known: string | undefined;
    void end.then((code) => {
      known = code;
    });
    for (let at = 0; at < 10; at++) await beats(ms / 10);
    return known;
  }

  beforeEach(() => {
    clock = createVirtualClock();
    cluster = createCluster(clock);
    operator = cluster.process();
    cancel = new AbortController();
  });

  test('a Job of this run that no watch shows is taken over, for example after a change of the name of the Lease', async () => {
    void endOf(start());
    await settle();
    operator.kill();
    cluster.secrets.clear();
    const next = cluster.process();
    next.goStale();
    const end = endOf(start(next));
    await settle();
    assert.deepEqual([cluster.jobs.size, cluster.secrets.size], [1, 1]);
    cluster.putPod(success);
    assert.equal(await within(70_000, end), 'succeeded');
  });

  test('a Job of this name for another resource or another plan is replaced, because someone has edited it', async () => {
    void endOf(start());
    await settle();
    operator.kill();
    const old = onlyJob();
    const [annotation = '', text = ''] = Object.entries(old.metadata.annotations ?? {})[0] ?? [];
    for (const edited of [text.replace('team/a', 'team/b'), text.replace('"raw"', '"qcow2"')]) {
      assert.notEqual(edited, text);
      const metadata = { ...old.metadata, uid: edited, annotations: { [annotation]: edited } };
      cluster.jobs.set(name, { ...old, metadata });
      const end = endOf(start(cluster.process()));
      await settle();
      await settle();
      assert.notEqual(onlyJob().metadata.uid, edited);
      cluster.putPod(success);
      assert.equal(await end, 'succeeded');
    }
  });

  test('a Job whose plan someone has edited is deleted after a restart, and its run is not taken over', async () => {
    void endOf(start());
    await settle();
    operator.kill();
    const old = onlyJob();
    const annotations = Object.entries(old.metadata.annotations ?? {});
    const edited = Object.fromEntries(annotations.map(([key, text]) => [key, text.replace('"raw"', '"qcow2"')]));
    cluster.jobs.set(name, { ...old, metadata: { ...old.metadata, annotations: edited } });
    const found = await cluster.process().executor.attach(new AbortController().signal);
    await settle();
    assert.deepEqual([found.length, cluster.jobs.size], [0, 0]);
  });

  test('a run whose Job someone replaces by another of its name ends, and takes nothing of the other', async () => {
    const end = endOf(start());
    await settle();
    const own = onlyJob();
    await cluster.deleteJob(own);
    void endOf(start(cluster.process()));
    await settle();
    assert.notEqual(onlyJob().metadata.uid, own.metadata.uid);
    cluster.putPod(success);
    assert.equal(await end, 'TransferPodDeleted');
  });

  test('a second start of an active run whose Secret is missing creates it', async () => {
    void endOf(start());
    await settle();
    operator.kill();
    cluster.secrets.clear();
    const end = endOf(start(cluster.process()));
    await settle();
    assert.deepEqual([cluster.jobs.size, cluster.secrets.size], [1, 1]);
    cluster.putPod(success);
    assert.equal(await end, 'succeeded');
  });

  test('a start after an outcome of the same run drops it, although the Job controller has not marked the Job yet', async () => {
    assert.equal(
      await Promise.all([endOf(start()), settle().then(() => cluster.putPod(failure))]).then(([end]) => end),
      'DigestMismatch',
    );
    const again = endOf(start());
    await settle();
    await settle();
    cluster.putPod(success);
    assert.equal(await again, 'succeeded');
  });

  const rejections: [string, string, number][] = [
    ['create Job', 'Invalid', 422],
    ['create Job', 'Forbidden', 403],
    ['create Secret', 'Forbidden', 403],
    ['create Secret', 'RequestEntityTooLarge', 413],
  ];
  for (const [call, reason, httpStatus] of rejections)
    test(`a run whose call to ${call} is rejected as ${reason} fails as TransferPodRefused, which is tried again`, async () => {
      cluster.failing.set(call, new KubernetesError('the cause', { reason, httpStatus }));
      await assert.rejects(start().ended, (error: OperatorError) => {
        assert.deepEqual([error.code, error.httpStatus], ['TransferPodRefused', httpStatus]);
        return /the cause/.test(error.message);
      });
      await settle();
      assert.equal(cluster.jobs.size, 0);
    });

  test('a run whose Job exists and is found nowhere fails after a minute, with few requests', async () => {
    cluster.failing.set('create Job', new KubernetesError('it exists', { reason: 'AlreadyExists', httpStatus: 409 }));
    assert.equal(await within(100_000, endOf(start())), 'KubernetesFailed');
    assert(cluster.calls.length < 60, `${cluster.calls.length} requests`);
  });

  test('a run that is cancelled while its Job is being created leaves none', async () => {
    const created = Promise.withResolvers<void>();
    cluster.hold(created.promise);
    const end = endOf(start());
    await settle();
    cancel.abort(new Error('cancelled'));
    await settle();
    created.resolve();
    await end;
    await settle();
    assert.equal(cluster.jobs.size, 0);
  });

  test('a cancelled run whose Job may not be deleted settles, and its Job is deleted once that is possible', async () => {
    const end = endOf(start());
    await settle();
    cluster.putPod(running);
    cluster.failing.set('delete Job', new KubernetesError('no', { reason: 'Forbidden', httpStatus: 403 }));
    cancel.abort(new Error('cancelled'));
    assert.equal(await within(30_000, end), 'Error: cancelled');
    assert.equal(cluster.jobs.size, 1);
    cluster.failing.clear();
    await beats(10_000);
    assert.equal(cluster.jobs.size, 0);
  });

  test('a cancelled run whose Job cannot be looked for settles, and its Job is deleted once that is possible', async () => {
    const down = new KubernetesError('no', { reason: 'Unreachable' });
    cluster.lost.set('create Job', down);
    cluster.failing.set('get Job', down);
    assert.equal(await within(30_000, endOf(start())), 'KubernetesFailed');
    assert.equal(cluster.jobs.size, 1);
    cluster.failing.clear();
    await beats(10_000);
    assert.equal(cluster.jobs.size, 0);
  });

  test('a run that begins after one whose Job could not be looked for keeps its Job', async () => {
    const down = new KubernetesError('no', { reason: 'Unreachable' });
    cluster.failing.set('create Job', down);
    cluster.failing.set('get Job', down);
    assert.equal(await within(30_000, endOf(start())), 'KubernetesFailed');
    cluster.failing.clear();
    const end = endOf(start());
    await settle();
    cluster.putPod(running);
    assert.equal(await within(30_000, end), undefined);
    cluster.putPod(success);
    assert.equal(await within(10_000, end), 'succeeded');
  });

  test('a run whose Job someone deletes ends when its pod has ended, so that no limit is exceeded', async () => {
    const end = endOf(start());
    await settle();
    cluster.putPod(running);
    cluster.loseNode();
    await cluster.deleteJob(onlyJob());
    assert.equal(await within(10_000, end), undefined);
    assert.equal(await within(15_000, end), 'TransferPodDeleted');
  });

  test('a run that is taken over has run since its Job was started, not since it was put into a queue', async () => {
    void endOf(start());
    await settle();
    operator.kill();
    const startTime = new Date(clock.now().getTime() + 3_600_000).toISOString();
    cluster.jobs.set(name, { ...onlyJob(), startTime });
    const [found] = await cluster.process().executor.attach(new AbortController().signal);
    assert.equal(found?.startedAt, startTime);
  });

  for (const hours of [-1, 1])
    test(`a pod has its time to start, and is seen late, although the clock of the operator is ${hours} hours ahead`, async () => {
      const other = createCluster(clock, () => new Date(clock.now().getTime() - hours * 3_600_000));
      cluster = other;
      operator = other.process();
      const end = endOf(start());
      await settle();
      const unschedulable = condition('PodScheduled', 'Unschedulable', '', 'False');
      other.putPod(unschedulable);
      assert.equal(await within(590_000, end), undefined);
      assert.equal(await within(60_000, end), 'TransferPodPending');
    });

  for (const hours of [-25, 25])
    test(`a run that is taken over has its age and its time to start, although the clock of the operator is ${hours} hours ahead`, async () => {
      const other = createCluster(clock, () => new Date(clock.now().getTime() - hours * 3_600_000));
      operator = other.process();
      void endOf(start());
      await settle();
      other.putPod(condition('PodScheduled', 'Unschedulable', '', 'False'));
      operator.kill();
      await beats(100_000);
      const [found] = await other.process().executor.attach(new AbortController().signal);
      assert.equal(found?.startedAt, new Date(clock.now().getTime() - 100_000).toISOString());
      const end = endOf(found.resume({ signal: cancel.signal, onProgress: () => {} }));
      assert.equal(await within(490_000, end), undefined);
      assert.equal(await within(60_000, end), 'TransferPodPending');
    });
});
