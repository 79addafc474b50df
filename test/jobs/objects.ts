/** Jobs and pods as the API server returns them, for tests of what follows from them. */
import type { Installation, NewJob } from '../../src/jobs/manifest.ts';
import { jobOf } from '../../src/jobs/manifest.ts';
import { jobType, podType, type TransferJob, type TransferPod } from '../../src/jobs/objects.ts';
import type { RunInput } from '../../src/jobs/run-files.ts';
import { JobTemplate } from '../../src/jobs/template.ts';
import { planOf } from '../transfer/schedulers.ts';

export const createdAt = '2026-01-01T00:00:00Z';
export const at = (seconds: number) => new Date(Date.parse(createdAt) + seconds * 1000);

export const installation: Installation = {
  namespace: 'operator',
  lease: 'glance-image-operator',
  template: JobTemplate.parse({
    image: 'registry.example.com/glance-image-operator:1.0.0',
    serviceAccountName: 'transfer',
    progressConfigMap: 'progress',
  }),
};

export const newJob = (fields: Partial<NewJob> = {}): NewJob => ({
  key: 'team/a',
  plan: planOf('a'),
  suffix: 'abcde',
  installation,
  ...fields,
});

export function jobObject(status: object = {}, fields: object = {}, job = newJob()): TransferJob {
  const { metadata, spec } = jobOf(job);
  const given = { uid: 'job-uid', resourceVersion: '1', creationTimestamp: createdAt };
  return jobType.parse({ metadata: { ...metadata, ...given }, spec: { ...spec, ...fields }, status });
}

export const podManifest = (status: object = {}, metadata: object = {}) => ({
  metadata: {
    name: 'pod',
    namespace: 'operator',
    uid: 'pod-uid',
    resourceVersion: '1',
    creationTimestamp: createdAt,
    labels: { 'batch.kubernetes.io/controller-uid': 'job-uid' },
    ...metadata,
  },
  status,
});

export function podObject(status: object = {}, metadata: object = {}): TransferPod {
  return podType.parse(podManifest(status, metadata));
}

export const terminated = (exitCode: number, message = '', reason = 'Error') => ({
  containerStatuses: [{ name: 'transfer', state: { terminated: { exitCode, reason, message } } }],
});
export const waiting = (reason: string, message = '') => ({
  containerStatuses: [{ name: 'transfer', state: { waiting: { reason, message } } }],
});
export const condition = (type: string, reason: string, message = '', status = 'True') => ({
  conditions: [{ type, status, reason, message }],
});

const access = {
  cloud: { cloudsYaml: 'clouds: {demo: {auth: {password: hunter2}}}', cacert: 'PEM' },
  source: { headers: { authorization: 'Bearer secret' }, ca: 'CA', keys: [Buffer.from('key')] },
};
export const anyInput: RunInput = {
  plan: planOf('a'),
  access,
  egress: { sources: { allow: ['a.example.com'], deny: [] }, clouds: { allow: [], deny: [] } },
  certificates: ['-----BEGIN CERTIFICATE-----\none'],
  proxies: { sources: 'user:secret', clouds: '' },
  progress: { namespace: 'operator', configMap: 'progress', key: 'x' },
  api: { server: 'https://10.0.0.1', ca: 'API' },
};
