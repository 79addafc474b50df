import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageError } from '../../src/commands/config.ts';
import { checkLease } from '../../src/commands/jobs.ts';
import { jobNameOf, jobOf, readRun, runAnnotation, runSecretOf } from '../../src/jobs/manifest.ts';
import { readRunFiles, runFilesOf } from '../../src/jobs/run-files.ts';
import { JobTemplate } from '../../src/jobs/template.ts';
import { planOf } from '../transfer/schedulers.ts';
import { anyInput, installation, newJob } from './objects.ts';

const { template } = installation;
const withTemplate = (fields: Partial<JobTemplate>) =>
  jobOf(newJob({ installation: { ...installation, template: { ...template, ...fields } } }));
const specOf = (fields: Partial<JobTemplate> = {}): Record<string, unknown> => withTemplate(fields).spec.template.spec;

test('a Job makes one pod, ever, and keeps its outcome for a day', () => {
  const { spec } = jobOf(newJob());
  const { template: _, podFailurePolicy, ...rest } = spec;
  assert.deepEqual(rest, {
    backoffLimit: 0,
    completions: 1,
    parallelism: 1,
    podReplacementPolicy: 'Failed',
    // Twice the time of 1 TiB at 1 MiB/s, and that for the start of the pod.
    activeDeadlineSeconds: 2 * 2 ** 20 + 600,
    ttlSecondsAfterFinished: 86_400,
  });
  assert.deepEqual(podFailurePolicy.rules, [
    { action: 'FailJob', onExitCodes: { containerName: 'transfer', operator: 'In', values: [1, 2, 10, 11, 12, 13] } },
    { action: 'FailJob', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
  ]);
});

test('a Job of small images may run for a day', () => {
  const { plan } = newJob();
  const { spec } = jobOf(newJob({ plan: { ...plan, limits: { ...plan.limits, maxBytes: 2 ** 30 } } }));
  assert.equal(spec.activeDeadlineSeconds, 86_400 + 600);
});

test('a name of a Lease that is no value of a label is rejected at the start, because each Job has it as a label', () => {
  checkLease('images-0123abcd');
  for (const name of ['x'.repeat(64), 'images.', ''])
    assert.throws(
      () => checkLease(name),
      (error) => error instanceof UsageError && /--lease-name/.test(error.message),
    );
});

test('a pod of a Job keeps the variables of the image, which bound its heap and let no signal open a debugger', () => {
  assert(jobOf(newJob()).spec.template.spec.containers.every((container) => !('env' in container)));
});

test('the name of a Job follows from the image and the plan, and is short enough for the name of a pod', () => {
  const { plan } = newJob();
  assert.equal(jobNameOf(plan), jobNameOf(planOf('a')));
  assert.notEqual(jobNameOf(plan), jobNameOf({ ...plan, diskFormat: 'qcow2' }));
  assert(jobNameOf(plan).startsWith(`transfer-${plan.imageID}-`));
  assert(jobNameOf(plan).length + '-abcde'.length <= 63);
});

test('a pod of a Job has the restrictions of Pod Security, no token, no links to Services, and one volume', () => {
  const { containers, volumes, securityContext, ...pod } = jobOf(newJob()).spec.template.spec;
  const [container, ...others] = containers;
  assert(container !== undefined && others.length === 0);
  assert.deepEqual(pod, {
    restartPolicy: 'Never',
    serviceAccountName: 'transfer',
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: 10,
  });
  assert.deepEqual(securityContext, {
    runAsNonRoot: true,
    runAsUser: 65532,
    runAsGroup: 65532,
    fsGroup: 65532,
    seccompProfile: { type: 'RuntimeDefault' },
  });
  assert.deepEqual(container.securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  });
  assert.deepEqual(container.resources, {
    requests: { cpu: '100m', memory: '256Mi' },
    limits: { cpu: '2', memory: '512Mi' },
  });
  assert.deepEqual(volumes, [
    {
      name: 'run',
      projected: {
        defaultMode: 0o440,
        sources: [
          { secret: { name: `${jobNameOf(planOf('a'))}-abcde` } },
          { serviceAccountToken: { path: 'token', expirationSeconds: 3600 } },
        ],
      },
    },
  ]);
  assert.deepEqual(container.volumeMounts, [{ name: 'run', mountPath: '/run/glance-image-operator', readOnly: true }]);
});

