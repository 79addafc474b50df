/**
 * The chart next to Red Hat's operator that deploys the Glance service, openstack-k8s-operators/glance-operator, in the same
 * namespace. Invariant: no object, label, selector, Lease, API name, metric, alert or namespace of one is one of the other.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { chart } from '../../charts/helm.ts';
import { manifests } from '../../charts/manifests.ts';
import { describeMetrics, emptyRegistry } from '../../src/generate/tables.ts';
import { everything, type KubernetesObject, objectsIn, objectsWith, ofKind, rulesOf } from './objects.ts';

/** Names that two installations in one cluster must not share, by where they would collide. */
interface Names {
  objects: readonly string[];
  nameLabels: readonly string[];
  leases: readonly string[];
  groups: readonly string[];
  /** Kinds, plurals, singulars, short names and categories: what a person types after `kubectl get`. */
  resources: readonly string[];
  metricPrefixes: readonly string[];
  namespaces: readonly string[];
  images: readonly string[];
}

interface Installation {
  names: Names;
  podLabels: Readonly<Record<string, string>>;
  selectors: readonly Readonly<Record<string, string>>[];
}

const theirNamespace = 'glance-operator-system';
const inTheirNamespace = (kind: string, ...names: string[]) => names.map((name) => `${kind} ${theirNamespace}/${name}`);
const roles = ['admin', 'editor', 'viewer'].flatMap((role) => [`glance-${role}-role`, `glanceapi-${role}-role`]);

/** As config/default, config/manager, config/rbac, api/bases and cmd/main.go of their repository name things. */
const theirs: Installation = {
  names: {
    objects: [
      ...['manager-role', 'metrics-auth-role', 'metrics-reader', ...roles].map(
        (role) => `ClusterRole /glance-operator-${role}`,
      ),
      ...['glances', 'glanceapis'].map((plural) => `CustomResourceDefinition /${plural}.glance.openstack.org`),
      `Namespace /${theirNamespace}`,
      ...inTheirNamespace('Deployment', 'glance-operator-controller-manager'),
      ...inTheirNamespace('ServiceAccount', 'glance-operator-controller-manager'),
      ...inTheirNamespace('Role', 'glance-operator-leader-election-role'),
      ...inTheirNamespace('Service', 'glance-operator-controller-manager-metrics-service'),
    ],
    nameLabels: ['glance-operator'],
    leases: ['c569355b.openstack.org'],
    groups: ['glance.openstack.org'],
    resources: ['Glance', 'glances', 'glance', 'GlanceAPI', 'glanceapis', 'glanceapi'],
    metricPrefixes: ['glance_operator_'],
    namespaces: [theirNamespace],
    images: ['', '-bundle', '-index'].map((end) => `quay.io/openstack-k8s-operators/glance-operator${end}`),
  },
  podLabels: { 'control-plane': 'controller-manager', 'app.kubernetes.io/name': 'glance-operator' },
  selectors: [{ 'control-plane': 'controller-manager' }, { 'app.kubernetes.io/name': 'glance-operator' }],
};

const matchLabels = z.looseObject({ matchLabels: z.record(z.string(), z.string()) });
const shapes = {
  crd: z.looseObject({
    spec: z.looseObject({
      group: z.string(),
      names: z.strictObject({
        kind: z.string(),
        listKind: z.string(),
        plural: z.string(),
        singular: z.string(),
        shortNames: z.array(z.string()),
        categories: z.array(z.string()),
      }),
    }),
  }),
  deployment: z.looseObject({
    spec: z.looseObject({
      selector: matchLabels,
      template: z.looseObject({
        metadata: z.looseObject({ labels: z.record(z.string(), z.string()) }),
        spec: z.looseObject({ containers: z.array(z.looseObject({ image: z.string() })) }),
      }),
    }),
  }),
  service: z.looseObject({ spec: z.looseObject({ selector: z.record(z.string(), z.string()) }) }),
  selecting: z.looseObject({ spec: z.looseObject({ selector: matchLabels }) }),
  policy: z.looseObject({ spec: z.looseObject({ podSelector: matchLabels }) }),
};

const identify = ({ kind, metadata }: KubernetesObject) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;
const ownMetric = /^glance_[a-z]*_?operator_/;

