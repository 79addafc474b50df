import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { type Alert, hasThreshold, readAlerts } from '../../charts/alerts.ts';
import { chart } from '../../charts/helm.ts';
import { type KubernetesObject, objectsWith, ofKind } from './objects.ts';

const shipped = readAlerts(readFileSync(join(chart, 'files/alerts.yaml'), 'utf8'));
const enabled = 'metrics.prometheusRule.enabled=true';
const down = 'GlanceImageOperatorDown';

const labels = z.record(z.string(), z.string());
const alertSchema = z.looseObject({
  alert: z.string(),
  expr: z.string(),
  for: z.string().optional(),
  labels,
  annotations: z.record(z.string(), z.string()),
});
const ruleSchema = z.looseObject({
  spec: z.looseObject({ groups: z.array(z.looseObject({ rules: z.array(alertSchema) })) }),
});

function alertsOf(objects: readonly KubernetesObject[]): z.infer<typeof alertSchema>[] {
  return ruleSchema.parse(ofKind(objects, 'PrometheusRule')).spec.groups.flatMap(({ rules }) => rules);
}

async function rendered(...set: string[]) {
  return alertsOf(await objectsWith([enabled, ...set]));
}

const change = ({ alert }: Pick<Alert, 'alert'>, what: string) => `metrics.prometheusRule.alerts.${alert}.${what}`;

describe('the PrometheusRule of the chart', () => {
  test('without changes, the alerts of the chart are those of the file', async () => {
    assert.deepEqual(await rendered(), shipped);
  });

  test('every threshold in the file can be changed, and nothing else in the expression changes', async () => {
    const bounded = shipped.filter(hasThreshold);
    assert.ok(bounded.length > 10);
    const changed = await rendered(...bounded.map((alert) => change(alert, 'threshold=12345')));
    const wanted = bounded.map(({ alert, expr }) => [alert, expr.replace(/[0-9.]+$/, '12345')]);
    const found = changed.filter(({ alert }) => bounded.some((each) => each.alert === alert));
    assert.deepEqual(
      found.map(({ alert, expr }) => [alert, expr]),
      wanted,
    );
  });

  test('an alert can be disabled, and its duration, severity and labels can be changed', async () => {
    const [first, second, ...others] = shipped;
    assert.ok(first !== undefined && second !== undefined);
    const alerts = await rendered(
      change(first, 'enabled=false'),
      change(second, 'for=3h'),
      change(second, 'severity=info'),
      'metrics.prometheusRule.alertLabels.team=platform',
    );
    const [changed] = alerts;
    assert.deepEqual([changed?.for, changed?.labels], ['3h', { severity: 'info', team: 'platform' }]);
    assert.deepEqual(
      alerts.slice(1),
      others.map((each) => ({ ...each, labels: { ...each.labels, team: 'platform' } })),
    );
  });

  test('every alert can link to the runbooks of the user', async () => {
    for (const end of ['', '/'])
      for (const { alert, annotations } of await rendered(
        `metrics.prometheusRule.runbookUrl=https://wiki.example.com/r${end}`,
      ))
        assert.equal(annotations['runbook_url'], `https://wiki.example.com/r/${alert.toLowerCase()}`);
  });

  test('with a monitor of the chart, the end of this very release fires an alert, even if it was never scraped', async () => {
    const absent = async (monitor: string) => {
      const objects = await objectsWith([enabled, `metrics.${monitor}.enabled=true`]);
      const expr = alertsOf(objects).find(({ alert }) => alert === down)?.expr ?? '';
      return {
        objects,
        absent: /or on \(namespace, job\) absent\(glance_image_operator_build_info(.*)\)$/.exec(expr)?.[1],
      };
    };
    // Prometheus Operator sets the label job: the name of the Service, or namespace and name of the PodMonitor.
    const byService = await absent('serviceMonitor');
    const service = ofKind(byService.objects, 'Service').metadata;
    assert.equal(byService.absent, `{namespace="${service.namespace}",job="${service.name}"}`);
    const byPod = await absent('podMonitor');
    const { namespace, name } = ofKind(byPod.objects, 'PodMonitor').metadata;
    assert.equal(byPod.absent, `{namespace="${namespace}",job="${namespace}/${name}"}`);
  });
});
