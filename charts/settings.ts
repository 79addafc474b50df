/**
 * The settings of the operator as values of the chart. Invariant: each flag of the program is set by exactly one value, with the
 * limits of the program, or is listed here as one that the chart does not set.
 */
import { z } from 'zod';
import { describeSettings } from '../src/commands/config.ts';
import { transferLimitsSchema } from '../src/commands/limits.ts';
import { runSettings } from '../src/commands/settings.ts';
import type { JsonSchema } from './schema.ts';

/** Flags that are set by values outside `settings`. */
export const settingsOfTheChart: Readonly<Record<string, string>> = {
  namespaces: 'watchNamespaces',
  transfers: 'transferLimits.total',
  transfersPerNamespace: 'transferLimits.perNamespace',
  transfersPerCloud: 'transferLimits.perCloud',
  transfersPerHost: 'transferLimits.perHost',
  transferLimits: 'transferLimits',
  transferJobAbove: 'transferJobs.above',
  transferJobTemplate: 'transferJobs',
  healthAddress: 'healthPort',
  metricsAddress: 'metrics.secure.port',
  metricsCertificate: 'metrics.secure.certificateSecret.name',
  caBundle: 'caBundle.configMap',
  sourceProxy: 'proxy.sources.url',
  sourceProxyCredentials: 'proxy.sources.credentialsSecret.name',
  sourceNoProxy: 'proxy.sources.noProxy',
  cloudProxy: 'proxy.clouds.url',
  cloudProxyCredentials: 'proxy.clouds.credentialsSecret.name',
  cloudNoProxy: 'proxy.clouds.noProxy',
};

/** Flags that the chart does not set: in a Pod, the operator uses its ServiceAccount. */
export const outsideTheChart: readonly string[] = ['kubeconfig'];

export interface ChartSetting {
  name: string;
  flag: string;
  description: string;
  schema: JsonSchema;
}

const schemaOfSetting = z.looseObject({
  type: z.string(),
  enum: z.array(z.string()).optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
});

export function chartSettings(): ChartSetting[] {
  const descriptions = describeSettings(runSettings);
  return Object.entries(runSettings).flatMap(([name, { schema, value }], at) => {
    const { flag = '', help = '' } = descriptions[at] ?? {};
    if (Object.hasOwn(settingsOfTheChart, name) || outsideTheChart.includes(name)) return [];
    return [{ name, flag, description: help, schema: valueSchema(schema, value) }];
  });
}

/** A setting is text on the command line; in YAML it may be a list, a number or a boolean. */
function valueSchema(schema: z.ZodType, value: string): JsonSchema {
  const { type, enum: choices, minimum, maximum } = schemaOfSetting.parse(z.toJSONSchema(schema, { io: 'input' }));
  if (value.endsWith(',…')) return { type: 'array', items: { type: 'string', pattern: '^[^,]+$' } };
  if (value === 'true|false') return { type: 'boolean' };
  if (value === 'DURATION') return { type: 'string', pattern: '^([0-9]+(ms|s|m|h))+$' };
  if (choices !== undefined) return { type, enum: choices };
  if (type === 'integer') return { type, minimum, maximum };
  return { type, minLength: 1 };
}

export function settingsSchema(): JsonSchema {
  const properties = chartSettings().map(
    ({ name, description, schema }) => [name, { description, ...schema }] as const,
  );
  return { type: 'object', properties: Object.fromEntries(properties), additionalProperties: false };
}

/** By path of the value. */
export function limitShapes(): Record<string, JsonSchema> {
  const limit = z.looseObject({ type: z.string(), minimum: z.number(), maximum: z.number() });
  const { properties } = z
    .looseObject({ properties: z.record(z.string(), limit) })
    .parse(z.toJSONSchema(transferLimitsSchema));
  return Object.fromEntries(Object.entries(properties).map(([name, schema]) => [`transferLimits.${name}`, schema]));
}