const passed: Partial<JobTemplate>[] = [
  { nodeSelector: { disk: 'fast' } },
  { tolerations: [{ key: 'images', operator: 'Exists' }] },
  { affinity: { nodeAffinity: {} } },
  { topologySpreadConstraints: [{ maxSkew: 1 }] },
  { priorityClassName: 'low' },
  { runtimeClassName: 'gvisor' },
  { hostUsers: false },
  { imagePullSecrets: [{ name: 'registry' }] },
];
for (const fields of passed)
  test(`the setting ${Object.keys(fields).join()} is that of the pod, and absent otherwise`, () => {
    for (const [name, value] of Object.entries(fields)) {
      assert.deepEqual(specOf(fields)[name], value);
      assert(!(name in specOf()));
    }
  });

test('a Job for a queue of Kueue is created suspended, with the label of the queue', () => {
  const { metadata, spec } = withTemplate({ queue: 'images' });
  assert.equal(spec.suspend, true);
  assert.equal(metadata.labels['kueue.x-k8s.io/queue-name'], 'images');
  assert(!('suspend' in jobOf(newJob()).spec));
});

test('labels and annotations of the installation are on the Job and the pod, and do not replace those of the operator', () => {
  const labels = { team: 'images', 'app.kubernetes.io/component': 'other' };
  const { metadata, spec } = withTemplate({
    labels,
    annotations: { note: 'a' },
    podLabels: { ...labels, mesh: 'no' },
    podAnnotations: { inject: 'false' },
  });
  assert.equal(metadata.labels['team'], 'images');
  assert.equal(metadata.labels['app.kubernetes.io/component'], 'transfer');
  assert.equal(metadata.annotations['note'], 'a');
  const pod = spec.template.metadata;
  assert.deepEqual(
    [pod.labels['mesh'], pod.labels['app.kubernetes.io/component'], pod.annotations['inject']],
    ['no', 'transfer', 'false'],
  );
});

test('the run of a Job is read back from its annotation, and one of another form is none', () => {
  const { metadata } = jobOf(newJob());
  const { key, plan, suffix } = newJob();
  assert.deepEqual(readRun(metadata.annotations), { key, plan, suffix });
  const text = metadata.annotations[runAnnotation] ?? '';
  for (const other of [
    undefined,
    '',
    '{}',
    text.replace('"version":1', '"version":2'),
    text.replace('"Upload"', '"Up"'),
  ])
    assert.equal(readRun(other === undefined ? {} : { [runAnnotation]: other }), undefined);
});

const pathOf = (name: string) => `/run/${name}`;

test('the Secret of a run belongs to its Job, and holds what the pod reads back, without the keys of signatures', async () => {
  const files = runFilesOf(anyInput);
  const secret = runSecretOf(newJob(), 'uid-1', files);
  assert.deepEqual(secret.metadata.ownerReferences, [
    { apiVersion: 'batch/v1', kind: 'Job', name: jobNameOf(planOf('a')), uid: 'uid-1', controller: true },
  ]);
  assert.equal(secret.immutable, true);
  const read = await readRunFiles(async (name) => Buffer.from(secret.data[name] ?? '', 'base64').toString(), pathOf);
  const { certificates, access: given, proxies: _, ...rest } = anyInput;
  const { keys: __, ...source } = given.source;
  const cloud = { cloudsYaml: '{"clouds":{"demo":{"auth":{"password":"hunter2"}}}}', cacert: 'PEM' };
  assert.deepEqual(read, { ...rest, access: { cloud, source }, bundle: certificates.join('\n') });
});

test('a run gets no credentials of other clouds of its clouds.yaml, nor of that of its source', () => {
  const cloudsYaml = 'clouds: {demo: {auth: {password: own}}, other: {auth: {password: foreign}}}';
  const secureYaml = 'clouds: {demo: {auth: {token: own}}, other: {auth: {token: foreign}}}';
  const files = { cloudsYaml, secureYaml };
  const access = { cloud: files, source: { cloud: files } };
  const cloud = { secretRef: { name: 'openstack' }, name: 'demo' };
  const plan = planOf('a', { source: { kind: 'glance', image: planOf('a').imageID, cloud } });
  const read = runFilesOf({ ...anyInput, plan, access })['access.json'];
  assert.equal(read.split('own').length, 5, read);
  assert(!read.includes('foreign') && !read.includes('other'), read);
});

test('no secret of a run is in its Job', () => {
  const job = JSON.stringify(jobOf(newJob()));
  for (const secret of ['hunter2', 'Bearer', 'password']) assert(!job.includes(secret), secret);
});

test('files of a run that another version wrote are rejected without a quotation', async () => {
  await assert.rejects(
    readRunFiles(async () => '{"token":"hunter2"}', pathOf),
    (error: Error) => {
      assert(!error.message.includes('hunter2'));
      return true;
    },
  );
});

test('a template with a field that is not configurable is rejected', () => {
  assert.equal(JobTemplate.safeParse({ ...template, securityContext: {} }).success, false);
});