async function installed(objects: readonly KubernetesObject[]): Promise<Installation> {
  const crd = shapes.crd.parse(ofKind(objects, 'CustomResourceDefinition')).spec;
  const { kind, listKind, plural, singular, shortNames, categories } = crd.names;
  const { selector, template } = shapes.deployment.parse(ofKind(objects, 'Deployment')).spec;
  const selecting = ['ServiceMonitor', 'PodDisruptionBudget'].map((each) =>
    shapes.selecting.parse(ofKind(objects, each)),
  );
  const metrics = (await describeMetrics(emptyRegistry())).flatMap(({ name }) => ownMetric.exec(name)?.[0] ?? []);
  return {
    names: {
      objects: objects.map(identify),
      nameLabels: objects.flatMap(({ metadata }) => metadata.labels?.['app.kubernetes.io/name'] ?? []),
      leases: rulesOf(ofKind(objects, 'Role')).flatMap(({ resourceNames = [] }) => resourceNames),
      groups: [crd.group],
      resources: [kind, listKind, plural, singular, ...shortNames, ...categories],
      metricPrefixes: [...new Set(metrics)],
      namespaces: objectsIn(await manifests()).flatMap(({ metadata }) => metadata.namespace ?? []),
      images: template.spec.containers.map(({ image }) => image.replace(/[:@][^/]*$/, '')),
    },
    podLabels: template.metadata.labels,
    selectors: [
      selector.matchLabels,
      shapes.service.parse(ofKind(objects, 'Service')).spec.selector,
      shapes.policy.parse(ofKind(objects, 'NetworkPolicy')).spec.podSelector.matchLabels,
      ...selecting.map(({ spec }) => spec.selector.matchLabels),
    ],
  };
}

function selects(selector: Readonly<Record<string, string>>, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(selector).every(([label, value]) => labels[label] === value);
}

/** Each name that both have, and each selector of one that finds the Pods of the other. */
function collisions(one: Installation, other: Installation): string[] {
  const same = (['objects', 'nameLabels', 'leases', 'groups', 'resources', 'namespaces', 'images'] as const).flatMap(
    (where) => one.names[where].filter((name) => other.names[where].includes(name)).map((name) => `${where}: ${name}`),
  );
  const overlap = (a: string, b: string) => a.startsWith(b) || b.startsWith(a);
  const metrics = one.names.metricPrefixes.filter((a) => other.names.metricPrefixes.some((b) => overlap(a, b)));
  const selected = [
    ...one.selectors.filter((selector) => selects(selector, other.podLabels)),
    ...other.selectors.filter((selector) => selects(selector, one.podLabels)),
  ];
  return [
    ...new Set(same),
    ...metrics.map((prefix) => `metrics: ${prefix}`),
    ...selected.map((selector) => `selector: ${JSON.stringify(selector)}`),
  ];
}

describe("the chart next to Red Hat's operator of the Glance service", () => {
  let ours: Installation;
  before(async () => {
    ours = await installed(await objectsWith(everything, { name: 'glance-image-operator', namespace: theirNamespace }));
  });

  test('both installations share no name and no selector, even in one namespace', () => {
    for (const [where, names] of Object.entries(ours.names)) assert.ok(names.length > 0, where);
    assert.equal(ours.selectors.length, 5);
    assert.deepEqual(collisions(ours, theirs), []);
  });

  test('a release that has the name of the other operator collides with nothing of it', async () => {
    const objects = await objectsWith(everything, { name: 'glance-operator', namespace: theirNamespace });
    assert.deepEqual(collisions(await installed(objects), theirs), []);
  });

  test('the check of collisions finds one in each place where there can be one', () => {
    const found = new Set(collisions(theirs, theirs).map((each) => each.split(': ')[0]));
    assert.deepEqual([...found].sort(), [...Object.keys(theirs.names).map(placeOf), 'selector'].sort());
  });

  test('alerts on metrics that every controller has look only at those of this operator', () => {
    const file = z.looseObject({
      groups: z.array(z.looseObject({ rules: z.array(z.looseObject({ alert: z.string(), expr: z.string() })) })),
    });
    const { groups } = file.parse(parse(readFileSync(join(chart, 'files/alerts.yaml'), 'utf8')));
    const shared =
      /\b(?:controller_runtime|leader_election|rest_client|workqueue|watch|nodejs|process)_\w+(\{[^}]*\})?/g;
    for (const { alert, expr } of groups.flatMap(({ rules }) => rules)) {
      const joined = /group_left \(\) glance_image_operator_build_info/.test(expr);
      for (const [metric, selector = ''] of expr.matchAll(shared))
        assert.ok(joined || /"glanceimage[s"|]/.test(selector), `${alert}: ${metric}`);
    }
  });
});

function placeOf(names: string): string {
  return names === 'metricPrefixes' ? 'metrics' : names;
}
