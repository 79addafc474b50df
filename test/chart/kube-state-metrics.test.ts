/** The file for kube-state-metrics: the fields of its configuration, and the paths in the CRD of GlanceImage. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { chart } from '../../charts/helm.ts';
import { group, kind, plural, version } from '../../src/api/group.ts';
import { customResourceDefinition } from '../../src/generate/crd.ts';
import type { StructuralSchema } from '../../src/generate/structural.ts';
import { objectsWith } from './objects.ts';

const text = readFileSync(join(chart, 'files/custom-resource-state.yaml'), 'utf8');

/** As docs/metrics/extend/customresourcestate-metrics.md of kube-state-metrics describes them. */
const path = z.array(z.string()).min(1);
const labels = { labelsFromPath: z.record(z.string().regex(/^[a-z_]+$/), path).optional() };
const gauge = z.strictObject({
  path: path.optional(),
  ...labels,
  valueFrom: path.optional(),
  nilIsZero: z.boolean().optional(),
});
const each = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('Gauge'), gauge }),
  z.strictObject({ type: z.literal('Info'), info: z.strictObject({ path: path.optional(), ...labels }) }),
]);
const fileSchema = z.strictObject({
  kind: z.literal('CustomResourceStateMetrics'),
  spec: z.strictObject({
    resources: z.tuple([
      z.strictObject({
        groupVersionKind: z.strictObject({ group: z.string(), version: z.string(), kind: z.string() }),
        resourcePlural: z.string(),
        metricNamePrefix: z.string(),
        ...labels,
        metrics: z.array(z.strictObject({ name: z.string().regex(/^[a-z_]+$/), help: z.string(), each })),
      }),
    ]),
  }),
});

const [resource] = fileSchema.parse(parse(text)).spec.resources;
const schema = customResourceDefinition().spec.versions[0]?.schema.openAPIV3Schema;

/** A list stands for its entries. */
function fieldAt(at: StructuralSchema | undefined, [name, ...rest]: readonly string[]): StructuralSchema | undefined {
  const object = at?.items ?? at;
  return name === undefined ? object : fieldAt(object?.properties?.[name], rest);
}

describe('the file for kube-state-metrics', () => {
  test('the file names the kind of the CRD', () => {
    assert.deepEqual(resource.groupVersionKind, { group, version, kind });
    assert.equal(resource.resourcePlural, plural);
  });

  test('the labels of all metrics are fields of the metadata', () => {
    assert.deepEqual(resource.labelsFromPath, {
      exported_namespace: ['metadata', 'namespace'],
      name: ['metadata', 'name'],
    });
  });

  for (const { name, each: shape } of resource.metrics) {
    test(`glanceimage_${name}: each path leads to a field that can be a label or a value`, () => {
      const metric = shape.type === 'Gauge' ? shape.gauge : { ...shape.info, valueFrom: undefined };
      const from = fieldAt(schema, metric.path ?? []);
      assert.ok(from !== undefined, `there is no ${metric.path?.join('.')}`);
      for (const label of Object.values(metric.labelsFromPath ?? {}))
        assert.match(fieldAt(from, label)?.type ?? '', /^(string|integer|boolean)$/, label.join('.'));
      if (shape.type === 'Info') return;
      const value = fieldAt(from, metric.valueFrom ?? []);
      assert.match(value?.type ?? '', /^(string|integer|boolean)$/);
      if (value?.type !== 'string') return;
      // kube-state-metrics reads times, and the status of a condition.
      const isStatus = JSON.stringify(value.enum ?? []).includes('Unknown');
      assert.ok(isStatus || value.format === 'date-time', `${name} is a text that is no number`);
    });
  }

  test('the page lists every metric and its labels', () => {
    const page = readFileSync(join(chart, '../../docs/how-to/operate.md'), 'utf8');
    for (const { name, each: shape } of resource.metrics) {
      const { labelsFromPath = {} } = shape.type === 'Gauge' ? shape.gauge : shape.info;
      const own = Object.keys(labelsFromPath)
        .map((label) => `\`${label}\``)
        .join(', ');
      assert.ok(page.includes(`| \`glanceimage_${name}\` | ${own === '' ? '' : `${own} `}|`), name);
    }
  });

  test('the chart puts the file into a ConfigMap', async () => {
    const release = { name: 'glance-image-operator', namespace: 'glance-image-operator-system' };
    const objects = await objectsWith(['metrics.kubeStateMetrics.enabled=true'], release);
    const found = objects.find(({ metadata }) => metadata.name.endsWith('-custom-resource-state'));
    assert.equal(
      found?.metadata.name,
      'glance-image-operator-custom-resource-state',
      'the page mounts it by this name',
    );
    const { data } = z.looseObject({ data: z.record(z.string(), z.string()) }).parse(found);
    assert.equal(data['custom-resource-state.yaml']?.trim(), text.trim());
  });
});
