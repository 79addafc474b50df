import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { builtInSchema } from '../../src/glance/cloud-schema.ts';
import { InvalidRequest } from '../../src/glance/errors.ts';
import { readImage } from '../../src/glance/image.ts';
import { type DiffOptions, diffImage, type JsonPatchOperation } from '../../src/glance/patch.ts';
import { baseKeys, isPatchable, isServerKey, reservedPropertyReason } from '../../src/glance/property-names.ts';
import { encodeProperty, type WantedImage } from '../../src/glance/translation.ts';
import type { JsonObject, JsonValue } from '../../src/openstack/json.ts';
import { applied, imageOf, readBack, wireImage } from './model.ts';

const purge: DiffOptions = { purge: true, keep: () => false };
const merge: DiffOptions = { purge: false, keep: () => false };

const cases: [
  name: string,
  wire: JsonObject,
  wanted: WantedImage,
  options: DiffOptions,
  patch: JsonPatchOperation[],
][] = [
  ['nothing wanted, nothing done', { a: '1' }, {}, purge, []],
  ['values that are equal are left alone', { name: 'x', a: '1' }, { name: 'x', properties: { a: '1' } }, purge, []],
  [
    'attributes are replaced under their names in Glance',
    {},
    { name: 'x', minDiskGiB: 5, minRAMMiB: 64, hidden: true, protected: true, visibility: 'private' },
    purge,
    [
      { op: 'replace', path: '/name', value: 'x' },
      { op: 'replace', path: '/visibility', value: 'private' },
      { op: 'replace', path: '/protected', value: true },
      { op: 'replace', path: '/os_hidden', value: true },
      { op: 'replace', path: '/min_disk', value: 5 },
      { op: 'replace', path: '/min_ram', value: 64 },
    ],
  ],
  ['a name can be taken away', { name: 'x' }, { name: null }, purge, [{ op: 'replace', path: '/name', value: null }]],
  [
    'new and changed properties are both added',
    { a: '1' },
    { properties: { a: '2', b: 'x' } },
    merge,
    [
      { op: 'add', path: '/a', value: '2' },
      { op: 'add', path: '/b', value: 'x' },
    ],
  ],
  ['purging removes what is not wanted', { a: '1' }, { properties: {} }, purge, [{ op: 'remove', path: '/a' }]],
  ['merging does not', { a: '1' }, { properties: {} }, merge, []],
  [
    'purging spares what is to be kept',
    { a: '1' },
    { properties: {} },
    { purge: true, keep: (key) => key === 'a' },
    [],
  ],
  [
    'purging leaves out the names that Glance uses internally',
    { member: 'x', image_id: 'y', __doc__: 'z', a: '1' },
    { properties: {} },
    purge,
    [{ op: 'remove', path: '/a' }],
  ],
  ['purging spares the notes of Glance', { os_glance_failed_import: '' }, { properties: {} }, purge, []],
  [
    'a wanted null removes, even when merging',
    { a: '1' },
    { properties: { a: null } },
    merge,
    [{ op: 'remove', path: '/a' }],
  ],
  ['a wanted null of what is not there does nothing', {}, { properties: { a: null } }, merge, []],
  [
    'a removed and an added property with the same value are no move',
    { a: '1' },
    { properties: { b: '1' } },
    purge,
    [
      { op: 'add', path: '/b', value: '1' },
      { op: 'remove', path: '/a' },
    ],
  ],
  ['tags are a set', { tags: ['b', 'a'] }, { tags: ['a', 'b', 'a'] }, purge, []],
  [
    'tags are replaced whole',
    { tags: ['a'] },
    { tags: ['b', 'a'] },
    purge,
    [{ op: 'replace', path: '/tags', value: ['a', 'b'] }],
  ],
  ['tags can be cleared', { tags: ['a'] }, { tags: [] }, purge, [{ op: 'replace', path: '/tags', value: [] }]],
  [
    'JSON that is only spelt differently is the same',
    { mappings: '[{"virtual": "ami", "device": "sda"}]' },
    { properties: { mappings: [{ device: 'sda', virtual: 'ami' }] } },
    purge,
    [],
  ],
  [
    'wherever the key promises no JSON, text is text',
    { other: '[1, 2]' },
    { properties: { other: [1, 2] } },
    purge,
    [{ op: 'add', path: '/other', value: '[1,2]' }],
  ],
  [
    'any key makes one segment of a path',
    { '': 'x', 'a/b': 'x', '~': 'x' },
    { properties: { 'c/~1': 'y' } },
    purge,
    [
      { op: 'add', path: '/c~1~01', value: 'y' },
      { op: 'remove', path: '/' },
      { op: 'remove', path: '/a~1b' },
      { op: 'remove', path: '/~0' },
    ],
  ],
];

for (const [name, wire, wanted, options, patch] of cases) {
  test(`a patch is correct: ${name}`, () => {
    assert.deepEqual(diffImage(imageOf(wire), wanted, options), patch);
    applied(wireImage(wire), patch);
  });
}

test('names with a meaning in JavaScript are only names', () => {
  const names = ['constructor', 'toString', '__proto__', 'hasOwnProperty'];
  const properties: Record<string, JsonValue> = Object.fromEntries(names.map((name) => [name, 'x']));
  const patch = diffImage(imageOf(), { properties }, purge);
  assert.deepEqual(
    patch.map(({ op, path }) => [op, path]),
    names.map((name) => ['add', `/${name}`]),
  );
  const after = readImage(applied(wireImage(), patch));
  assert.ok(after !== undefined);
  assert.deepEqual(Object.keys(after.properties), names);
  assert.deepEqual(diffImage(after, { properties }, purge), []);
});

