/**
 * kube-state-metrics itself, with the file of the chart and the permissions that the file names, on resources in several
 * states. Its module is not in every registry, so it is taken from the PATH.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { chart } from '../../charts/helm.ts';
import type { GlanceImage } from '../../src/api/glanceimage.ts';
import { ask } from '../env/http.ts';
import { raw } from '../env/images.ts';
import { claimPorts, type PortBlock } from '../env/ports.ts';
import { createProcesses, type Processes } from '../env/processes.ts';
import { eventually } from '../env/wait.ts';
import { digestOf } from '../operator/digest.ts';
import { World } from '../operator/world.ts';
import { kubeconfigOf } from '../rbac/service-account.ts';

const file = join(chart, 'files/custom-resource-state.yaml');
const program = (process.env['PATH'] ?? '')
  .split(delimiter)
  .map((path) => join(path, 'kube-state-metrics'))
  .find(existsSync);
const skip = program === undefined ? 'there is no kube-state-metrics on the PATH' : false;

/** The permissions in the comment of the file, as `VERB and VERB on RESOURCE, and on RESOURCE`. */
function rulesOfFile(): { apiGroups: string[]; resources: string[]; verbs: string[] }[] {
  const [, verbs = '', resources = ''] = /needs ([a-z, ]+) on (.+)\.$/m.exec(readFileSync(file, 'utf8')) ?? [];
  return resources.split(', and on ').map((resource) => {
    const [plural = '', ...group] = resource.split('.');
    return { apiGroups: [group.join('.')], resources: [plural], verbs: verbs.split(' and ') };
  });
}

interface Sample {
  labels: Record<string, string>;
  value: number;
}

/** The samples of the metric, with their labels. */
function samplesOf(text: string, metric: string): Sample[] {
  return [...text.matchAll(new RegExp(`^${metric}\\{(.*)\\} (\\S+)$`, 'gm'))].map(([, labels = '', value]) => ({
    labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, each]) => [name, each])),
    value: Number(value),
  }));
}

