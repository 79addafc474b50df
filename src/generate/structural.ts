/**
 * The structural schemas that our CRD is made of, and their lint. Invariant: it rejects a keyword that is not named here,
 * a field without a description, a string, list or map without a bound, and a list without a list type.
 */
import * as z from 'zod';
import { validations } from '../api/rules.ts';

/** A part of a CRD's schema, with the keywords that our resources use. */
export interface StructuralSchema {
  type: 'string' | 'boolean' | 'integer' | 'array' | 'object';
  description?: string | undefined;
  default?: z.core.util.JSONType | undefined;
  enum?: string[] | undefined;
  format?: string | undefined;
  minLength?: number | undefined;
  maxLength?: number | undefined;
  minimum?: number | undefined;
  maximum?: number | undefined;
  minItems?: number | undefined;
  maxItems?: number | undefined;
  items?: StructuralSchema | undefined;
  properties?: Record<string, StructuralSchema> | undefined;
  required?: string[] | undefined;
  maxProperties?: number | undefined;
  /** Of a map: any JSON, or text. */
  additionalProperties?: { 'x-kubernetes-preserve-unknown-fields': true } | StructuralSchema | undefined;
  'x-kubernetes-preserve-unknown-fields'?: true | undefined;
  'x-kubernetes-map-type'?: 'atomic' | undefined;
  'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map' | undefined;
  'x-kubernetes-list-map-keys'?: string[] | undefined;
  'x-kubernetes-validations'?: { rule: string; message: string; fieldPath?: string | undefined }[] | undefined;
}

const size = z.int().min(0);

const common = {
  description: z.string().min(1).optional(),
  default: z.json().optional(),
  [validations]: z
    .array(
      z.strictObject({
        rule: z.string().min(1),
        message: z.string().regex(/^[^\r\n]+$/, 'the message of a rule is one line'),
        fieldPath: z.string().optional(),
      }),
    )
    .optional(),
};

const stringSchema = z
  .strictObject({
    ...common,
    type: z.literal('string'),
    enum: z.array(z.string().min(1)).min(1).optional(),
    format: z.literal('date-time', 'the API server ignores this format: use matching()').optional(),
    minLength: size.optional(),
    maxLength: size.optional(),
  })
  .refine(
    (string) => string.enum !== undefined || string.maxLength !== undefined,
    'a string needs a bound: use text()',
  );

const booleanSchema = z.strictObject({ ...common, type: z.literal('boolean') });

const integerSchema = z.strictObject({
  ...common,
  type: z.literal('integer'),
  format: z.enum(['int32', 'int64'], 'the API server ignores this format').optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
});

const arraySchema = z.strictObject({
  ...common,
  type: z.literal('array'),
  items: z.lazy(() => structural),
  minItems: size.optional(),
  maxItems: z.int('a list needs a bound'),
  'x-kubernetes-list-type': z.enum(['atomic', 'set', 'map'], 'a list needs a list type: atomic, set or map'),
  'x-kubernetes-list-map-keys': z.array(z.string()).optional(),
});

const field = z
  .lazy(() => structural)
  .refine((schema) => schema.description !== undefined, 'a field needs a description, which kubectl explain shows');

/** Whether its keys are data. The fields that it nevertheless declares are those that it rejects. */
export function isMap(
  schema: Pick<StructuralSchema, 'additionalProperties' | 'x-kubernetes-preserve-unknown-fields'>,
): boolean {
  return schema.additionalProperties !== undefined || schema['x-kubernetes-preserve-unknown-fields'] === true;
}

const objectSchema = z
  .strictObject({
    ...common,
    type: z.literal('object'),
    properties: z.record(z.string(), field).optional(),
    required: z.array(z.string()).optional(),
    maxProperties: size.optional(),
    additionalProperties: z
      .union(
        [z.strictObject({ 'x-kubernetes-preserve-unknown-fields': z.literal(true) }), stringSchema],
        'the values of a map are any JSON, or text',
      )
      .optional(),
    'x-kubernetes-preserve-unknown-fields': z.literal(true).optional(),
    'x-kubernetes-map-type': z.literal('atomic').optional(),
  })
  .refine((object) => !isMap(object) || object.maxProperties !== undefined, 'a map needs a bound: use jsonMap()');

/** Reads the result of zod's conversion; its issues say what breaks the lint, and where. */
export const structural: z.ZodType<StructuralSchema> = z.discriminatedUnion(
  'type',
  [stringSchema, booleanSchema, integerSchema, arraySchema, objectSchema],
  'not structural: its type must be string, boolean, integer, array or object',
);
