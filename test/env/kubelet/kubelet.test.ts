/** Jobs in the test environment: the real Job controller and API server, and the kubelet of the tests. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { isRoot } from '../parts.mjs';
import { connectStack, type Stack } from '../stack.ts';
import { eventually } from '../wait.ts';
import { type Kubelet, startKubelet } from './kubelet.ts';

const jobSchema = z.object({
  metadata: z.object({ uid: z.string() }),
  status: z
    .object({
      failed: z.int().optional(),
      conditions: z
        .array(z.object({ type: z.string(), status: z.string(), reason: z.string().optional() }))
        .default([]),
    })
    .prefault({}),
});
const podsSchema = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ name: z.string(), labels: z.record(z.string(), z.string()) }),
      status: z.object({
        phase: z.string(),
        reason: z.string().optional(),
        conditions: z
          .array(z.object({ type: z.string(), status: z.string(), reason: z.string().optional() }))
          .default([]),
        containerStatuses: z
          .array(z.object({ state: z.record(z.string(), z.record(z.string(), z.unknown())) }))
          .default([]),
      }),
    }),
  ),
});

/** Runs a script as Jobs of the operator run transfers. */
const jobOf = (name: string, script: string, job: object = {}) => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name },
  spec: {
    backoffLimit: 0,
    completions: 1,
    parallelism: 1,
    podReplacementPolicy: 'Failed',
    podFailurePolicy: {
      rules: [
        { action: 'FailJob', onExitCodes: { containerName: 'main', operator: 'In', values: [10, 11] } },
        { action: 'FailJob', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
      ],
    },
    ...job,
    template: {
      spec: {
        restartPolicy: 'Never',
        serviceAccountName: 'default',
        automountServiceAccountToken: false,
        // A busy machine may need more than the ten seconds of transfers.
        terminationGracePeriodSeconds: 300,
        securityContext: {
          runAsNonRoot: true,
          runAsUser: 65532,
          runAsGroup: 65532,
          fsGroup: 65532,
          seccompProfile: { type: 'RuntimeDefault' },
        },
        containers: [
          {
            name: 'main',
            image: 'example.com/none:1',
            command: ['/bin/sh', '-c', script],
            env: [{ name: 'KEY_FILE', value: '/run/keys/key' }],
            terminationMessagePolicy: 'FallbackToLogsOnError',
            securityContext: {
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              capabilities: { drop: ['ALL'] },
            },
            volumeMounts: [{ name: 'run', mountPath: '/run/keys', readOnly: true }],
          },
        ],
        volumes: [
          {
            name: 'run',
            projected: {
              defaultMode: 0o440,
              sources: [
                { secret: { name, items: [{ key: 'key', path: 'key' }] } },
                { serviceAccountToken: { path: 'token' } },
              ],
            },
          },
        ],
      },
    },
  },
});

