import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { identityAnnotation } from '../../src/api/group.ts';
import { identityOf, imageIDOf, markOf, numberOf, originalIdentity, ownerOf } from '../../src/image/model/identity.ts';
import { identity, resourceOf, uid } from './resource.ts';

const other = '11111111-1111-4111-8111-111111111111';

describe('the identity of a resource', () => {
  const annotated = (value: string) =>
    identityOf(resourceOf({ metadata: { annotations: { [identityAnnotation]: value } } }), 'c');
  const other = 'f'.repeat(32);

  test('a resource without the annotation has the identity of its uid', () => {
    assert.deepEqual(identityOf(resourceOf(), 'c'), {
      uid,
      value: originalIdentity(uid),
      owner: `demo/ubuntu/${originalIdentity(uid)}`,
      cluster: 'c',
      isOriginal: true,
    });
  });

  test('the annotation carries the identity of an earlier uid', () => {
    assert.partialDeepStrictEqual(annotated(other), { value: other, owner: `demo/ubuntu/${other}`, isOriginal: false });
    assert.equal(annotated(originalIdentity(uid)).isOriginal, true);
  });

  test('an annotation that is no identity is ignored', () => {
    for (const value of ['', 'f'.repeat(31), 'F'.repeat(32), `${other}\n`, 'demo/ubuntu'])
      assert.deepEqual(annotated(value), identityOf(resourceOf(), 'c'), JSON.stringify(value));
  });

  test('the owner mark does not reveal the UID, from which the IDs of later images follow', () => {
    const mark = Object.values(markOf(identity)).join(' ');
    assert.ok(!mark.includes(uid) && !mark.includes(uid.replaceAll('-', '')));
    assert.notEqual(ownerOf('a', 'b', uid), ownerOf('a', 'b', uid.replace(/.$/, '0')));
    assert.match(ownerOf('a', 'b', uid), /^a\/b\/[0-9a-f]{32}$/);
  });
});

describe('the ID of an image', () => {
  test('the id is the UUID of version 5 that other programs derive, too', () => {
    // Python: uuid.uuid5(uuid.UUID('6ba7b810-9dad-11d1-80b4-00c04fd430c8'), '0')
    assert.equal(imageIDOf('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 0), '6af613b6-569c-5c22-9c37-2ed93f31d3af');
  });

  test('the number can be derived from the id', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.nat(999), (resource, number) => {
        const id = imageIDOf(resource, number);
        assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        assert.equal(numberOf(resource, id, 0), number);
      }),
    );
  });

  test('a number of any height is found from the lowest one that is not used up', () => {
    for (const next of [0, 41, 1_001, 20_000]) {
      for (const number of [0, Math.floor(next / 2), next, next + 1]) {
        assert.equal(numberOf(uid, imageIDOf(uid, number), next), number);
      }
    }
  });

  test('the ID of an image of another resource has no number', () => {
    assert.equal(numberOf(uid, imageIDOf(other, 0), 3), undefined);
  });

  test('a search for IDs that follow from nothing costs little more than one, because anyone can put a mark on thousands of images', (t) => {
    const hash = t.mock.method(crypto, 'createHash');
    syncBuiltinESMExports();
    for (let at = 0; at < 100; at++) assert.equal(numberOf(uid, imageIDOf(other, at), 3), undefined);
    hash.mock.restore();
    syncBuiltinESMExports();
    assert.ok(hash.mock.callCount() < 50_000, `${hash.mock.callCount()} IDs were computed`);
  });

  test('a search near the largest integers ends, because a status may have any number', () => {
    for (const next of [2 ** 53 - 1, 2 ** 53, 1e300]) assert.equal(numberOf(uid, imageIDOf(other, 0), next), undefined);
  });
});
