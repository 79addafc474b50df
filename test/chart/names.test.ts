import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { chart } from '../../charts/helm.ts';
import { manifests } from '../../charts/manifests.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { group } from '../../src/api/group.ts';
import { describeSettings } from '../../src/commands/config.ts';
import { runSettings } from '../../src/commands/settings.ts';
import { describeMetrics, emptyRegistry } from '../../src/generate/tables.ts';
import { markProperties } from '../../src/image/model/identity.ts';
import { deploymentIn, everything, type KubernetesObject, objectsIn, objectsWith, ofKind, rulesOf } from './objects.ts';

const name = 'glance-image-operator';
const read = (file: string) => readFileSync(join(chart, file), 'utf8');
const identify = ({ kind, metadata }: KubernetesObject) => `${kind}/${metadata.namespace ?? ''}/${metadata.name}`;

const alertsFile = z.strictObject({
  groups: z.array(z.looseObject({ name: z.string(), rules: z.array(z.looseObject({ alert: z.string() })) })),
});
const dashboardFile = z.looseObject({ uid: z.string(), title: z.string() });
const configMap = z.looseObject({ data: z.record(z.string(), z.string()) });
const crd = z.looseObject({ spec: z.looseObject({ group: z.string() }) });

/** As the pages install it. */
const documented = (...set: string[]) => objectsWith(set, { name, namespace: `${name}-system` });

describe('names', () => {
  test('the package, the command and the chart have the name of the project', () => {
    const { name: chartName } = z.looseObject({ name: z.string() }).parse(parse(read('Chart.yaml')));
    assert.deepEqual([packageJson.name, chartName], [name, name]);
    // kubectl finds a plugin, and the program that completes its arguments, by their names.
    assert.deepEqual(Object.keys(packageJson.bin), [name, 'kubectl-glanceimage', 'kubectl_complete-glanceimage']);
  });

  test('the documented release names its Deployment, ServiceAccount, Lease and labels after the project', async () => {
    const objects = await documented(...everything);
    for (const kind of ['Deployment', 'ServiceAccount', 'ClusterRole', 'ClusterRoleBinding', 'NetworkPolicy'])
      assert.equal(ofKind(objects, kind).metadata.name, name);
    const leases = rulesOf(ofKind(objects, 'Role')).flatMap(({ resourceNames = [] }) => resourceNames);
    assert.deepEqual(leases, [name]);
    for (const object of objects) {
      assert.equal(object.metadata.labels?.['app.kubernetes.io/name'], name, identify(object));
      assert.equal(object.metadata.labels?.['app.kubernetes.io/part-of'], name, identify(object));
    }
    assert.match(deploymentIn(objects).container.image, /\/glance-image-operator:/);
  });

  test('the plain manifests are installed in a namespace that has the name of the project', async () => {
    const objects = objectsIn(await manifests());
    assert.equal(ofKind(objects, 'Namespace').metadata.name, `${name}-system`);
    const namespaces = new Set(objects.flatMap(({ metadata }) => metadata.namespace ?? []));
    assert.deepEqual([...namespaces], [`${name}-system`]);
  });

  test('the API group has the name of the project', async () => {
    const definition = ofKind(await documented(), 'CustomResourceDefinition');
    assert.equal(crd.parse(definition).spec.group, `${name}.dev`);
    assert.equal(definition.metadata.name, `glanceimages.${name}.dev`);
    assert.equal(group, `${name}.dev`);
  });

  test('the marks on images have the name of the project', () => {
    assert.deepEqual(markProperties, [
      'glance_image_operator_owner',
      'glance_image_operator_cluster',
      'glance_image_operator_content',
    ]);
  });

  test('alerts, the dashboard, metrics and environment variables have the name of the project', async () => {
    const objects = await documented(...everything);
    const { groups } = alertsFile.parse(parse(read('files/alerts.yaml')));
    assert.deepEqual(
      groups.map((each) => each.name),
      [name],
    );
    for (const { alert } of groups.flatMap(({ rules }) => rules)) assert.match(alert, /^GlanceImageOperator[A-Z]/);
    const dashboards = objects.filter(({ kind, metadata }) => kind === 'ConfigMap' && /dashboard/.test(metadata.name));
    assert.deepEqual(
      dashboards.map((each) => [each.metadata.name, Object.keys(configMap.parse(each).data)]),
      [[`${name}-dashboard`, [`${name}.json`]]],
    );
    const { uid, title } = dashboardFile.parse(JSON.parse(read('files/dashboard.json')));
    assert.deepEqual([uid, title], [name, name]);
    const metrics = (await describeMetrics(emptyRegistry())).map((each) => each.name);
    const standard = /^(controller_runtime|leader_election|rest_client|watch|workqueue)_/;
    for (const metric of metrics.filter((each) => !standard.test(each)))
      assert.match(metric, /^glance_image_operator_/);
    for (const { env } of describeSettings(runSettings)) assert.match(env ?? '', /^GLANCE_IMAGE_OPERATOR_/);
  });

  test('the longest names stay within 63 characters, and apart', async () => {
    const overrides = [[], [`nameOverride=${'n'.repeat(63)}`], [`fullnameOverride=${'f'.repeat(63)}`]];
    for (const override of overrides) {
      const objects = await objectsWith([...everything, ...override], { name: 'r'.repeat(53) });
      for (const { kind, metadata } of objects) {
        assert.ok(metadata.name.length <= 63, `${kind} ${metadata.name}`);
        for (const [label, value] of Object.entries(metadata.labels ?? {})) assert.ok(value.length <= 63, label);
      }
      assert.equal(new Set(objects.map(identify)).size, objects.length);
    }
  });

  test('two releases whose long names differ only at the end share no object', async () => {
    const [one, two] = await Promise.all(
      ['a', 'b'].map((shard) => objectsWith(everything, { name: `${name}-production-eu-central-1-shard-${shard}` })),
    );
    const first = new Set(one?.map(identify));
    const shared = two?.map(identify).filter((each) => first.has(each));
    assert.deepEqual(shared, ['CustomResourceDefinition//glanceimages.glance-image-operator.dev']);
  });

  test('a release name that looks like a number stays a string', async () => {
    const objects = await objectsWith(['watchNamespaces={team-a}', 'settings.clusterName=x'], {
      name: '1e3',
      namespace: '42',
    });
    assert.equal(ofKind(objects, 'ServiceAccount').metadata.namespace, '42');
  });
});
