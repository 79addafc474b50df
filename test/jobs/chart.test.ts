import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { leaseLabel } from '../../src/jobs/manifest.ts';
import { JobTemplate } from '../../src/jobs/template.ts';
import { type KubernetesObject, objectsWith } from '../chart/objects.ts';

const configMap = z.looseObject({
  metadata: z.looseObject({ name: z.string() }),
  data: z.record(z.string(), z.string()),
});

function templateIn(objects: readonly KubernetesObject[]): JobTemplate {
  const maps = objects
    .filter(({ kind }) => kind === 'ConfigMap')
    .flatMap((object) => configMap.safeParse(object).data ?? []);
  const text = maps.map(({ data }) => data['transfer-jobs.yaml']).find((file) => file !== undefined);
  return JobTemplate.parse(parse(text ?? assert.fail('the chart has no template of Jobs')));
}

test('without a size the chart has no Jobs, no rights for them and no ServiceAccount of their pods', async () => {
  const objects = await objectsWith([]);
  assert(!JSON.stringify(objects).includes('"jobs"'));
  assert.equal(objects.filter(({ kind }) => kind === 'ServiceAccount').length, 1);
});

test('the operator reads the template of Jobs as the chart writes it', async () => {
  const set = [
    'transferJobs.above=1Gi',
    'transferJobs.nodeSelector.disk=fast',
    'transferJobs.tolerations[0].key=images',
    'transferJobs.priorityClassName=low',
    'transferJobs.queue=images',
    'transferJobs.pendingSeconds=30',
    'transferJobs.labels.team=images',
    'imagePullSecrets[0].name=registry',
  ];
  const template = templateIn(await objectsWith(set));
  const { image, serviceAccountName, progressConfigMap, resources, ...rest } = template;
  assert(image.includes('glance-image-operator:') && serviceAccountName.endsWith('-transfer'));
  assert(progressConfigMap.endsWith('-transfer-progress'));
  assert.deepEqual(resources.limits, { cpu: '2', memory: '512Mi' });
  assert.deepEqual(rest, {
    imagePullPolicy: 'IfNotPresent',
    nodeSelector: { disk: 'fast' },
    tolerations: [{ key: 'images' }],
    priorityClassName: 'low',
    queue: 'images',
    pendingSeconds: 30,
    ttlSecondsAfterFinished: 86_400,
    labels: { team: 'images' },
    annotations: {},
    podLabels: {},
    podAnnotations: {},
    imagePullSecrets: [{ name: 'registry' }],
  });
});

test('the values of the chart may have numbers as requests and limits of Jobs, as those of a pod may', async () => {
  const set = [
    'transferJobs.above=1Gi',
    'transferJobs.resources.limits.cpu=2',
    'transferJobs.resources.requests.cpu=0.5',
  ];
  const { resources } = templateIn(await objectsWith(set));
  assert.deepEqual([resources.limits['cpu'], resources.requests['cpu']], ['2', '0.5']);
});

test('an operator without an election has the name of the Lease by which the NetworkPolicy of the chart selects the pods of its Jobs', async () => {
  const set = [
    'transferJobs.above=1Gi',
    'settings.leaderElect=false',
    'fullnameOverride=images',
    'networkPolicy.enabled=true',
    'networkPolicy.apiServer.to[0].ipBlock.cidr=10.0.0.1/32',
  ];
  const objects = await objectsWith(set);
  const of = (kind: string) => JSON.stringify(objects.filter((object) => object.kind === kind));
  assert(of('Deployment').includes('"--lease-name=images"'));
  assert(of('NetworkPolicy').includes(`"${leaseLabel}":"images"`));
});

test('a changed value of Jobs makes new pods of the operator, because it reads the template of Jobs at its start', async () => {
  const podWith = async (...set: string[]) => {
    const objects = await objectsWith(['transferJobs.above=1Gi', ...set]);
    return JSON.stringify(objects.find(({ kind }) => kind === 'Deployment'));
  };
  assert.equal(await podWith(), await podWith());
  assert.notEqual(await podWith(), await podWith('transferJobs.pendingSeconds=30'));
});