test('a property that Glance would reject is rejected before, by name', () => {
  assert.throws(
    () => diffImage(imageOf(), { properties: { size: 1, os_glance_x: 'y', ok: 'z' } }, purge),
    (error) => {
      assert.ok(error instanceof InvalidRequest);
      assert.match(error.message, /property size: .*; property os_glance_x: /);
      return true;
    },
  );
});

test('a key whose path would lead to another is neither set nor removed', () => {
  const current = imageOf({ ' a': '1', a: '2' });
  assert.deepEqual(diffImage(current, { properties: {} }, purge), [{ op: 'remove', path: '/a' }]);
  assert.deepEqual(diffImage(current, { properties: { ' a': 1, a: 2 } }, purge), []);
  assert.throws(() => diffImage(current, { properties: { ' a': 2, a: 2 } }, purge), /^InvalidRequest: property " a"/);
});

test('a property that the cloud gives a type is written and compared as that type', () => {
  const schema = {
    ...builtInSchema,
    propertyTypes: new Map([
      ['hw_cpu_cores', 'integer'],
      ['hw_boot_menu', 'boolean'],
    ] as const),
  };
  const options = { ...purge, schema };
  const current = readImage(wireImage({ hw_cpu_cores: '4', hw_boot_menu: 'True' }), schema);
  assert.ok(current !== undefined);
  assert.deepEqual(current.properties, { hw_cpu_cores: 4, hw_boot_menu: true });
  assert.deepEqual(diffImage(current, { properties: { hw_cpu_cores: '4', hw_boot_menu: true } }, options), []);
  assert.deepEqual(diffImage(current, { properties: { hw_cpu_cores: 8, hw_boot_menu: 'maybe' } }, options), [
    { op: 'add', path: '/hw_cpu_cores', value: 8 },
    { op: 'add', path: '/hw_boot_menu', value: 'maybe' },
  ]);
});

const key = fc.oneof(
  fc.constantFrom(
    'a',
    'b',
    'mappings',
    'block_device_mapping',
    '__proto__',
    'constructor',
    '',
    '/',
    '~',
    'a/b',
    ' a',
    'os_glance_x',
    'image_id',
    '__init__',
  ),
  fc.string({ maxLength: 4 }),
);
const tags = fc.array(fc.constantFrom('x', 'y', 'z'));
const jsonValue = fc.jsonValue({ maxDepth: 2 }).map((value): JsonValue => JSON.parse(JSON.stringify(value)));
const current = fc
  .record({
    name: fc.option(fc.string()),
    tags,
    min_disk: fc.nat(3),
    protected: fc.boolean(),
    custom: fc.dictionary(
      key,
      fc.oneof(
        fc.string(),
        jsonValue.map((value) => JSON.stringify(value)),
      ),
    ),
  })
  .map(({ custom, ...base }) => {
    const own = Object.entries(custom).filter(([name]) => !baseKeys.has(name));
    return wireImage({ ...base, ...Object.fromEntries(own) });
  });
const wanted: fc.Arbitrary<WantedImage> = fc.record(
  {
    name: fc.option(fc.string()),
    tags,
    minDiskGiB: fc.nat(3),
    protected: fc.boolean(),
    properties: fc
      .dictionary(key, jsonValue)
      .map((all) =>
        Object.fromEntries(Object.entries(all).filter(([name]) => !reservedPropertyReason(name) && isPatchable(name))),
      ),
  },
  { requiredKeys: [] },
);

test('applying the patch gives what is wanted, touches nothing else, and a second patch is empty', () => {
  fc.assert(
    fc.property(current, wanted, fc.boolean(), fc.constantFrom('a', 'mappings', ''), (wire, want, purges, kept) => {
      const options = { purge: purges, keep: (name: string) => name === kept };
      const before = imageOf(wire);
      const after = readImage(applied(wire, diffImage(before, want, options)));
      assert.ok(after !== undefined);
      assert.deepEqual(diffImage(after, want, options), []);
      if (want.name !== undefined) assert.equal(after.name, want.name);
      if (want.minDiskGiB !== undefined) assert.equal(after.minDiskGiB, want.minDiskGiB);
      assert.equal(after.protected, want.protected ?? before.protected);
      assert.deepEqual(new Set(after.tags), new Set(want.tags ?? before.tags));

      const wantedOnes = new Map(Object.entries(want.properties ?? {}));
      const found = new Map(Object.entries(after.properties));
      const all = new Set([...wantedOnes.keys(), ...Object.keys(before.properties)]);
      for (const name of all) {
        const had = new Map(Object.entries(before.properties)).get(name);
        const stays =
          want.properties === undefined || !purges || name === kept || isServerKey(name) || !isPatchable(name);
        const given = wantedOnes.get(name);
        const expected = given === undefined ? (stays ? had : undefined) : readBack(name, encodeProperty(given));
        assert.deepEqual(found.get(name), expected, name);
      }
      assert.ok([...found.keys()].every((name) => all.has(name)));
    }),
    { numRuns: 500 },
  );
});
