import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { reasons } from '../../src/api/reasons.ts';
import { describeMetrics, emptyRegistry } from '../../src/generate/tables.ts';
import { metricsIn } from './promql.ts';

const root = join(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');

const rule = z.strictObject({
  alert: z.string().regex(/^GlanceImageOperator[A-Za-z]+$/),
  expr: z.string(),
  for: z
    .string()
    .regex(/^\d+[mh]$/)
    .optional(),
  labels: z.strictObject({ severity: z.enum(['info', 'warning', 'critical']) }),
  annotations: z.strictObject({ summary: z.string(), description: z.string() }),
});
const alerts = z
  .strictObject({ groups: z.array(z.strictObject({ name: z.string(), rules: z.array(rule) })) })
  .parse(parse(read('charts/glance-image-operator/files/alerts.yaml')))
  .groups.flatMap(({ rules }) => rules);

const panel = z.looseObject({ title: z.string(), targets: z.array(z.looseObject({ expr: z.string() })).optional() });
const dashboard = z
  .looseObject({
    panels: z.array(panel),
    templating: z.looseObject({
      list: z.array(z.looseObject({ name: z.string(), definition: z.string().optional() })),
    }),
  })
  .parse(JSON.parse(read('charts/glance-image-operator/files/dashboard.json')));
const queries = dashboard.panels.flatMap(({ title, targets }) => (targets ?? []).map(({ expr }) => ({ title, expr })));

/** Names under which samples come, with the labels that each may have. */
async function samples(): Promise<Map<string, ReadonlySet<string>>> {
  const registry = emptyRegistry();
  const all = new Map<string, ReadonlySet<string>>();
  const usual = ['job', 'instance', 'namespace', 'pod'];
  for (const { name, type, labels } of await describeMetrics(registry)) {
    const own = new Set([...labels, ...usual]);
    if (type !== 'histogram') all.set(name, own);
    else for (const suffix of ['_bucket', '_sum', '_count']) all.set(name + suffix, new Set([...own, 'le']));
  }
  for (const metric of await registry.getMetricsAsJSON())
    if (/^(process|nodejs)_/.test(metric.name)) all.set(metric.name, new Set(usual));
  return all;
}

/** What is wrong with the names in an expression. */
async function wrongNames(expression: string): Promise<string[]> {
  const known = await samples();
  const names = metricsIn(expression);
  const labels = names.flatMap((name) => [...(known.get(name) ?? [])]);
  const selectors = [...expression.matchAll(/([a-zA-Z_:][\w:]*)\{([^}]*)\}/g)];
  const matched = selectors.flatMap(([, name = '', inside = '']) =>
    [...inside.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].flatMap(([, label = '']) =>
      known.get(name)?.has(label) === true ? [] : [`${name}{${label}}`],
    ),
  );
  const grouped = [...expression.matchAll(/\b(?:by|without|on)\s*\(([^)]*)\)/g)]
    .flatMap(([, inside = '']) => inside.split(',').map((label) => label.trim()))
    .filter((label) => !labels.includes(label));
  return [...names.filter((name) => !known.has(name)), ...matched, ...grouped];
}

describe('what is shipped for Prometheus and Grafana', () => {
  test('the check of names finds a wrong metric, a wrong label and a wrong grouping', async () => {
    assert.deepEqual(
      metricsIn('sum by (a) (rate(x_total{b="c"}[5m])) / on (d) group_left () y > 1 and z offset 5m'),
      ['x_total', 'y', 'z', 'm'].slice(0, 3),
    );
    assert.deepEqual(await wrongNames('rate(glance_image_operator_transfers_totl[5m])'), [
      'glance_image_operator_transfers_totl',
    ]);
    assert.deepEqual(await wrongNames('glance_image_operator_transfers_total{reason="x"}'), [
      'glance_image_operator_transfers_total{reason}',
    ]);
    assert.deepEqual(await wrongNames('sum by (cloud) (glance_image_operator_transfers_total)'), ['cloud']);
  });

  test('every metric and label of an alert exists in the operator', async () => {
    for (const { alert, expr } of alerts) {
      assert.ok(metricsIn(expr).length > 0, alert);
      assert.deepEqual(await wrongNames(expr), [], alert);
    }
  });

  test('every metric and label of the dashboard exists in the operator', async () => {
    assert.ok(queries.length > 30);
    for (const { title, expr } of queries) {
      assert.ok(metricsIn(expr).length > 0, title);
      assert.deepEqual(await wrongNames(expr), [], title);
    }
    const variables = dashboard.templating.list.flatMap(({ definition }) => definition ?? []);
    for (const definition of variables)
      assert.match(definition, /label_values\(glance_image_operator_build_info, job\)/);
  });

  test('every metric of the operator is in an alert or on the dashboard', async () => {
    const shown = new Set([...alerts, ...queries].flatMap(({ expr }) => metricsIn(expr)));
    const own = (await describeMetrics(emptyRegistry())).filter(({ name }) =>
      name.startsWith('glance_image_operator_'),
    );
    const missing = own.filter(({ name, type }) => !shown.has(type === 'histogram' ? `${name}_bucket` : name));
    assert.deepEqual(missing, []);
  });

  test('every reason in an alert expression exists', () => {
    const asked = alerts.flatMap(({ expr }) =>
      [...expr.matchAll(/reason=~"([^"]*)"/g)].flatMap(([, list = '']) => list.split('|')),
    );
    assert.ok(asked.length > 0);
    assert.deepEqual(
      asked.filter((reason) => !Object.hasOwn(reasons, reason)),
      [],
    );
  });

  test('every alert has a section with meaning and remedy, and every section has an alert', () => {
    const sections = [...read('docs/reference/monitoring.md').matchAll(/^### (GlanceImageOperator\w+)\n+(.+)/gm)];
    assert.deepEqual(sections.map(([, name]) => name).sort(), alerts.map(({ alert }) => alert).sort());
    for (const [, name, text = ''] of sections) assert.ok(text.length > 80, name);
  });
});
