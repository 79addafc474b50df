import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isImageAvailable, type Requester } from '../../src/library/availability.ts';

const us = 'our project';
const without: Requester = { token: false, projectId: us, userId: 'we' };
const accepted = [{ memberId: us, status: 'accepted' }];

for (const [what, visibility, properties, requester, members, answer] of [
  ['with a token everything is', 'private', { owner_id: 'they' }, { token: true }, undefined, true],
  ['for an administrator everything is', 'private', {}, { token: false, admin: true }, undefined, true],
  ['a public image is', 'public', { owner_id: 'they' }, without, undefined, true],
  ['an image that is public by its property is', 'private', { is_public: true }, without, undefined, true],
  ['the same as text', 'private', { is_public: 'True' }, without, undefined, true],
  ['one that is not public by its property is not', 'private', { is_public: 'False' }, without, undefined, false],
  ['an image of our project is', 'private', { owner_id: us }, without, undefined, true],
  ['an image of theirs is not', 'private', { owner_id: 'they', project_id: us }, without, undefined, false],
  ['without an owner, the project decides', 'private', { project_id: us }, without, undefined, true],
  ['the same against us', 'private', { project_id: 'they', user_id: 'we' }, without, undefined, false],
  ['an owner decides before the members', 'shared', { owner_id: 'they' }, without, accepted, false],
  ['without an owner, the members decide', 'shared', {}, without, undefined, 'unknown'],
  ['a member that has accepted has it', 'shared', {}, without, accepted, true],
  ['one that has not, has not', 'shared', {}, without, [{ memberId: us, status: 'pending' }], false],
  ['nor has another', 'shared', {}, without, [{ memberId: 'they', status: 'accepted' }], false],
  ['an image of our user is, at the end', 'private', { user_id: 'we' }, without, undefined, true],
  ['also among what is shared', 'shared', { user_id: 'we' }, without, [], true],
  ['a private image without an owner is not', 'private', {}, without, undefined, false],
  ['nor one of the community', 'community', {}, without, undefined, false],
  ['a user without a project has no access by it', 'private', { owner_id: us }, { token: false }, undefined, false],
  [
    'a request without a user has no access by it',
    'private',
    { user_id: 'undefined' },
    { token: false },
    undefined,
    false,
  ],
  ['an owner that has no text is another', 'private', { owner_id: { toString: 1 } }, without, undefined, false],
  [
    'a property without a text does not make it public',
    'private',
    { is_public: { toString: 1 } },
    without,
    undefined,
    false,
  ],
  ['ids are compared as texts', 'private', { owner_id: 42 }, { token: false, projectId: '42' }, undefined, true],
] as const) {
  test(`availability is known: ${what}`, () => {
    assert.equal(isImageAvailable({ visibility, properties }, requester, members), answer);
  });
}
