/** Real helm on a real API server. The tests run in order and depend on each other, because a cluster has only one CRD of GlanceImage. */
import assert from 'node:assert/strict';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse, parseDocument } from 'yaml';
import { z } from 'zod';
import { chart } from '../../charts/helm.ts';
import { manifests } from '../../charts/manifests.ts';
import { specSchema } from '../../src/api/spec.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { goldens } from './goldens.ts';
import { type KubernetesObject, objectsIn } from './objects.ts';

const name = 'glance-image-operator';
const namespace = 'glance-image-operator-system';
const crdName = 'crd/glanceimages.glance-image-operator.dev';

const image = (spec: object = {}) =>
  JSON.stringify({
    apiVersion: 'glance-image-operator.dev/v1alpha1',
    kind: 'GlanceImage',
    metadata: { name: 'kept', namespace: 'default' },
    spec: { cloud: { secretRef: { name: 'openstack' }, name: 'demo' }, ...spec },
  });

let cluster: Cluster;
before(async () => {
  cluster = await startCluster();
});
after(() => cluster.stop());

async function kubectl(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await cluster.kubernetes.kubectl(args);
  assert.equal(code, 0, stderr);
  return stdout;
}

async function helm(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await cluster.kubernetes.helm(args, { namespace });
  assert.equal(code, 0, stderr);
  return stdout;
}

const established = () => kubectl('wait', '--for=condition=Established', crdName, '--timeout=30s');
const uidOf = (what: string) => kubectl('get', what, '--output=jsonpath={.metadata.uid}');

/** The resource versions of all objects of the release, cluster-scoped ones included. */
async function versions(): Promise<string> {
  const kinds =
    'deployments,configmaps,services,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,crds';
  const selector = '--selector=app.kubernetes.io/instance=glance-image-operator';
  const format = '--output=jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.resourceVersion}{"\\n"}{end}';
  return kubectl('get', kinds, '--namespace', namespace, selector, format);
}

/** An earlier version of the chart, whose CRD has no field `suspend` and no selectable fields. */
async function earlierChart(): Promise<string> {
  const copy = join(cluster.directory, 'earlier');
  await cp(chart, copy, { recursive: true });
  const file = join(copy, 'files/crds/glance-image-operator.dev_glanceimages.yaml');
  const crd = parseDocument(await readFile(file, 'utf8'));
  const version = ['spec', 'versions', 0, 'schema', 'openAPIV3Schema'];
  assert.ok(crd.deleteIn([...version, 'properties', 'spec', 'properties', 'suspend']));
  assert.ok(crd.deleteIn(['spec', 'versions', 0, 'selectableFields']));
  await writeFile(file, crd.toString());
  return copy;
}

/** Applies the objects by server-side dry run. Unknown fields are errors. */
async function acceptable(objects: readonly KubernetesObject[]): Promise<void> {
  const input = objects.map((object) => JSON.stringify(object)).join('\n---\n');
  const args = ['apply', '--dry-run=server', '--validate=strict', '--filename=-'];
  const { code, stderr } = await cluster.kubernetes.kubectl(args, { input });
  assert.equal(code, 0, stderr);
}

