/**
 * The alerts in files/alerts.yaml, and which parts of them the values of the chart may change. Invariant: the alerts can be used
 * without Helm, and each links to its section of the documentation of the same version.
 */
import { parse } from 'yaml';
import { z } from 'zod';
import type { JsonSchema } from './schema.ts';

const repository = 'https://github.com/glance-image-operator/glance-image-operator';
const severities = ['info', 'warning', 'critical'] as const;

const ruleSchema = z.strictObject({
  alert: z.string().regex(/^GlanceImageOperator[A-Za-z]+$/),
  expr: z.string(),
  for: z
    .string()
    .regex(/^\d+[mh]$/)
    .optional(),
  labels: z.strictObject({ severity: z.enum(severities) }),
  annotations: z.strictObject({ summary: z.string(), description: z.string(), runbook_url: z.string() }),
});
const fileSchema = z.strictObject({
  groups: z.array(z.strictObject({ name: z.string(), rules: z.array(ruleSchema) })),
});

export type Alert = z.infer<typeof ruleSchema>;

export function readAlerts(text: string): Alert[] {
  return fileSchema.parse(parse(text)).groups.flatMap(({ rules }) => rules);
}

/** The file with links to the documentation of this version. */
export function withVersion(text: string, version: string): string {
  return text.replaceAll(new RegExp(`(${repository}/blob/)v[^/]+/`, 'g'), `$1v${version}/`);
}

/** Where an alert links to: a file of this repository and the anchor of a section. Undefined if it links elsewhere. */
export function runbookOf({ annotations }: Alert, version: string): { file: string; anchor: string } | undefined {
  const prefix = `${repository}/blob/v${version}/`;
  const [file = '', anchor = ''] = annotations.runbook_url.slice(prefix.length).split('#');
  return annotations.runbook_url.startsWith(prefix) ? { file, anchor } : undefined;
}

/** Whether the expression is one comparison with a number, such as `… > 0.1`. */
export function hasThreshold({ expr }: Alert): boolean {
  return /[<>] [0-9.]+\s*$/.test(expr) && !/\b(and|or|unless)\b/.test(expr);
}

/** Of the value metrics.prometheusRule.alerts: other names are rejected. */
export function changesSchema(alerts: readonly Alert[]): JsonSchema {
  const common = {
    enabled: { type: 'boolean' },
    for: { type: 'string', pattern: '^([0-9]+(ms|s|m|h|d))+$' },
    severity: { enum: severities },
  };
  const changes = (alert: Alert): JsonSchema => ({
    type: 'object',
    properties: hasThreshold(alert) ? { ...common, threshold: { type: 'number', minimum: 0 } } : common,
    additionalProperties: false,
  });
  const properties = Object.fromEntries(alerts.map((alert) => [alert.alert, changes(alert)]));
  return { type: 'object', properties, additionalProperties: false };
}
