/** How the end of a Job is found, by watches that are behind or silent and by requests. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OperatorError } from '../../src/lib/errors.ts';
import { settle } from '../transfer/schedulers.ts';
import { codeOf, createExecuting, endOf, failure, run, running, success } from './executing.ts';
import { condition } from './objects.ts';

test('a Job that someone deletes fails its run as TransferPodDeleted', async () => {
  const { cluster, start } = createExecuting();
  const end = endOf(start());
  await settle();
  const [job] = [...cluster.jobs.values()];
  assert(job !== undefined);
  await cluster.deleteJob(job);
  assert.equal(codeOf(await end), 'TransferPodDeleted');
});

test('a Job that is deleted while the watch is stale is missed within a minute', async () => {
  const { cluster, operator, start, beats } = createExecuting();
  const end = endOf(start());
  await settle();
  const [job] = [...cluster.jobs.values()];
  assert(job !== undefined);
  operator.goStale();
  await cluster.deleteJob(job);
  await beats(60_000);
  assert.equal(codeOf(await end), 'TransferPodDeleted');
});

/** Someone deletes the Job and creates another one of its name, and no watch shows either. */
function replaceUnseen({ cluster, operator }: Pick<ReturnType<typeof createExecuting>, 'cluster' | 'operator'>): void {
  const [job] = [...cluster.jobs.values()];
  assert(job !== undefined);
  operator.goStale();
  cluster.jobs.set(job.metadata.name, { ...job, metadata: { ...job.metadata, uid: 'another', resourceVersion: '99' } });
}

test('another Job of the same name is not taken for the one of the run when it is requested', async () => {
  const { cluster, operator, start, beats } = createExecuting();
  const end = endOf(start());
  await settle();
  replaceUnseen({ cluster, operator });
  await beats(60_000);
  assert.equal(codeOf(await end), 'TransferPodDeleted');
  assert.deepEqual(
    [...cluster.jobs.values()].map(({ metadata }) => metadata.uid),
    ['another'],
    'it is not the one to delete',
  );
});

test('another Job of the same name is not taken for the one of the run in the watch, also after a failed request', async () => {
  const { cluster, operator, start, beats } = createExecuting();
  const end = endOf(start());
  await settle();
  replaceUnseen({ cluster, operator });
  cluster.failing.set('get Job', new OperatorError('connection reset', { code: 'KubernetesFailed' }));
  operator.relist();
  await settle();
  cluster.failing.clear();
  await beats(10_000);
  assert.equal(codeOf(await end), 'TransferPodDeleted');
});

test('the result on a pod of another Job ends that run only', async () => {
  const { cluster, operator, start, beats } = createExecuting();
  const first = endOf(start());
  await settle();
  const second = endOf(start(operator, { key: 'team/b', plan: { ...run.plan, diskFormat: 'qcow2' } }));
  await settle();
  const [own] = [...cluster.jobs.values()];
  cluster.putPod(success);
  assert.equal(codeOf(await second), 'succeeded');
  await beats(10_000);
  cluster.putPod(failure, {}, own);
  assert.equal(codeOf(await first), 'DigestMismatch');
});

test('the end of a Job that no watch ever shows is found with few requests', async () => {
  const { cluster, operator, start, beats } = createExecuting();
  operator.goStale();
  const end = endOf(start());
  await settle();
  cluster.putPod(running);
  for (let beat = 0; beat < 60; beat++) await beats(10_000);
  assert.deepEqual([cluster.jobs.size, cluster.calls.filter((call) => call === 'list Pod').length], [1, 60]);
  cluster.putPod(success);
  await beats(10_000);
  assert.equal(codeOf(await end), 'succeeded');
});

test('the result of a Job that has ended is found although no watch shows its pod, and without waiting', async () => {
  const { cluster, operator, start } = createExecuting();
  const end = endOf(start());
  await settle();
  operator.goStale('pods');
  cluster.putPod(success);
  cluster.endJob(condition('Complete', 'CompletionsReached'));
  await settle();
  assert.equal(codeOf(await end), 'succeeded');
});

test('a result that its pod has left is found although the Job was deleted', async () => {
  const { cluster, operator, start } = createExecuting();
  const end = endOf(start());
  await settle();
  operator.goStale('pods');
  cluster.putPod(success);
  cluster.loseNode();
  const [job] = [...cluster.jobs.values()];
  assert(job !== undefined);
  await cluster.deleteJob(job);
  assert.equal(codeOf(await end), 'succeeded');
});

test('a Job that has ended without a result on any pod is lost', async () => {
  const { cluster, start } = createExecuting();
  const end = endOf(start());
  await settle();
  cluster.endJob(condition('Failed', 'BackoffLimitExceeded'));
  assert.equal(codeOf(await end), 'TransferPodDeleted');
  assert.equal(cluster.jobs.size, 0);
});

test('a run does not end because a request to the API server fails', async () => {
  const { cluster, operator, start, beats } = createExecuting();
  const end = endOf(start());
  await settle();
  operator.goStale('pods');
  cluster.putPod(success);
  cluster.lost.set('list Pod', new OperatorError('connection reset', { code: 'KubernetesFailed' }));
  cluster.endJob(condition('Complete', 'CompletionsReached'));
  await settle();
  assert.equal(cluster.jobs.size, 1);
  await beats(10_000);
  assert.equal(codeOf(await end), 'succeeded');
});

test('a result that comes while the watch is stale is found by the next list', async () => {
  const { cluster, operator, start, beats } = createExecuting();
  const end = endOf(start());
  await settle();
  operator.goStale();
  cluster.putPod(success);
  await beats(30_000);
  operator.relist();
  assert.equal(codeOf(await end), 'succeeded');
});
