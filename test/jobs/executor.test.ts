import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { jobNameOf } from '../../src/jobs/manifest.ts';
import { writeMessage } from '../../src/jobs/message.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { RunDetached } from '../../src/transfer/executor.ts';
import { noProgress } from '../../src/transfer/plan.ts';
import { resultOf } from '../transfer/plans.ts';
import { settle } from '../transfer/schedulers.ts';
import { codeOf, createExecuting, endOf, failure, result, run, running, success } from './executing.ts';
import { condition, terminated, waiting } from './objects.ts';

const name = jobNameOf(run.plan);

const readsOf = ({ calls }: ReturnType<typeof createExecuting>['cluster']) =>
  calls.filter((call) => call === 'read image').length;

describe('the executor of Jobs', () => {
  let { clock, cluster, operator, cancel, reports, start, beats } = createExecuting();
  async function attached(one: typeof operator) {
    return one.executor.attach(new AbortController().signal);
  }

  beforeEach(() => {
    ({ clock, cluster, operator, cancel, reports, start, beats } = createExecuting());
  });

  test('a run makes one Job and one Secret, and ends with the result of its pod and the image as it is then', async () => {
    const execution = start();
    const end = endOf(execution);
    await settle();
    assert.deepEqual([[...cluster.jobs.keys()], cluster.secrets.size], [[name], 1]);
    cluster.putPod(running);
    operator.progress.get(name)?.({ ...noProgress, bytes: 3 });
    assert.equal(reports.at(-1)?.bytes, 3);
    cluster.putPod(success);
    assert.deepEqual(await end, { kind: 'succeeded', value: { ...result, image: resultOf(7).image } });
    assert.equal(cluster.jobs.size, 1, 'the outcome is kept until it is handled');
    execution.durable?.release();
    await settle();
    assert.deepEqual([cluster.jobs.size, cluster.secrets.size], [0, 0]);
  });

  test('a run reports what it waits for, then that its pod runs, and nothing of both once the pod reports', async () => {
    const end = endOf(start());
    await settle();
    const unschedulable = condition('PodScheduled', 'Unschedulable', 'no node', 'False');
    cluster.putPod(unschedulable);
    await beats(20_000);
    cluster.putPod(running);
    operator.progress.get(name)?.({ ...noProgress, bytes: 3 });
    cluster.putPod(unschedulable);
    assert.deepEqual(
      reports.map(({ awaits, bytes }) => awaits ?? (awaits === null ? 'runs' : bytes)),
      ['its pod', 'its pod: Unschedulable: no node', 'runs', 3],
    );
    cluster.putPod(success);
    await end;
  });

  test('the image is read once after a result, although Job and pod change meanwhile, and its failure is that of the run', async () => {
    const end = endOf(start());
    await settle();
    cluster.failing.set('read image', new OperatorError('it has no clouds.yaml', { code: 'SecretInvalid' }));
    cluster.putPod(success);
    cluster.putPod(success);
    assert.equal(codeOf(await end), 'SecretInvalid');
    assert.equal(readsOf(cluster), 1);
  });

  test('a result is kept while its image cannot be read, for ten minutes, so that the image need not be read back', async () => {
    const end = endOf(start());
    await settle();
    const unavailable = new OperatorError('503', { code: 'GlanceUnavailable' });
    cluster.failing.set('read image', unavailable);
    cluster.putPod(success);
    await settle();
    for (let round = 0; round < 50; round++) await beats(10_000);
    assert.equal(cluster.jobs.size, 1);
    cluster.failing.clear();
    await beats(10_000);
    assert.equal(codeOf(await end), 'succeeded');

    const late = endOf(start(cluster.process(), { ...run, plan: { ...run.plan, diskFormat: 'qcow2' } }));
    await settle();
    cluster.failing.set('read image', unavailable);
    cluster.putPod(success);
    await settle();
    for (let round = 0; round < 61; round++) await beats(10_000);
    assert.equal(codeOf(await late), 'GlanceUnavailable');
  });

  test('an image that Glance still reports as being stored after the result is read again, for fifteen seconds', async () => {
    const end = endOf(start());
    await settle();
    cluster.showImage({ ...resultOf(7).image, status: 'saving' });
    cluster.putPod(success);
    await beats(5_000);
    cluster.showImage(resultOf(7).image);
    await beats(5_000);
    assert.deepEqual(await end, { kind: 'succeeded', value: { ...result, image: resultOf(7).image } });

    const replaced = { ...resultOf(7).image, status: 'deactivated' as const };
    cluster.showImage(replaced);
    const late = endOf(start(cluster.process(), { ...run, plan: { ...run.plan, diskFormat: 'qcow2' } }));
    await settle();
    cluster.putPod(success);
    for (let round = 0; round < 4; round++) await beats(5_000);
    assert.deepEqual(await late, { kind: 'succeeded', value: { ...result, image: replaced } });
  });

  const { image, ...own } = resultOf(7);
  const declared = `sha256:${'5'.repeat(64)}`;
  for (const [what, result, shown, digest] of [
    ['of other data than its image', { ...own, imageDigest: `sha512:${'a'.repeat(128)}` }, image, undefined],
    ['of an image that has no data', own, { ...image, status: 'queued', hash: null, size: null }, undefined],
    ['of another size than its image', { ...own, bytes: 8 }, image, undefined],
    ['of another digest than declared', own, image, declared],
  ] as const)
    test(`a result ${what} is not believed, and what the image holds decides`, async () => {
      const end = endOf(start(undefined, { ...run, plan: { ...run.plan, ...(digest && { digest }) } }));
      await settle();
      cluster.showImage(shown);
      cluster.putPod({ phase: 'Succeeded', ...terminated(0, writeMessage({ kind: 'succeeded', result })) });
      for (let round = 0; round < 5; round++) await beats(5_000);
      assert.equal(codeOf(await end), 'Conflict');
    });

  test('a stop does not wait for an image that cannot be read', async () => {
    const execution = start();
    const end = endOf(execution);
    await settle();
    cluster.failing.set('read image', new OperatorError('503', { code: 'GlanceUnavailable' }));
    cluster.putPod(success);
    await settle();
    execution.durable?.detach();
    const ended = await end;
    assert(ended.kind === 'failed' && ended.error instanceof RunDetached);
    assert.equal(cluster.jobs.size, 1, 'the next process finds the result');
  });

  test('a stop does not wait for the pod of a run that is cancelled', async () => {
    const execution = start();
    const end = endOf(execution);
    await settle();
    cluster.putPod(running);
    cluster.loseNode();
    cancel.abort(new Error('cancelled'));
    await settle();
    execution.durable?.detach();
    const ended = await end;
    assert(ended.kind === 'failed' && ended.error instanceof RunDetached);
    assert.equal(cluster.jobs.size, 0);
  });

  test('a failure of the transfer has the code and the message of the pod', async () => {
    const end = endOf(start());
    await settle();
    cluster.putPod(failure);
    const ended = await end;
    assert.equal(codeOf(ended), 'DigestMismatch');
    assert.equal(cluster.jobs.size, 1);
  });

  test('a second start of an active run listens to its Job', async () => {
    const first = endOf(start());
    await settle();
    const second = endOf(start(cluster.process()));
    await settle();
    assert.equal(cluster.jobs.size, 1);
    cluster.putPod(success);
    assert.deepEqual([codeOf(await first), codeOf(await second)], ['succeeded', 'succeeded']);
  });

  test('a start after an outcome of the same run deletes it, and makes another Job', async () => {
    const end = endOf(start());
    await settle();
    cluster.putPod(failure);
    await end;
    const [old] = [...cluster.jobs.values()];
    assert(old !== undefined);
    // The Job controller has marked it.
    cluster.jobs.set(name, { ...old, conditions: [{ type: 'Failed', status: 'True' }] });
    const again = endOf(start());
    await settle();
    await settle();
    const [job] = [...cluster.jobs.values()];
    assert(job !== undefined && job.metadata.uid !== old.metadata.uid);
    cluster.putPod(success);
    assert.equal(codeOf(await again), 'succeeded');
  });

  test('a start waits for an earlier Job that a finalizer keeps, with few requests, and fails after a minute', async () => {
    void endOf(start());
    await settle();
    operator.kill();
    cluster.keepJobs(true);
    const [old] = [...cluster.jobs.values()];
    assert(old !== undefined);
    await cluster.deleteJob(old);
    const { length } = cluster.calls;
    const late = endOf(start(cluster.process()));
    for (let round = 0; round < 14; round++) await beats(5_000);
    assert.equal(codeOf(await late), 'KubernetesFailed');
    assert(cluster.calls.length - length < 60, `${cluster.calls.length - length} requests`);
    const again = endOf(start(cluster.process()));
    await settle();
    cluster.keepJobs(false);
    cluster.jobs.clear();
    await beats(5_000);
    assert.equal(cluster.jobs.size, 1);
    cluster.putPod(success);
    assert.equal(codeOf(await again), 'succeeded');
  });

  test('a lost response of a creation makes no second Job', async () => {
    cluster.lost.set('create Job', new OperatorError('connection reset', { code: 'KubernetesFailed' }));
    const end = endOf(start());
    assert.equal(codeOf(await end), 'KubernetesFailed');
    assert.equal(cluster.jobs.size, 0, 'the Job that was created is deleted');
    assert.equal(cluster.calls.filter((call) => call === 'create Job').length, 1);
  });

  test('an abort deletes the Job at once, and settles when its pod is gone', async () => {
    const end = endOf(start());
    await settle();
    cluster.putPod(running);
    const reason = new Error('cancelled');
    cancel.abort(reason);
    await settle();
    assert.equal(cluster.jobs.size, 0);
    await settle();
    assert.equal(cluster.pods.size, 0);
    assert.deepEqual(await end, { kind: 'failed', error: reason });
  });

  test('an abort before the Job exists leaves none', async () => {
    const end = endOf(start());
    cancel.abort(new Error('cancelled'));
    await end;
    assert.equal(cluster.jobs.size, 0);
  });

  test('an abort whose pod is on a lost node settles after its grace period', async () => {
    const end = endOf(start());
    await settle();
    cluster.putPod(running);
    cluster.loseNode();
    cancel.abort(new Error('cancelled'));
    await settle();
    let isSettled = false;
    void end.then(() => {
      isSettled = true;
    });
    await beats(10_000);
    assert.equal(isSettled, false);
    await beats(15_000);
    assert.equal(isSettled, true);
  });

  test('an abort is repeated until the API server has deleted the Job', async () => {
    const end = endOf(start());
    await settle();
    const [job] = [...cluster.jobs.values()];
    assert(job !== undefined);
    cluster.lost.set('delete Job', new OperatorError('connection reset', { code: 'KubernetesFailed' }));
    cancel.abort(new Error('cancelled'));
    await settle();
    await beats(6_000);
    await end;
    assert.deepEqual(
      cluster.calls.filter((call) => call === 'delete Job'),
      ['delete Job', 'delete Job'],
    );
  });

  const losses: [string, object, string][] = [
    ['is evicted', { phase: 'Failed', reason: 'Evicted' }, 'TransferPodEvicted'],
    ['exceeds its memory', { phase: 'Failed', ...terminated(137, '', 'OOMKilled') }, 'TransferOutOfMemory'],
    ['crashes', { phase: 'Failed', ...terminated(1, 'boom') }, 'TransferPodCrashed'],
    ['is on a node that is lost', { phase: 'Unknown' }, 'TransferNodeLost'],
  ];
  for (const [what, status, code] of losses)
    test(`a pod that ${what} fails its run as ${code}, and its Job is deleted`, async () => {
      const end = endOf(start());
      await settle();
      cluster.putPod(status);
      assert.equal(codeOf(await end), code);
      assert.equal(cluster.jobs.size, 0);
    });

  const stuck: [string, object | undefined, string][] = [
    ['is not created', undefined, 'TransferPodRefused'],
    ['finds no node', { ...condition('PodScheduled', 'Unschedulable', '', 'False') }, 'TransferPodPending'],
    ['cannot pull its image', waiting('ImagePullBackOff'), 'TransferImagePull'],
  ];
  for (const [what, status, code] of stuck)
    test(`a pod that ${what} fails its run as ${code} after the time for waiting, without an event`, async () => {
      const end = endOf(start());
      await settle();
      if (status !== undefined) cluster.putPod(status);
      await beats(590_000);
      assert.equal(cluster.jobs.size, 1);
      await beats(25_000);
      await beats(25_000);
      assert.equal(codeOf(await end), code);
      assert.equal(cluster.jobs.size, 0);
    });

  test('a run of a process that was killed is taken over, also without its Secret', async () => {
    void endOf(start());
    await settle();
    operator.kill();
    cluster.secrets.clear();
    const next = cluster.process();
    const [found, ...others] = await attached(next);
    assert(found !== undefined && others.length === 0);
    assert.deepEqual([found.key, found.plan], [run.key, run.plan]);
    const end = endOf(found.resume({ signal: cancel.signal, onProgress: () => {} }));
    await settle();
    assert.equal(cluster.secrets.size, 1);
    cluster.putPod(success);
    assert.equal(codeOf(await end), 'succeeded');
    assert.equal(cluster.calls.filter((call) => call === 'create Job').length, 1);
  });

  test('a result that came while no process listened is found', async () => {
    void endOf(start());
    await settle();
    operator.kill();
    cluster.putPod(success);
    const [found] = await attached(cluster.process());
    assert(found !== undefined);
    const execution = found.resume({ signal: cancel.signal, onProgress: () => {} });
    assert.equal(codeOf(await endOf(execution)), 'succeeded');
    execution.durable?.release();
    await settle();
    assert.equal(cluster.jobs.size, 0);
  });

  test('a detachment leaves Job and Secret as they are', async () => {
    const execution = start();
    const end = endOf(execution);
    await settle();
    execution.durable?.detach();
    const ended = await end;
    assert(ended.kind === 'failed' && ended.error instanceof RunDetached);
    assert.deepEqual([cluster.jobs.size, cluster.secrets.size], [1, 1]);
  });

  test('of two Jobs of one resource the newer is taken over, and the older deleted; so is one of another version', async () => {
    void endOf(start());
    await settle();
    await clock.advance(5_000);
    void endOf(start(operator, { key: run.key, plan: { ...run.plan, diskFormat: 'qcow2' } }));
    await settle();
    const [older, newer] = [...cluster.jobs.values()];
    assert(older !== undefined && newer !== undefined);
    cluster.jobs.set('strange', {
      ...older,
      metadata: { ...older.metadata, name: 'strange', uid: 'strange', annotations: {} },
    });
    operator.kill();
    const found = await attached(cluster.process());
    await settle();
    assert.deepEqual(
      found.map(({ plan }) => plan.diskFormat),
      ['qcow2'],
    );
    assert.deepEqual([...cluster.jobs.keys()], [newer.metadata.name]);
  });
});
