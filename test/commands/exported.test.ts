/** Manifests for images with names and IDs that were made to do harm. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exported, whyNotExported } from '../../src/commands/exported.ts';
import { manifestText } from '../../src/commands/manifest-text.ts';
import { manifestsIn } from '../../src/commands/manifests.ts';
import { imageOf } from '../image/resource.ts';

const target = { namespace: 'team', cloud: { secretRef: { name: 'openstack' }, name: 'demo' } } as const;
const idOf = (index: number) => `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;

test('an image whose ID is not a UUID is left out', () => {
  for (const id of ['../x', '\u001b[2J', 'constructor', ' ', '//'])
    assert.equal(whyNotExported(imageOf({ id, properties: {} })), 'its ID is not a UUID', id);
  assert.equal(whyNotExported(imageOf({ id: idOf(1), properties: {} })), undefined);
});

test('each name of an image gives a file name of its own in the folder, and a manifest that kubectl reads as one object', () => {
  const long = 'x'.repeat(255);
  const names = [
    ...['../../etc/passwd', '..', '.', '/', 'A/B', 'a-b', 'a_b', 'A B', 'con', '-rf', 'a\n---\nkind: Secret', 'a\0b'],
    ...['\u001b[2Jx', '\u202ex', '日本', 'İ', 'x.yaml', 'x.yaml.partial', 'constructor', '__proto__', '<<', '0o17'],
    ...[long, long, `${long.slice(0, 62)}.y`, `${'y'.repeat(53)}-z`, `${'y'.repeat(53)}-z`],
  ];
  const taken = new Set<string>();
  for (const [index, name] of names.entries()) {
    const properties = { [name]: name, '<<': 'a', __proto: '0o17' };
    const image = imageOf({ id: idOf(index), name, tags: [name], properties });
    const made = exported(image, undefined, { ...target, deletionPolicy: 'Retain' }, taken);
    assert.match(made.name, /^[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?$/);
    assert.ok(!taken.has(made.name) && !made.name.includes('..'), made.name);
    taken.add(made.name);
    const { manifests: found } = manifestsIn(manifestText(made.manifest), 'export.yaml', 'other');
    assert.deepEqual(
      found.map(({ resource: { metadata, spec } }) => [metadata.name, metadata.namespace, spec.import?.id]),
      [[made.name, 'team', idOf(index)]],
    );
  }
});