describe('Jobs of the test environment', () => {
  let stack: Stack;
  let namespace: string;
  let kubelet: Kubelet;
  before(async () => {
    stack = await connectStack();
    namespace = await stack.kubernetes.createNamespace('jobs');
    const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    const contentType = 'application/merge-patch+json';
    const path = `/api/v1/namespaces/${namespace}`;
    (await stack.kubernetes.request('PATCH', path, { metadata: { labels } }, { contentType })).ok();
    kubelet = startKubelet({ kubernetes: stack.kubernetes, namespace });
  });
  after(async () => {
    await kubelet.stop();
    await stack.stop();
  });

  const jobs = () => `/apis/batch/v1/namespaces/${namespace}/jobs`;
  const secretPath = (name: string) => `/api/v1/namespaces/${namespace}/secrets/${name}`;
  const statusOf = async (path: string) => (await stack.kubernetes.request('GET', path)).status;
  const isGone = (path: string) =>
    eventually(
      async () => (await statusOf(path)) === 404,
      () => `${path} is there`,
    );

  /** Creates the Job, and then a Secret of the same name that belongs to it. */
  async function start(name: string, script: string, job: object = {}): Promise<void> {
    const created = await stack.kubernetes.request('POST', jobs(), jobOf(name, script, job));
    const owner = { apiVersion: 'batch/v1', kind: 'Job', name, uid: created.as(jobSchema).metadata.uid };
    const metadata = { name, ownerReferences: [{ ...owner, controller: true }] };
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata, stringData: { key: `key of ${name}` } };
    (await stack.kubernetes.request('POST', `/api/v1/namespaces/${namespace}/secrets`, secret)).ok();
  }

  /** Resolves with the Pod of the Job once its script has printed "begins". */
  async function begun(name: string) {
    const pod = await kubelet.running(`${name}-`);
    await eventually(
      () => pod.log().includes('begins'),
      () => `the script of Job ${name} does not run`,
    );
    return pod;
  }

  /** Resolves with the conditions of the Job that are true once it has ended. */
  const ended = (name: string) =>
    eventually(
      async () => {
        const { conditions } = (await stack.kubernetes.request('GET', `${jobs()}/${name}`)).as(jobSchema).status;
        const final = conditions.filter(({ type }) => type === 'Complete' || type === 'Failed');
        return final.length > 0 && final.map(({ type, reason }) => `${type} ${reason ?? ''}`.trim());
      },
      () => `Job ${name} has not ended`,
    );

  async function podOf(name: string) {
    const { items } = (await stack.kubernetes.request('GET', `/api/v1/namespaces/${namespace}/pods`)).as(podsSchema);
    return items.find(({ metadata }) => metadata.labels['batch.kubernetes.io/job-name'] === name);
  }

  async function terminated(name: string) {
    return (await podOf(name))?.status.containerStatuses[0]?.state['terminated'];
  }

  test('a Job runs a script as the user of its Pod, with its Secret and a token, to Complete', async () => {
    await start('complete', 'echo "$(id -u) $(cat $KEY_FILE) $(cut -c1-2 /run/keys/token)" > /dev/termination-log');
    assert.deepEqual(await ended('complete'), ['Complete CompletionsReached']);
    const { message, exitCode, reason } = (await terminated('complete')) ?? {};
    const uid = isRoot ? 65532 : process.getuid?.();
    assert.deepEqual([message, exitCode, reason], [`${uid} key of complete ey\n`, 0, 'Completed']);
    assert.deepEqual(
      kubelet.pods.filter(({ name }) => name.startsWith('complete')).map(({ state }) => state),
      ['ended'],
    );
  });

  test('a Job whose script ends with a listed code is Failed by its policy, and its Pod has the end of the log', async () => {
    await start('failed', 'echo "no such file"; exit 10');
    assert.deepEqual(await ended('failed'), ['Failed PodFailurePolicy']);
    const { message, exitCode } = (await terminated('failed')) ?? {};
    assert.deepEqual([message, exitCode], ['no such file\n', 10]);
  });

  test('deletion of a Job ends its process with SIGTERM, and removes its Pod and its Secret', async () => {
    await start('deleted', 'trap "echo ends; exit 12" TERM; echo begins; while :; do sleep 600 & wait; done');
    const pod = await begun('deleted');
    const options = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background' };
    (await stack.kubernetes.request('DELETE', `${jobs()}/deleted`, options)).ok();
    await isGone(`/api/v1/namespaces/${namespace}/pods/${pod.name}`);
    await isGone(secretPath('deleted'));
    assert.match(pod.log(), /begins\nends\n/);
    assert.throws(() => process.kill(pod.pid ?? 0, 0), { code: 'ESRCH' });
  });

  test('a process that ignores SIGTERM gets SIGKILL after the grace period of its Pod', async () => {
    await start('stubborn', 'trap "" TERM; echo begins; while :; do sleep 600; done');
    const pod = await begun('stubborn');
    const path = `/api/v1/namespaces/${namespace}/pods/${pod.name}`;
    const options = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 1 };
    (await stack.kubernetes.request('DELETE', path, options)).ok();
    await isGone(path);
    assert.throws(() => process.kill(pod.pid ?? 0, 0), { code: 'ESRCH' });
    assert.deepEqual(await ended('stubborn'), ['Failed BackoffLimitExceeded']);
  });

  test('a finished Job is removed after its time to live', async () => {
    await start('short', 'true', { ttlSecondsAfterFinished: 0 });
    await isGone(`${jobs()}/short`);
    await isGone(secretPath('short'));
  });

  test('a Pod shows why it does not start, and starts once nothing holds it back (simulated)', async () => {
    const full = kubelet.hold('held-', { kind: 'Unschedulable' });
    await start('held', 'true');
    await eventually(
      async () => (await podOf('held'))?.status.conditions.some(({ reason }) => reason === 'Unschedulable'),
      () => 'the Pod has no reason',
    );
    const image = kubelet.hold('held-', { kind: 'Waiting', reason: 'ImagePullBackOff' });
    full.release();
    await eventually(
      async () => {
        const waiting = (await podOf('held'))?.status.containerStatuses[0]?.state['waiting'];
        return waiting?.['reason'] === 'ImagePullBackOff';
      },
      () => 'the container has no reason',
    );
    image.release();
    assert.deepEqual(await ended('held'), ['Complete CompletionsReached']);
  });

  test('an evicted Pod, one that is out of memory, and one of a lost node fail as in a cluster (simulated)', async () => {
    const names = ['evicted', 'crashed', 'lost'];
    for (const name of names) await start(name, 'echo begins; exec sleep 600');
    const [evicted, crashed, lost] = await Promise.all(names.map((name) => kubelet.running(`${name}-`)));
    kubelet.evictUnderPressure(evicted?.name ?? '');
    kubelet.kill(crashed?.name ?? '', 'OOMKilled');
    assert.deepEqual(await ended('evicted'), ['Failed PodFailurePolicy']);
    assert.equal((await podOf('evicted'))?.status.reason, 'Evicted');
    assert.deepEqual(await ended('crashed'), ['Failed BackoffLimitExceeded']);
    const { exitCode, reason } = (await terminated('crashed')) ?? {};
    assert.deepEqual([exitCode, reason], [137, 'OOMKilled']);
    await kubelet.loseNode(lost?.node ?? '', 'continue');
    assert.equal((await podOf('lost'))?.status.phase, 'Running');
    await kubelet.removeNode(lost?.node ?? '');
    assert.deepEqual(await ended('lost'), ['Failed PodFailurePolicy']);
    assert.ok(process.kill(lost?.pid ?? 0, 0), 'the process on the lost node continues');
  });
});
