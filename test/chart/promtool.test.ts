/** The alerts and the dashboard as Prometheus itself reads and evaluates them, by its promtool. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { chart } from '../../charts/helm.ts';
import { blocksOf, readPage } from '../docs/pages.ts';
import { folders } from '../env/parts.mjs';
import { objectsWith, ofKind } from './objects.ts';

const ruleSchema = z.looseObject({ alert: z.string(), expr: z.string() });
const groups = z.array(z.looseObject({ name: z.string(), rules: z.array(ruleSchema) }));
const rulesSchema = z.looseObject({ spec: z.looseObject({ groups }) });
const dashboardSchema = z.looseObject({
  panels: z.array(
    z.looseObject({ title: z.string(), targets: z.array(z.looseObject({ expr: z.string() })).optional() }),
  ),
});

/** What replaces a variable of Grafana. */
const variables: Readonly<Record<string, string>> = { $__rate_interval: '5m', $__range: '1d', $__interval: '1m' };

interface Series {
  series: string;
  /** In the notation of promtool: one value for each minute. */
  values: string;
}

interface Expected {
  at: string;
  alert: string;
  /** The labels of each alert that fires then, without the severity. */
  fires: Record<string, string>[];
}

describe('promtool', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'promtool-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  function promtool(...args: string[]): void {
    const { status, stdout, stderr } = spawnSync(join(folders.promtool, 'promtool'), args, {
      cwd: folder,
      encoding: 'utf8',
    });
    assert.equal(status, 0, `${stdout}${stderr}`);
  }

  async function check(rules: unknown): Promise<void> {
    await writeFile(join(folder, 'rules.yaml'), stringify(rules));
    promtool('check', 'rules', 'rules.yaml');
  }

  /** Plays the series, and compares which alerts fire. The summary of each must not be that of a broken template. */
  async function play(rules: unknown, series: readonly Series[], expected: readonly Expected[]): Promise<void> {
    await writeFile(join(folder, 'rules.yaml'), stringify(rules));
    const all = groups
      .parse(z.looseObject({ groups: z.unknown() }).parse(rules).groups)
      .flatMap((group) => group.rules);
    const alert_rule_test = expected.map(({ at, alert, fires }) => {
      const rule = all.find((one) => one.alert === alert);
      const { labels, annotations } = z
        .looseObject({
          labels: z.record(z.string(), z.string()).default({}),
          annotations: z.record(z.string(), z.string()),
        })
        .parse(rule);
      return {
        eval_time: at,
        alertname: alert,
        exp_alerts: fires.map((own) => ({
          exp_labels: { ...own, ...labels },
          exp_annotations: Object.fromEntries(
            Object.entries(annotations).map(([name, text]) => [name, filled(text, own)]),
          ),
        })),
      };
    });
    const tests = [{ interval: '1m', input_series: series, alert_rule_test }];
    await writeFile(
      join(folder, 'test.yaml'),
      stringify({ rule_files: ['rules.yaml'], evaluation_interval: '1m', tests }),
    );
    promtool('test', 'rules', 'test.yaml');
  }

  const shipped: unknown = parse(readFileSync(join(chart, 'files/alerts.yaml'), 'utf8'));
  const build = (namespace: string, instance = 'a') =>
    `glance_image_operator_build_info{namespace="${namespace}",job="images",instance="${instance}"}`;

  test('Prometheus reads the rules of the chart, with and without changed thresholds', async () => {
    await check(shipped);
    const changed = [
      'metrics.serviceMonitor.enabled=true',
      'metrics.prometheusRule.alerts.GlanceImageOperatorQueueSlow.threshold=5',
      'metrics.prometheusRule.alerts.GlanceImageOperatorDown.for=1h',
    ];
    for (const set of [[], changed]) {
      const objects = await objectsWith(['metrics.prometheusRule.enabled=true', ...set]);
      await check({ groups: rulesSchema.parse(ofKind(objects, 'PrometheusRule')).spec.groups });
    }
  });

  test('Prometheus reads every query of the dashboard', async () => {
    const { panels } = dashboardSchema.parse(JSON.parse(readFileSync(join(chart, 'files/dashboard.json'), 'utf8')));
    const queries = panels.flatMap(({ targets }) => (targets ?? []).map(({ expr }) => expr));
    assert.ok(queries.length > 30);
    const rules = queries.map((query, index) => ({
      record: `query_${index}`,
      expr: query.replace(/\$\w+/g, (name) => variables[name] ?? 'x'),
    }));
    await check({ groups: [{ name: 'dashboard', rules }] });
  });

  test('the end of one of two installations fires an alert for that one, and none for the other', async () => {
    await play(
      shipped,
      [
        { series: build('one'), values: '1x5 _x60' },
        { series: build('two'), values: '1x70' },
      ],
      [
        { at: '10m', alert: 'GlanceImageOperatorDown', fires: [] },
        { at: '30m', alert: 'GlanceImageOperatorDown', fires: [{ namespace: 'one', job: 'images' }] },
      ],
    );
  });

  test('an alert fires if there was never an installation, and none while a Pod is replaced', async () => {
    await play(shipped, [], [{ at: '15m', alert: 'GlanceImageOperatorDown', fires: [{}] }]);
    await play(
      shipped,
      [
        { series: build('one', 'old'), values: '1x10 _x40' },
        { series: build('one', 'new'), values: '_x13 1x40' },
      ],
      [{ at: '40m', alert: 'GlanceImageOperatorDown', fires: [] }],
    );
  });

  test('an installation without a leader fires an alert, although another one has a leader', async () => {
    const leader = (namespace: string, instance: string) =>
      `leader_election_master_status{namespace="${namespace}",job="images",instance="${instance}",name="images"}`;
    const steady = { values: '1x30' };
    await play(
      shipped,
      [
        ...['a', 'b'].flatMap((instance) =>
          ['one', 'two'].map((name) => ({ series: build(name, instance), ...steady })),
        ),
        { series: leader('one', 'a'), values: '1x4 0x20' },
        { series: leader('one', 'b'), values: '0x30' },
        { series: leader('two', 'a'), values: '0x30' },
        { series: leader('two', 'b'), values: '1x30' },
      ],
      [
        { at: '3m', alert: 'GlanceImageOperatorWithoutLeader', fires: [] },
        {
          at: '20m',
          alert: 'GlanceImageOperatorWithoutLeader',
          fires: [{ namespace: 'one', job: 'images', name: 'images' }],
        },
      ],
    );
  });

  test('resources that fail for hours fire one alert, although their reason changes during each attempt', async () => {
    const images = (reason: string) => `glance_image_operator_images{namespace="one",job="images",reason="${reason}"}`;
    const stalled =
      'glance_image_operator_image_status{namespace="one",job="images",condition="Stalled",status="True"}';
    const turns = (even: string, odd: string) => Array.from({ length: 40 }, () => `${even}x8 ${odd}x0`).join(' ');
    await play(
      shipped,
      [
        { series: images('SourceUnavailable'), values: turns('1', '0') },
        { series: images('Transferring'), values: turns('0', '1') },
        { series: stalled, values: '0x400' },
      ],
      [
        { at: '3h', alert: 'GlanceImageOperatorImagesNotReady', fires: [] },
        { at: '5h', alert: 'GlanceImageOperatorImagesNotReady', fires: [{ namespace: 'one', job: 'images' }] },
        { at: '5h', alert: 'GlanceImageOperatorImagesStalled', fires: [] },
      ],
    );
  });

  test('transfers that fail at every attempt fire an alert, and a single failure does not', async () => {
    const failures = (reason: string) =>
      `glance_image_operator_transfer_failures_total{namespace="one",job="images",cloud="demo",reason="${reason}"}`;
    const everyTwelve = Array.from({ length: 12 }, (_, index) => `${index}x11`).join(' ');
    await play(
      shipped,
      [
        { series: failures('SourceUnavailable'), values: everyTwelve },
        { series: failures('DigestMismatch'), values: '0x20 1x120' },
      ],
      [
        {
          at: '2h',
          alert: 'GlanceImageOperatorTransferFailures',
          fires: [{ namespace: 'one', job: 'images', reason: 'SourceUnavailable' }],
        },
      ],
    );
  });

  test('the alert of the page about one image fires although the reason of its failure changes', async () => {
    const page = readPage('docs/how-to/operate.md');
    const block = blocksOf(page.file, page.text).find(({ text }) => text.includes('kind: PrometheusRule'));
    const { spec } = rulesSchema.parse(parse(block?.text ?? ''));
    await check({ groups: spec.groups });
    const ready = (reason: string) =>
      `glanceimage_condition{exported_namespace="team-a",name="cirros",type="Ready",reason="${reason}"}`;
    const turns = (one: string) => Array.from({ length: 18 }, () => one).join(' ');
    await play(
      { groups: spec.groups },
      [
        { series: ready('SourceUnavailable'), values: turns('0 0 0 0 0 0 0 0 0 stale') },
        { series: ready('Transferring'), values: turns('stale _ _ _ _ _ _ _ _ 0') },
        { series: ready('Ready').replace('cirros', 'good'), values: '1x180' },
      ],
      [
        { at: '1h', alert: 'ImageNotReady', fires: [] },
        { at: '170m', alert: 'ImageNotReady', fires: [{ exported_namespace: 'team-a', name: 'cirros' }] },
      ],
    );
  });
});

/** An annotation with the values of labels in the place of their templates. */
function filled(text: string, labels: Record<string, string>): string {
  return text
    .replace(/\{\{ ?with \$labels\.(\w+) ?\}\}(.*?)\{\{ ?end ?\}\}/g, (_, name: string, inner: string) => {
      const value = labels[name];
      return value === undefined ? '' : inner.replace(/\{\{ ?\. ?\}\}/g, value);
    })
    .replace(/\{\{ ?\$labels\.(\w+) ?\}\}/g, (_, name: string) => labels[name] ?? '');
}
