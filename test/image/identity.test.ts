import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { claimOf, imageIDOf, incarnationOf, isOurs, markOf, ownerOf, ownerProperty } from '../../src/image/identity.ts';
import { identity, imageOf, projectID, resourceOf, uid } from './resource.ts';

const claim = claimOf(resourceOf(), identity, projectID);

describe('the identity of an image', () => {
  test('the id is the UUID of version 5 that other programs derive, too', () => {
    // Python: uuid.uuid5(uuid.UUID('6ba7b810-9dad-11d1-80b4-00c04fd430c8'), '0')
    assert.equal(imageIDOf('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 0), '6af613b6-569c-5c22-9c37-2ed93f31d3af');
  });

  test('the incarnation can be derived from the id', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.nat(999), (resource, incarnation) => {
        const id = imageIDOf(resource, incarnation);
        assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        assert.equal(incarnationOf(resource, id, 0), incarnation);
      }),
    );
  });

  test('an incarnation of any height is found from the last one that is known', () => {
    for (const last of [0, 41, 1_001, 20_000]) {
      for (const incarnation of [0, Math.floor(last / 2), last, last + 1]) {
        assert.equal(incarnationOf(uid, imageIDOf(uid, incarnation), last), incarnation);
      }
    }
  });

  test('an image with the id of another resource is foreign, whatever its owner marker is', () => {
    const other = imageIDOf('11111111-1111-4111-8111-111111111111', 0);
    assert.equal(isOurs(imageOf({ id: other }), claim, other), false);
  });

  test('the owner marker does not reveal the UID, from which the IDs of later images follow', () => {
    const mark = Object.values(markOf(identity)).join(' ');
    assert.ok(!mark.includes(uid) && !mark.includes(uid.replaceAll('-', '')));
    assert.notEqual(ownerOf('a', 'b', uid), ownerOf('a', 'b', uid.replace(/.$/, '0')));
    assert.match(ownerOf('a', 'b', uid), /^a\/b\/[0-9a-f]{32}$/);
  });

  test('an image with our id and the owner marker of another resource is foreign', () => {
    const image = imageOf({ properties: { ...markOf(identity), [ownerProperty]: 'other' } });
    assert.equal(isOurs(image, claim, image.id), false);
  });

  test('an image without an owner marker is ours only if the status has recorded it', () => {
    const image = imageOf({ properties: {} });
    assert.equal(isOurs(image, claim, undefined), false);
    assert.equal(isOurs(image, claim, imageIDOf(uid, 0)), true);
  });

  test('an image of another project is foreign, whatever its ID and its marks are', () => {
    const other = 'b'.repeat(32);
    const owners = (declared: string | undefined, seen: string | undefined) => ({
      ...claimOf(resourceOf({ spec: { image: { owner: declared } } }), identity, projectID),
      recorded: { id: imageIDOf(uid, 0), owner: seen },
    });
    const theirs = imageOf({ owner: other });
    assert.equal(isOurs(theirs, owners(undefined, undefined), theirs.id), false);
    assert.equal(isOurs(theirs, owners(undefined, projectID), theirs.id), false);
    assert.equal(isOurs(imageOf({ owner: null }), owners(undefined, undefined), theirs.id), false);
    assert.equal(isOurs(theirs, owners(other, undefined), undefined), true);
    assert.equal(isOurs(theirs, owners(undefined, other), undefined), true);
    const next = imageOf({ owner: other, id: imageIDOf(uid, 1) });
    assert.equal(isOurs(next, owners(undefined, other), next.id), false);
  });
});
