import assert from 'node:assert/strict';
import { test } from 'node:test';
import { desire } from '../../src/image/desired.ts';
import { warningOf } from '../../src/image/warning.ts';
import { identity, projectID, resourceOf } from './resource.ts';

const stuck = { image_id: 'x', __doc__: 'y', ' a': 'z', os_glance_importing_to_stores: '', ok: '1' };

test('properties that a purge cannot remove are reported as a Warning, by their names', () => {
  const warning = warningOf(resourceOf({}), stuck);
  assert.equal(warning?.reason, 'PropertyNotRemovable');
  assert.match(warning.message, /: "image_id", "__doc__", " a"$/);
});

test('properties that nothing asks to remove are no reason for a Warning', () => {
  assert.equal(warningOf(resourceOf({ spec: { propertyPolicy: 'Merge' } }), stuck), undefined);
  assert.equal(warningOf(resourceOf({}), { ok: '1' }), undefined);
  assert.equal(warningOf(resourceOf({}), undefined), undefined);
});

const declare = (properties: Record<string, unknown>) => resourceOf({ spec: { image: { properties } } });

test('a property that is named like a method or like the prototype of a JavaScript object is declared like any other', () => {
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
  const properties = Object.fromEntries(names.map((name) => [name, name]));
  const desired = desire(declare(properties), identity, projectID);
  assert.deepEqual(desired.propertyKeys, names.toSorted());
  const wanted = new Map(Object.entries(desired.image.properties ?? {}));
  for (const name of names) assert.equal(wanted.get(name), name);
});

test('a declared property is rejected by name if Glance cannot change a property of that name', () => {
  for (const name of ['__init__', '_abc_impl', 'size', 'os_glance_x', ' a', 'a\x1c']) {
    assert.throws(
      () => desire(declare({ [name]: 'x' }), identity, projectID),
      (error) => error instanceof Error && error.message.includes(`cannot contain ${JSON.stringify(name)}: `),
    );
  }
});
