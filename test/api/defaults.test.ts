import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defaultMethod } from '../../src/api/content.ts';
import { withDefaults } from '../../src/api/defaults.ts';
import { imageDefaults, policyDefaults, specSchema } from '../../src/api/spec.ts';
import { customResourceDefinition } from '../../src/generate/crd.ts';
import type { StructuralSchema } from '../../src/generate/structural.ts';
import { cases } from './cases.ts';
import { cloud, from } from './declarations.ts';

const [version] = customResourceDefinition().spec.versions;
const spec = version?.schema.openAPIV3Schema.properties?.['spec'] ?? assert.fail();

/** What the description of a field names as its default. */
function described(schema: StructuralSchema | undefined): string | undefined {
  return / Default: (.+)\.$/.exec(schema?.description ?? '')?.[1];
}

function shown(value: unknown): string {
  return typeof value === 'object' ? 'none' : String(value);
}

function* fieldsWithDefault(schema: StructuralSchema): Generator<[name: string, field: StructuralSchema]> {
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    if (field.default !== undefined && name !== 'image') yield [name, field];
    yield* fieldsWithDefault(field);
  }
}

describe('documented defaults', () => {
  test('an absent field means its documented default for an image that the operator creates', () => {
    const { image, content, ...policies } = withDefaults(specSchema.parse(from({})));
    assert.deepEqual(image, { ...imageDefaults, diskFormat: 'qcow2', containerFormat: 'bare' });
    assert.equal(content?.method, defaultMethod);
    assert.partialDeepStrictEqual(policies, policyDefaults);
    assert.equal(withDefaults(specSchema.parse({ cloud })).content, undefined);
  });

  test('an image of a format of Amazon has the container format of that name by default', () => {
    const containerOf = (diskFormat: string, containerFormat?: string) =>
      withDefaults(specSchema.parse({ cloud, image: { diskFormat, ...(containerFormat ? { containerFormat } : {}) } }))
        .image.containerFormat;
    for (const format of ['ami', 'ari', 'aki']) assert.equal(containerOf(format), format);
    assert.equal(containerOf('aki', 'bare'), 'bare');
    assert.equal(containerOf('raw'), 'bare');
    assert.equal(withDefaults(specSchema.parse({ cloud })).image.containerFormat, 'bare');
  });

  test('a spec that has every field is not changed by the defaults', () => {
    const complete = cases.find(({ what }) => what === 'every field') ?? assert.fail();
    const parsed = specSchema.parse(complete.spec);
    assert.deepEqual(withDefaults(parsed), parsed);
  });

  test('the description of a field ends with the default that the operator fills in', () => {
    const { image, content } = spec.properties ?? {};
    for (const [field, value] of Object.entries(imageDefaults)) {
      // Where no store is named, the cloud chooses.
      if (field !== 'stores') assert.equal(described(image?.properties?.[field]), shown(value), field);
    }
    for (const [field, value] of Object.entries(policyDefaults))
      assert.equal(described(spec.properties?.[field]), value, field);
    assert.equal(described(content?.properties?.['method']), defaultMethod);
  });

  test('the description of a field ends with the default that the API server fills in', () => {
    const fields = [...fieldsWithDefault(spec)];
    // Files that an index names have the first two, as declared files do.
    const names = ['decompress', 'decompress', 'digestOf', 'digestOf', 'interval', 'mirrors', 'suspend'];
    assert.deepEqual(fields.map(([name]) => name).sort(), names);
    for (const [name, field] of fields) assert.equal(described(field), shown(field.default), name);
  });
});
