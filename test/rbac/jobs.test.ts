import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startKubelet } from '../env/kubelet/kubelet.ts';
import { eventually } from '../env/wait.ts';
import { World } from '../operator/world.ts';
import { permission, permissionsOf, render, rolesOf } from './chart.ts';
import { Installation } from './installation.ts';
import { declareFile, jobCases, jobsOf, withJobs } from './jobs.ts';

describe('an operator without one permission for Jobs', { concurrency: 4 }, () => {
  let world: World;
  before(async () => {
    world = await World.create({ idle: true });
  });
  after(() => world[Symbol.asyncDispose]());

  for (const [lost, { symptom, options, show }] of Object.entries(jobCases))
    test(`without permission to ${lost} for Jobs, the operator ${symptom}`, async () => {
      await using installation = await Installation.create(world, { ...options, lost });
      await show(installation);
    });

  test('every permission for Jobs of the chart has a case, and no other has one; pods may only patch the progress', async () => {
    const rendering = { release: 'r', namespace: 'n', values: { transferJobs: { above: '1Gi' } } };
    const roles = rolesOf(await render(world.stack.kubernetes, rendering));
    const named = (suffix: string) => roles.filter(({ metadata }) => metadata.name.endsWith(suffix));
    assert.deepEqual(permissionsOf(named('-transfer-jobs')), Object.keys(jobCases).sort());
    assert.deepEqual(
      named('-transfer').map(({ rules }) => rules),
      [
        [
          {
            apiGroups: [''],
            resources: ['configmaps'],
            resourceNames: [progressOf(named('-transfer')[0])],
            verbs: ['patch'],
          },
        ],
      ],
    );
  });

  test('with the permissions of the chart, the operator transfers by a Job, uses them and needs no other', async () => {
    const { kubernetes } = world.stack;
    await using installation = await Installation.create(world, withJobs);
    await using _kubelet = startKubelet({ kubernetes, namespace: installation.account.namespace });
    const mark = await kubernetes.audit.mark();
    const operator = await installation.start();
    await world.ready(await declareFile(installation));
    await eventually(
      async () => (await jobsOf(installation)).length === 0,
      () => 'the Job is left',
    );
    // A watch is recorded when it ends.
    await operator.stop();
    const records = await kubernetes.audit.read(installation.user, mark);
    const requests = records.filter(({ resource }) => resource !== '');
    assert.deepEqual(
      requests.filter(({ status }) => status === 403).map(({ uri }) => uri),
      [],
    );
    const used = new Set(requests.map(({ verb, apiGroup, resource }) => permission(verb, apiGroup, resource)));
    // It gets a Job only where another process may have created it, and a ConfigMap only while a Job takes seconds.
    const rare = ['get batch/jobs', 'get configmaps', 'patch configmaps'];
    assert.deepEqual(
      Object.keys(jobCases).filter((right) => !used.has(right) && !rare.includes(right)),
      [],
    );
  });
});

function progressOf(role: { metadata: { name: string } } | undefined): string {
  return `${role?.metadata.name}-progress`;
}
