import assert from 'node:assert/strict';
import { test } from 'node:test';
import { builtInSchema, readSchema, typedValue } from '../../src/glance/cloud-schema.ts';
import { readImage } from '../../src/glance/image.ts';
import { diffImage } from '../../src/glance/patch.ts';
import { newImage } from '../../src/glance/translation.ts';
import { imageId, wireImage } from './model.ts';

const answer = {
  name: 'image',
  properties: {
    id: { type: 'string' },
    name: { type: ['null', 'string'] },
    os_colour: { type: 'string', readOnly: true },
    kernel_id: { type: ['null', 'string'], is_base: false },
    hw_cores: { type: ['null', 'integer'], is_base: false },
    hw_load: { type: 'number', is_base: false },
    hw_menu: { type: 'boolean', is_base: false },
    hw_list: { type: 'array', is_base: false },
    hw_either: { type: ['integer', 'string'], is_base: false },
  },
  additionalProperties: { type: 'string' },
};

test('the schema of a cloud adds attributes and types to what every cloud has', () => {
  const schema = readSchema(answer);
  assert.ok(schema !== undefined);
  assert.deepEqual(schema.baseKeys, new Set([...builtInSchema.baseKeys, 'os_colour']));
  assert.deepEqual(
    [...schema.propertyTypes],
    [
      ['hw_cores', 'integer'],
      ['hw_load', 'number'],
      ['hw_menu', 'boolean'],
    ],
  );
});

test('a format that the cloud does not have is rejected before any call, and one that it has added is used', () => {
  const disk_format = { type: ['null', 'string'], enum: [null, 'qcow2', 'root-tar'] };
  const container_format = { type: ['null', 'string'], enum: [null, 'bare'] };
  const schema = readSchema({ properties: { ...answer.properties, disk_format, container_format } });
  assert.ok(schema !== undefined);
  const wanted = (diskFormat: string, containerFormat = 'bare') => ({ diskFormat, containerFormat });
  assert.equal(newImage(imageId, wanted('root-tar'), schema)['disk_format'], 'root-tar');
  assert.throws(() => newImage(imageId, wanted('raw', 'ova'), schema), {
    code: 'InvalidRequest',
    message:
      'this cloud has no disk format raw: declare one of qcow2, root-tar, or have its administrator add raw; ' +
      'this cloud has no container format ova: declare one of bare, or have its administrator add ova',
  });
  const current = readImage(wireImage({ disk_format: 'raw', container_format: 'bare' }), schema);
  assert.ok(current !== undefined);
  const options = { purge: false, keep: () => true, schema };
  assert.deepEqual(diffImage(current, wanted('raw'), options), []);
  assert.throws(() => diffImage(current, wanted('vdi'), options), /no disk format vdi/);
  // Without a list, Glance itself decides.
  assert.equal(newImage(imageId, wanted('anything'))['disk_format'], 'anything');
});

test('another document is not taken for a schema', () => {
  for (const body of [null, [], 'x', {}, { properties: 1 }, { properties: { a: 'b' } }]) {
    assert.equal(readSchema(body), undefined);
  }
});

test('an image is read and written by it', () => {
  const schema = readSchema(answer);
  const wire = wireImage({ os_colour: 'red', hw_cores: '4', hw_load: '0.5', hw_menu: 'False', hw_list: '[1]' });
  const image = readImage(wire, schema);
  assert.deepEqual(image?.otherAttributes, { os_colour: 'red' });
  assert.deepEqual(image?.properties, { hw_cores: 4, hw_load: 0.5, hw_menu: false, hw_list: '[1]' });
  // By what every cloud has, all of them are properties, and text.
  const plain = readImage(wire);
  assert.equal(plain?.otherAttributes, undefined);
  assert.equal(plain?.properties['os_colour'], 'red');
  assert.equal(plain?.properties['hw_cores'], '4');

  const properties = { hw_cores: 4, hw_load: '0.5', hw_menu: true, other: 4, kernel_id: 'k' };
  assert.deepEqual(newImage(imageId, { properties }, schema), {
    id: imageId,
    hw_cores: 4,
    hw_load: 0.5,
    hw_menu: true,
    other: '4',
    kernel_id: 'k',
  });
  assert.throws(
    () => newImage(imageId, { properties: { os_colour: 'x' } }, schema),
    /property os_colour: .*set by Glance/,
  );
});

test('text that is none of the type stays text', () => {
  for (const [type, text] of [
    ['integer', '4.5'],
    ['integer', 'four'],
    ['integer', ''],
    ['integer', '12345678901234567890'],
    ['number', '1e5'],
    ['number', '123456789012345.123456789012345'],
    ['boolean', 'yes'],
  ] as const) {
    assert.equal(typedValue(type, text), undefined);
  }
});
