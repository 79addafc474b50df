import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { readAlerts, runbookOf } from '../../charts/alerts.ts';
import { reasons } from '../../src/api/reasons.ts';
import { describeMetrics, emptyRegistry } from '../../src/generate/tables.ts';
import { failureReasons } from '../../src/image/status/failure.ts';
import { programVersion } from '../../src/lib/version.ts';
import { metricsIn } from './promql.ts';

const root = join(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');

const alerts = readAlerts(read('charts/glance-image-operator/files/alerts.yaml'));

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

/** The names of all samples, with the labels that each may have. */
async function samples(): Promise<Map<string, ReadonlySet<string>>> {
  const registry = emptyRegistry();
  const all = new Map<string, ReadonlySet<string>>();
  const usual = ['cluster', 'job', 'instance', 'namespace', 'pod'];
  for (const { name, type, labels } of await describeMetrics(registry)) {
    const own = new Set([...labels, ...usual]);
    if (type !== 'histogram') all.set(name, own);
    else for (const suffix of ['_bucket', '_sum', '_count']) all.set(name + suffix, new Set([...own, 'le']));
  }
  for (const metric of await registry.getMetricsAsJSON())
    if (/^(process|nodejs)_/.test(metric.name)) all.set(metric.name, new Set(usual));
  return all;
}

/** Names in an expression that do not exist. */
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
  const grouped = [...expression.matchAll(/\b(?:by|without|on)\s*\(([^)]+)\)/g)]
    .flatMap(([, inside = '']) => inside.split(',').map((label) => label.trim()))
    .filter((label) => !labels.includes(label));
  return [...names.filter((name) => !known.has(name)), ...matched, ...grouped];
}

/** Labels that distinguish installations in a shared Prometheus. */
const installation = ['cluster', 'namespace', 'job'];

/** Aggregations and joins in an expression that would mix installations. */
function mixed(expression: string): string[] {
  const aggregation =
    /\b(sum|min|max|avg|count|topk|bottomk|quantile|stddev)\b\s*(?:by\s*\(([^)]*)\))?|\bon\s*\(([^)]+)\)/g;
  return [...expression.matchAll(aggregation)].flatMap(([all, , grouped, joined]) => {
    const labels = (grouped ?? joined ?? '').split(',').map((label) => label.trim());
    return installation.every((label) => labels.includes(label)) ? [] : [all];
  });
}

describe('the alerts and the dashboard', () => {
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

  test('every metric and label in an alert exists', async () => {
    for (const { alert, expr } of alerts) {
      assert.ok(metricsIn(expr).length > 0, alert);
      assert.deepEqual(await wrongNames(expr), [], alert);
    }
  });

  test('every metric and label on the dashboard exists', async () => {
    assert.ok(queries.length > 30);
    for (const { title, expr } of queries) {
      assert.ok(metricsIn(expr).length > 0, title);
      assert.deepEqual(await wrongNames(expr), [], title);
    }
    const variables = dashboard.templating.list.flatMap(({ definition }) => definition ?? []);
    for (const definition of variables)
      assert.match(definition, /label_values\(glance_image_operator_build_info, job\)/);
  });

  test('every metric with the prefix of the project is in an alert or on the dashboard', async () => {
    const shown = new Set([...alerts, ...queries].flatMap(({ expr }) => metricsIn(expr)));
    const own = (await describeMetrics(emptyRegistry())).filter(({ name }) =>
      name.startsWith('glance_image_operator_'),
    );
    const missing = own.filter(({ name, type }) => !shown.has(type === 'histogram' ? `${name}_bucket` : name));
    assert.deepEqual(missing, []);
  });

  test('an alert about one installation neither hides in another one nor counts it', () => {
    assert.deepEqual(mixed('sum(x) / max by (job) (y)'), ['sum', 'max by (job)']);
    assert.deepEqual(mixed('a * on (job, instance) group_left () b'), ['on (job, instance)']);
    assert.deepEqual(mixed('sum by (cluster, namespace, job, cloud) (x)'), []);
    for (const { alert, expr } of alerts) assert.deepEqual(mixed(expr), [], alert);
  });

  test('the end of any installation fires an alert, not only the end of the last one', () => {
    const [down] = alerts.filter(({ alert }) => alert === 'GlanceImageOperatorDown');
    const info = 'glance_image_operator_build_info';
    const labels = installation.join(', ');
    assert.equal(
      down?.expr,
      `max by (${labels}) (max_over_time(${info}[1d])) unless max by (${labels}) (${info}) or on () absent(${info})`,
    );
  });

  test('the alert about images that fail for hours counts every reason of a failure, and no other reason', () => {
    const expr = alerts.find(({ alert }) => alert === 'GlanceImageOperatorImagesNotReady')?.expr ?? '';
    const [, others = ''] = /glance_image_operator_images\{reason!~"([^"]*)"\}/.exec(expr) ?? [];
    const ofReady = Object.entries(reasons).flatMap(([reason, { shownBy }]) =>
      shownBy.includes('Ready') ? [reason] : [],
    );
    const counted = ofReady.filter((reason) => !new RegExp(`^(?:${others})$`).test(reason));
    assert.deepEqual(counted.sort(), [...failureReasons].sort());
  });

  test('every reason in an alert exists', () => {
    const asked = alerts.flatMap(({ expr }) =>
      [...expr.matchAll(/reason=~"([^"]*)"/g)].flatMap(([, list = '']) => list.split('|')),
    );
    assert.ok(asked.length > 0);
    assert.deepEqual(
      asked.filter((reason) => !Object.hasOwn(reasons, reason)),
      [],
    );
  });

  test('every alert links to a section that explains it, and every such section has its alert', () => {
    const runbooks = alerts.map((alert) => ({ alert, runbook: runbookOf(alert, programVersion) }));
    for (const { alert, runbook } of runbooks) {
      assert.ok(runbook !== undefined, alert.alert);
      assert.equal(runbook.anchor, alert.alert.toLowerCase());
    }
    const pages = [...new Set(runbooks.flatMap(({ runbook }) => runbook?.file ?? []))];
    const sections = pages.flatMap((page) => [...read(page).matchAll(/^### (GlanceImageOperator\w+)\n+(.+)/gm)]);
    assert.deepEqual(sections.map(([, name]) => name).sort(), alerts.map(({ alert }) => alert).sort());
    for (const [, name, text = ''] of sections) assert.ok(text.length > 80, name);
  });
});