describe('the chart in a cluster', () => {
  test('an upgrade installs the new CRD, and resources stay', async () => {
    await helm('install', name, await earlierChart(), '--create-namespace');
    await established();
    const { kubernetes } = cluster;
    await assert.rejects(kubernetes.apply(image({ suspend: true })), /unknown field "spec.suspend"/);
    await kubernetes.apply(image());
    const uid = await uidOf('glanceimage/kept');

    const notes = await helm('upgrade', name, chart);
    assert.match(notes, /manages the GlanceImages in all namespaces/);
    await kubernetes.apply(image({ suspend: true }));
    assert.equal(await uidOf('glanceimage/kept'), uid);
  });

  test('a rollback restores the earlier CRD, and resources stay', async () => {
    const uid = await uidOf('glanceimage/kept');
    await helm('rollback', name, '1');
    await assert.rejects(cluster.kubernetes.apply(image({ suspend: true })), /unknown field "spec.suspend"/);
    await helm('upgrade', name, chart);
    assert.equal(await uidOf('glanceimage/kept'), uid);
  });

  test('an upgrade to the same version changes no object', async () => {
    const earlier = await versions();
    assert.ok(earlier.split('\n').length > 8, earlier);
    await helm('upgrade', name, chart);
    assert.equal(await versions(), earlier);
  });

  test('leader election can be disabled and enabled again', async () => {
    const strategy = () =>
      kubectl('get', 'deployment', name, '--namespace', namespace, '--output=jsonpath={.spec.strategy}');
    await helm('upgrade', name, chart, '--set', 'settings.leaderElect=false');
    assert.equal(await strategy(), '{"type":"Recreate"}');
    await helm('upgrade', name, chart, '--reset-values');
    assert.equal(await strategy(), '{"rollingUpdate":{"maxSurge":1,"maxUnavailable":0},"type":"RollingUpdate"}');
  });

  test('the API server accepts the example in the notes, which is also the example of the chart on Artifact Hub', async () => {
    const [, notes = ''] = /<<EOF\n([\s\S]*?)\n {2}EOF/.exec(await helm('get', 'notes', name)) ?? [];
    const { annotations } = z
      .looseObject({ annotations: z.record(z.string(), z.string()) })
      .parse(parse(await readFile(join(chart, 'Chart.yaml'), 'utf8')));
    const examples: unknown = parse(annotations['artifacthub.io/crdsExamples'] ?? '');
    const first: unknown = parse(notes);
    assert.deepEqual(examples, [first]);
    specSchema.parse(z.looseObject({ spec: z.unknown() }).parse(first).spec);
    await acceptable(objectsIn(notes));
  });

  for (const { name: golden, file } of goldens) {
    test(`${golden}: the API server accepts every object of a kind that it knows`, async () => {
      const objects = objectsIn(await readFile(file, 'utf8'));
      const known = objects.filter(({ apiVersion }) => !apiVersion.startsWith('monitoring.coreos.com/'));
      const namespaces = new Set(known.flatMap(({ metadata }) => metadata.namespace ?? []));
      for (const each of namespaces) {
        const { code, stderr } = await cluster.kubernetes.kubectl(['create', 'namespace', each]);
        assert.ok(code === 0 || stderr.includes('already exists'), stderr);
      }
      await acceptable(known);
    });
  }

  test('uninstalling keeps the CRD and the resources for the next installation, and nothing else', async () => {
    const uid = await uidOf('glanceimage/kept');
    await helm('uninstall', name);
    const left = (await versions()).trim().split('\n');
    assert.equal(left.length, 1, left.join('\n'));
    assert.match(left[0] ?? '', /^CustomResourceDefinition glanceimages/);
    assert.equal(await uidOf('glanceimage/kept'), uid);
    await helm('install', name, chart);
    assert.equal(await uidOf('glanceimage/kept'), uid);
  });

  test('with crds.keep=false, uninstalling deletes the CRD and all resources', async () => {
    const notes = await helm('upgrade', name, chart, '--set', 'crds.keep=false');
    assert.match(notes, /WARNING: crds\.keep is false/);
    await helm('uninstall', name);
    await kubectl('wait', '--for=delete', crdName, '--timeout=30s');
    const { stderr } = await cluster.kubernetes.kubectl(['get', 'glanceimages', '--all-namespaces']);
    assert.match(stderr, /the server (doesn't have a resource type|could not find the requested resource)/);
    assert.equal(await versions(), '');
  });

  test('kubectl applies the plain manifests, which contain nothing that only helm reads', async () => {
    const file = join(cluster.directory, 'install.yaml');
    const text = await manifests();
    await writeFile(file, text);
    assert.doesNotMatch(text, /helm/i);
    assert.equal(objectsIn(text).length, text.split(/^---$/m).length, 'one object per document');
    const { code, stderr } = await cluster.kubernetes.kubectl(['apply', '--validate=strict', '--filename', file]);
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /would violate PodSecurity/);
    await established();
    const kinds = (await versions()).trim().split('\n');
    assert.equal(kinds.length, objectsIn(text).length - 1, 'all objects except the namespace have the label');
  });

  test('a kustomization can change the namespace, the image and the replicas of the plain manifests', async () => {
    const directory = join(cluster.directory, 'kustomization');
    await mkdir(directory);
    await writeFile(join(directory, 'install.yaml'), await manifests());
    const kustomization = {
      resources: ['install.yaml'],
      namespace: 'elsewhere',
      images: [
        {
          name: 'ghcr.io/glance-image-operator/glance-image-operator',
          newName: 'registry.example.com/images',
          newTag: '1',
        },
      ],
      replicas: [{ name, count: 2 }],
    };
    await writeFile(join(directory, 'kustomization.yaml'), JSON.stringify(kustomization));
    const text = await kubectl('kustomize', directory);
    assert.doesNotMatch(text, new RegExp(namespace));
    assert.match(text, /image: registry\.example\.com\/images:1\n/);
    assert.match(text, /replicas: 2\n/);
    const rest = objectsIn(text).filter(({ kind }) => kind !== 'Namespace');
    await kubectl('create', 'namespace', 'elsewhere');
    await acceptable(rest);
  });

  test('helm takes over a CRD that kubectl installed only with --take-ownership', async () => {
    const args = ['install', 'other', chart, '--create-namespace'];
    const { code, stderr } = await cluster.kubernetes.helm(args, { namespace: 'other' });
    assert.notEqual(code, 0);
    assert.match(stderr, /CustomResourceDefinition "glanceimages\.glance-image-operator\.dev" .*cannot be imported/);
    const taking = ['--take-ownership', '--force-conflicts'];
    const again = await cluster.kubernetes.helm([...args, ...taking], { namespace: 'other' });
    assert.equal(again.code, 0, again.stderr);
  });
});
