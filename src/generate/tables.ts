/**
 * Tables of the documentation that are made from the program itself. Invariant: the pages list exactly the flags and metrics that the
 * program has.
 */

import type { Registry } from 'prom-client';
import * as z from 'zod';
import { describeSettings } from '../commands/config.ts';
import { runSettings } from '../commands/settings.ts';
import { createMetrics } from '../controller/metrics.ts';
import { createDomainMetrics } from '../image/metrics/domain.ts';
import { systemClock } from '../lib/clock.ts';

export interface MetricDescription {
  name: string;
  type: string;
  labels: readonly string[];
  help: string;
}

const metricSchema = z.looseObject({ name: z.string(), labelNames: z.array(z.string()) });

/** Everything that is measured, but what every Node process measures of itself. */
export async function describeMetrics(registry: Registry): Promise<MetricDescription[]> {
  const labels = new Map(
    registry.getMetricsAsArray().map((metric) => {
      const { name, labelNames } = metricSchema.parse(metric);
      return [name, labelNames];
    }),
  );
  const metrics = await registry.getMetricsAsJSON();
  return metrics
    .map(({ name, type, help }) => ({ name, type: String(type), labels: labels.get(name) ?? [], help }))
    .filter(({ name }) => !isOfTheProcess(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Whether every Node process has this metric. */
export function isOfTheProcess(name: string): boolean {
  return /^(process|nodejs)_/.test(name);
}

/** The registry of an operator that has done nothing yet. */
export function emptyRegistry(): Registry {
  const clock = systemClock;
  const { registry } = createMetrics(clock);
  createDomainMetrics(registry, () => [], clock).clouds.measure(() => 0);
  return registry;
}

export function metricsTable(metrics: readonly MetricDescription[]): string {
  const rows = metrics.map(
    ({ name, type, labels, help }) =>
      `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`,
  );
  return `| metric | type | labels | meaning |\n|---|---|---|---|\n${rows.join('\n')}\n`;
}

export function flagsTable(): string {
  const cell = (text: string) => text.replaceAll('|', '\\|');
  const rows = describeSettings(runSettings).map(
    ({ flag, value, env, help }) =>
      `| \`${flag} ${cell(value)}\` | ${cell(help)} | ${env === undefined ? '' : `\`${env}\``} |`,
  );
  return `| flag | meaning | environment |\n|---|---|---|\n${rows.join('\n')}\n`;
}

/** The page with a new body for the part between the marks of this name, which it must have. */
export function withPart(page: string, name: string, body: string): string {
  const marked = new RegExp(`(<!-- begin ${name}[^>]*-->\\n)[\\s\\S]*?(<!-- end ${name} -->)`);
  if (!marked.test(page)) throw new Error(`the page has no part ${name}`);
  return page.replace(marked, (_all, begin: string, end: string) => `${begin}\n${body}\n${end}`);
}
