/** Sharing images with other projects. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Conflict, ImageNotAuthorized, ImageNotFound } from '../../src/glance/errors.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { collect, openService } from '../glance/kit.ts';

let stack: Stack;
before(async () => {
  stack = await connectStack();
});
after(() => stack.stop());

test('the members of an image are one call, and come as Glance has them', async (t) => {
  const { images, calls } = await openService(t, stack);
  const { id } = await images.create({ visibility: 'shared' });
  assert.deepEqual(await images.listMembers(id), []);
  const added = await images.addMember(id, 'another project');
  const before = calls().length;
  assert.deepEqual(await images.listMembers(id), [added]);
  assert.deepEqual(calls().slice(before), [`GET /v2/images/${id}/members`]);
  const { createdAt, updatedAt, ...member } = added;
  assert.deepEqual(member, { imageId: id, memberId: 'another project', status: 'pending' });
  for (const time of [createdAt, updatedAt]) assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
});

test('a member sees an image in its lists from when it accepts to when it rejects or is removed', async (t) => {
  const owner = await openService(t, stack);
  const member = await openService(t, stack);
  const { id } = await owner.images.create({ name: 'ours', visibility: 'shared' });
  await assert.rejects(member.images.show(id), ImageNotFound);
  await owner.images.addMember(id, member.project.id);
  // It can use it by its id at once.
  assert.equal((await member.images.show(id)).name, 'ours');
  const listed = async (filters = {}) => {
    const found = await collect(member.images.detail({ filters: { owner: owner.project.id, ...filters } }));
    return found.map((image) => image.id);
  };
  assert.deepEqual(await listed(), []);
  assert.deepEqual(await listed({ visibility: 'shared', memberStatus: 'pending' }), [id]);
  assert.equal((await member.images.acceptMembership(id)).status, 'accepted');
  assert.deepEqual(await listed(), [id]);
  assert.equal((await member.images.rejectMembership(id)).status, 'rejected');
  assert.deepEqual(await listed(), []);
  await owner.images.removeMember(id, member.project.id);
  await assert.rejects(member.images.show(id), ImageNotFound);
});

test('neither owner nor member can do the part of the other', async (t) => {
  const owner = await openService(t, stack);
  const member = await openService(t, stack);
  const { id } = await owner.images.create({ visibility: 'shared' });
  await owner.images.addMember(id, member.project.id);
  await assert.rejects(owner.images.addMember(id, member.project.id), Conflict);
  await assert.rejects(member.images.addMember(id, 'a third'), ImageNotAuthorized);
  await assert.rejects(member.images.removeMember(id, member.project.id), ImageNotAuthorized);
  await assert.rejects(owner.images.acceptMembership(id), ImageNotFound);
  await assert.rejects(owner.images.removeMember(id, 'a third'), ImageNotFound);
  const ours = await owner.images.create({ visibility: 'private' });
  await assert.rejects(owner.images.addMember(ours.id, member.project.id), ImageNotAuthorized);
});