describe('kube-state-metrics', { skip }, () => {
  let world: World;
  let processes: Processes;
  let ports: PortBlock;
  let metrics: string;
  let image: GlanceImage;

  before(async () => {
    world = await World.create();
    const body = raw(64 * 1024);
    world.source.add('/image.raw', { body });
    const line = `${digestOf(body).replace('sha256:', '')}  image.raw\n`;
    world.source.add('/SHA256SUMS', { body: Buffer.from(line) });
    const url = `${world.source.url}/image.raw`;
    const content = { http: { url, digestFrom: { checksums: { url: `${world.source.url}/SHA256SUMS` } } } };
    const spec = { image: { diskFormat: 'raw' } };
    await world.apply('ready', { ...spec, content });
    await world.apply('failed', { ...spec, content: { http: { url, digest: `sha256:${'0'.repeat(64)}` } } });
    await world.apply('suspended', { ...spec, suspend: true });
    image = await world.ready('ready');
    await world.reason('failed', 'DigestMismatch');
    await world.reason('suspended', 'Suspended');

    const { kubernetes } = world.stack;
    const name = `${world.namespace}-kube-state-metrics`;
    const metadata = { name, namespace: world.namespace };
    const rbac = 'rbac.authorization.k8s.io';
    for (const object of [
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
      { apiVersion: `${rbac}/v1`, kind: 'ClusterRole', metadata: { name }, rules: rulesOfFile() },
      {
        apiVersion: `${rbac}/v1`,
        kind: 'ClusterRoleBinding',
        metadata: { name },
        roleRef: { apiGroup: rbac, kind: 'ClusterRole', name },
        subjects: [{ kind: 'ServiceAccount', ...metadata }],
      },
    ])
      await kubernetes.apply(JSON.stringify(object));

    processes = createProcesses();
    ports = await claimPorts();
    const [port = 0, telemetry = 0] = ports.ports;
    const address = `http://127.0.0.1:${port}/metrics`;
    const get = async () => (await ask('GET', address)).ok().text;
    await processes.start({
      name: 'kube-state-metrics',
      command: program ?? '',
      args: [
        `--kubeconfig=${await kubeconfigOf(kubernetes, metadata)}`,
        '--custom-resource-state-only',
        `--custom-resource-state-config-file=${file}`,
        `--namespaces=${world.namespace}`,
        '--host=127.0.0.1',
        `--port=${port}`,
        '--telemetry-host=127.0.0.1',
        `--telemetry-port=${telemetry}`,
      ],
      ready: async () => samplesOf(await get(), 'glanceimage_info').length === 3,
    });
    metrics = await eventually(
      async () => {
        const text = await get();
        return samplesOf(text, 'glanceimage_failed_attempts').length > 0 && text;
      },
      () => 'kube-state-metrics shows no failed attempt',
    );
  });

  after(async () => {
    await processes?.stop();
    await ports?.release();
    await world?.[Symbol.asyncDispose]();
  });

  const of = (metric: string, name: string) =>
    samplesOf(metrics, `glanceimage_${metric}`)
      .filter(({ labels }) => labels['name'] === name && labels['exported_namespace'] === world.namespace)
      .map(({ labels: { exported_namespace: _, name: __, ...labels }, value }) => ({ ...labels, value }));

  const kinds = {
    customresource_group: 'glance-image-operator.dev',
    customresource_kind: 'GlanceImage',
    customresource_version: 'v1alpha1',
  };

  test('every metric of the file has samples', () => {
    const names = z
      .looseObject({
        spec: z.looseObject({
          resources: z.tuple([z.looseObject({ metrics: z.array(z.looseObject({ name: z.string() })) })]),
        }),
      })
      .parse(parse(readFileSync(file, 'utf8'))).spec.resources[0].metrics;
    for (const { name } of names) assert.ok(samplesOf(metrics, `glanceimage_${name}`).length > 0, name);
  });

  test('the info of a resource names its cloud and its image', () => {
    const { imageID, image: shown } = image.status ?? {};
    const labels = { cloud: 'demo', image_id: imageID, image_name: shown?.name, visibility: 'private' };
    assert.deepEqual(of('info', 'ready'), [{ ...kinds, ...labels, value: 1 }]);
  });

  test('the conditions are 1 and 0, with their reasons', () => {
    const ready = (name: string) =>
      of('condition', name).filter((sample) => 'type' in sample && sample.type === 'Ready');
    assert.deepEqual(ready('ready'), [{ ...kinds, type: 'Ready', reason: 'Ready', value: 1 }]);
    assert.deepEqual(ready('failed'), [{ ...kinds, type: 'Ready', reason: 'DigestMismatch', value: 0 }]);
    const changed = of('condition_last_transition_timestamp_seconds', 'ready').map(({ value }) => value);
    assert.ok(changed.length > 0 && changed.every((value) => value > 1_700_000_000));
  });

  test('a suspended resource is 1, and the others are 0', () => {
    assert.deepEqual(
      ['suspended', 'ready', 'failed'].flatMap((name) => of('suspended', name).map(({ value }) => value)),
      [1, 0, 0],
    );
  });

  test('the revisions, the pinned digest and the failures of a resource are shown', () => {
    assert.deepEqual(of('revision', 'ready'), [
      { ...kinds, image_id: image.status?.imageID, state: 'Current', value: 0 },
    ]);
    assert.ok((of('source_resolved_timestamp_seconds', 'ready')[0]?.value ?? 0) > 1_700_000_000);
    const [failures] = of('failed_attempts', 'failed');
    assert.ok(failures !== undefined && failures.value >= 1);
    assert.deepEqual({ ...failures, value: 1 }, { ...kinds, reason: 'DigestMismatch', value: 1 });
    assert.deepEqual(of('failed_attempts', 'ready'), []);
  });
});
