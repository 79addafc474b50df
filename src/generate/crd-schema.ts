/**
 * A zod schema as the structural OpenAPI schema that a CustomResourceDefinition takes. zod's own conversion
 * drops refinements, regex flags, key schemas and transformations without an error. Invariant: a part of zod that is not on the
 * list below throws with its path, and a check reaches the API server through its twin or not at all.
 *
 * This reads zod's internals (`_zod.def`), which is why package.json pins the exact version of zod.
 */
import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import { type Twin, twinOf, validations } from '../api/rules.ts';
import { type StructuralSchema, structural } from './structural.ts';

type Path = readonly (string | number)[];
interface PlacedTwin {
  path: Path;
  twin: Twin;
}

/** The parts of zod that convert without loss, each with the checks that do. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  string: [],
  number: ['number_format', 'greater_than', 'less_than'],
  boolean: [],
  enum: [],
  array: ['min_length', 'max_length'],
  object: [],
  record: [],
  unknown: [],
  optional: [],
  default: [],
  prefault: [],
};

/** Converts `schema`. Throws an Error that names the path of what cannot be converted or breaks the lint of structural.ts. */
export function structuralSchema(schema: z.ZodType): StructuralSchema {
  const twins: PlacedTwin[] = [];
  const converted = z.toJSONSchema(schema, {
    target: 'openapi-3.0',
    io: 'input',
    cycles: 'throw',
    reused: 'inline',
    override: ({ zodSchema, jsonSchema, path }) => {
      twins.push(...examine(zodSchema, path));
      if (zodSchema._zod.def.type === 'unknown') jsonSchema['x-kubernetes-preserve-unknown-fields'] = true;
      // Fields and a schema for all others exclude each other in a structural schema.
      if (jsonSchema.properties !== undefined) delete jsonSchema.additionalProperties;
    },
  });
  for (const { path, twin } of twins) {
    if (!holds(lookUp(converted, path), twin))
      throw refusal(path, `lost ${Object.keys(twin).join(', ')}: a later .meta() or .extend() dropped it`);
  }
  const parsed = structural.safeParse(converted);
  if (parsed.success) return parsed.data;
  throw new Error(
    parsed.error.issues.map(({ path, message }) => refusal(path.map(String), message).message).join('\n'),
  );
}

/** Throws unless this one part of a schema is on the list; returns the twins that the result must hold at its path. */
function examine(node: z.core.$ZodTypes, path: Path): PlacedTwin[] {
  const { def } = node._zod;
  const checks = allowed[def.type];
  if (checks === undefined) throw refusal(path, `${def.type} is not on the list of what converts without loss`);
  const twins: Twin[] = [];
  for (const check of def.checks ?? []) {
    const { check: kind } = check._zod.def;
    const twin = twinOf(check);
    if (twin !== undefined) twins.push(twin);
    else if (kind === 'custom') throw refusal(path, 'a refinement without a twin for the API server: use rules.ts');
    else if (!checks.includes(kind)) throw refusal(path, `the check ${kind} does not convert without loss`);
  }
  examineDefinition(def, path);
  const rules = z.globalRegistry.get(node)?.[validations];
  if (rules !== undefined) twins.push({ [validations]: rules });
  return twins.map((twin) => ({ path, twin }));
}

function examineDefinition(def: z.core.$ZodTypes['_zod']['def'], path: Path): void {
  if ('coerce' in def && def.coerce) throw refusal(path, 'the API server does not coerce');
  if (def.type === 'object' && def.catchall !== undefined)
    throw refusal(path, 'use a plain z.object: the API server drops unknown fields');
  if (def.type === 'record' && (def.keyType._zod.def.type !== 'string' || def.keyType._zod.def.checks !== undefined))
    throw refusal(path, 'the API server cannot check keys: use z.string() for them');
  if (def.type === 'default' || def.type === 'prefault') {
    const filled = z.safeParse(def.innerType, def.defaultValue);
    if (!filled.success) throw refusal(path, `its own default is invalid: ${filled.error.issues[0]?.message}`);
    if (def.type === 'default' && !isDeepStrictEqual(filled.data, def.defaultValue))
      throw refusal(path, 'the API server fills the defaults inside a default: use prefault');
  }
}

function holds(keywords: unknown, twin: Twin): boolean {
  return Object.entries(twin).every(([keyword, wanted]) => {
    const present = lookUp(keywords, [keyword]);
    if (!Array.isArray(wanted) || !Array.isArray(present)) return isDeepStrictEqual(present, wanted);
    return wanted.every((entry) => present.some((other) => isDeepStrictEqual(entry, other)));
  });
}

function lookUp(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (at, key) => (typeof at === 'object' && at !== null ? Reflect.get(at, key) : undefined),
    value,
  );
}

function refusal(path: Path, message: string): Error {
  return new Error(`${path.join('.') || 'the root'}: ${message}`);
}
