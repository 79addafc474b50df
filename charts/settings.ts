/**
 * The settings of the operator as values of the chart. Law: there is one for each flag, with the limits that the program has, but
 * for those that the chart sets from values of its own.
 */
import { z } from 'zod';
import { describeSettings } from '../src/commands/config.ts';
import { runSettings } from '../src/commands/settings.ts';
import { transferLimitsSchema } from '../src/commands/transfer-limits.ts';
import type { JsonSchema } from './schema.ts';

/** The value that stands for each of these flags. */
export const settingsOfTheChart: Readonly<Record<string, string>> = {
  namespaces: 'watchNamespaces',
  transferLimits: 'transferLimits',
  healthAddress: 'healthPort',
};

export interface ChartSetting {
  name: string;
  flag: string;
  description: string;
  schema: JsonSchema;
}

const given = z.looseObject({
  type: z.string(),
  enum: z.array(z.string()).optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
});

export function chartSettings(): ChartSetting[] {
  const descriptions = describeSettings(runSettings);
  return Object.entries(runSettings).flatMap(([name, { schema, value }], at) => {
    const { flag = '', help = '' } = descriptions[at] ?? {};
    if (Object.hasOwn(settingsOfTheChart, name)) return [];
    return [{ name, flag, description: help, schema: valueSchema(schema, value) }];
  });
}

/** What is text on a command line is a list, a number or a truth value in YAML. */
function valueSchema(schema: z.ZodType, value: string): JsonSchema {
  const { type, enum: choices, minimum, maximum } = given.parse(z.toJSONSchema(schema, { io: 'input' }));
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

export function limitsSchema(): JsonSchema {
  const { $schema: _, ...schema } = z.toJSONSchema(transferLimitsSchema);
  return schema;
}
