/** Which images are orphans. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isNamed } from '../../src/commands/orphans.ts';
import { clusterProperty, ownerProperty } from '../../src/image/model/identity.ts';
import { imageOf, resourceOf } from '../image/resource.ts';

const id = '0a000000-0000-4000-8000-00000000000f';
const image = imageOf({ id, properties: { [clusterProperty]: 'c', [ownerProperty]: 'team/gone/uid' } });
const bare = resourceOf();

test('an image that the spec of a resource names is no orphan, also before the operator has seen the resource', () => {
  assert.equal(isNamed(image, [bare], 'c'), false);
  for (const [field, spec] of Object.entries({
    import: { ...bare.spec, import: { id } },
    'import in upper case': { ...bare.spec, import: { id: id.toUpperCase() } },
    kernel: { ...bare.spec, image: { ...bare.spec.image, properties: { kernel_id: id, large: 2n ** 60n } } },
  }))
    assert.equal(isNamed(image, [bare, { ...bare, spec }], 'c'), true, field);
});
