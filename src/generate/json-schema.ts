/**
 * The schema of a GlanceImage as plain JSON Schema, for editors and kubeconform.
 *
 * Invariant: it accepts what the CRD accepts, except null, which the API server drops, and rejects what the CRD rejects by its types, required fields, enums and bounds; an
 * unknown field is an error, as with `kubectl apply`. Rules of CEL are not in it.
 */
import { apiVersion, group, kind, version } from '../api/group.ts';
import { customResourceDefinition } from './crd.ts';
import type { StructuralSchema } from './structural.ts';

type JsonSchema = Readonly<Record<string, unknown>>;

/** Where kubeconform and the catalogue of datree look for it. */
export const jsonSchemaFile = `docs/schemas/${group}/${kind.toLowerCase()}_${version}.json`;

const keywords = [
  'type',
  'description',
  'default',
  'enum',
  'format',
  'minLength',
  'maxLength',
  'minimum',
  'maximum',
  'minItems',
  'maxItems',
  'required',
  'maxProperties',
] as const;

export function jsonSchema(): string {
  const schema = customResourceDefinition().spec.versions[0]?.schema.openAPIV3Schema;
  if (schema === undefined) throw new Error('the CRD has no schema');
  const { description, properties = {}, required = [] } = schema;
  const document: JsonSchema = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: kind,
    description,
    type: 'object',
    properties: {
      apiVersion: { type: 'string', enum: [apiVersion] },
      kind: { type: 'string', enum: [kind] },
      metadata: { type: 'object' },
      ...translatedAll(properties),
    },
    required: ['apiVersion', 'kind', 'metadata', ...required],
    additionalProperties: false,
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

function translatedAll(fields: Readonly<Record<string, StructuralSchema>>): JsonSchema {
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, translated(field)]));
}

function translated(schema: StructuralSchema): JsonSchema {
  const same = Object.fromEntries(keywords.flatMap((key) => (schema[key] === undefined ? [] : [[key, schema[key]]])));
  if (schema['x-kubernetes-preserve-unknown-fields'] === true) return same;
  const { items, properties, additionalProperties } = schema;
  return {
    ...same,
    ...(items === undefined ? {} : { items: translated(items) }),
    ...(schema['x-kubernetes-list-type'] === 'set' ? { uniqueItems: true } : {}),
    ...(properties === undefined ? {} : { properties: translatedAll(properties) }),
    ...(schema.type === 'object' ? { additionalProperties: valuesOf(additionalProperties) } : {}),
  };
}

/** Of a map; other objects have no further fields. */
function valuesOf(schema: StructuralSchema['additionalProperties']): JsonSchema | boolean {
  if (schema === undefined) return false;
  return 'type' in schema ? translated(schema) : true;
}
