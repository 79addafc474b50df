import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { imageIDOf, incarnationOf, isOurs, markOf, ownerProperty } from '../../src/image/identity.ts';
import { identity, imageOf, uid } from './resource.ts';

describe('the identity of an image', () => {
  test('the id is the UUID of version 5 that every other program derives', () => {
    // Python: uuid.uuid5(uuid.UUID('6ba7b810-9dad-11d1-80b4-00c04fd430c8'), '0')
    assert.equal(imageIDOf('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 0), '6af613b6-569c-5c22-9c37-2ed93f31d3af');
  });

  test('the incarnation is found back from the id', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.nat(999), (resource, incarnation) => {
        const id = imageIDOf(resource, incarnation);
        assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        assert.equal(incarnationOf(resource, id), incarnation);
      }),
    );
  });

  test('an image with an id of another resource is not ours, whatever its mark says', () => {
    const other = imageIDOf('11111111-1111-4111-8111-111111111111', 0);
    assert.equal(isOurs(imageOf({ id: other }), identity, other), false);
  });

  test('an image with our id and the mark of somebody else is not ours', () => {
    const image = imageOf({ properties: { ...markOf(identity), [ownerProperty]: 'other' } });
    assert.equal(isOurs(image, identity, image.id), false);
  });

  test('an image without a mark is ours only when we have recorded it', () => {
    const image = imageOf({ properties: {} });
    assert.equal(isOurs(image, identity, undefined), false);
    assert.equal(isOurs(image, identity, imageIDOf(uid, 0)), true);
  });
});
