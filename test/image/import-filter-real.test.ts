/** Filters of images that exist, on the real Glance: names, tags and properties that look like operators, and look-alikes. */
import assert from 'node:assert/strict';
import { after, before, describe, type TestContext, test } from 'node:test';
import type { ImportFilter } from '../../src/api/import.ts';
import { pick } from '../../src/image/observe/import-filter.ts';
import type { Project } from '../env/project.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { patience } from '../env/wait.ts';
import { openClient } from '../glance/kit.ts';

const odd = [
  'in:a,b',
  'gt:1',
  'eq:eq:x',
  'a "quoted", name',
  "o'clock & co; -- ?x=y#z",
  'ünï – 雲',
  '100%_like',
  'back\\slash\\',
  'two  spaces',
  'x'.repeat(255),
];

describe('a filter on the real Glance', () => {
  let stack: Stack;
  let project: Project;
  let neighbour: Project;
  before(async () => {
    stack = await connectStack();
    [project, neighbour] = await Promise.all([
      stack.openstack.createProject(),
      stack.openstack.createProject('neighbour'),
    ]);
  });
  after(() => stack?.stop());

  /** IDs of what matches, for the project. */
  async function finder(t: TestContext): Promise<(filter: ImportFilter) => Promise<string[]>> {
    const { client } = await openClient(t, stack, { project });
    return async (filter) => {
      const picked = await pick(filter, 'Only', project.id, client, patience());
      if (picked.kind === 'none') return [];
      return picked.kind === 'one' ? [picked.image.id] : [...picked.ids];
    };
  }

  test('an image is found by any name, and one of a neighbour with the same name only by its owner', async (t) => {
    const found = await finder(t);
    for (const name of odd) {
      const own = await project.createImage({ name });
      const theirs = await neighbour.createImage({ name, visibility: 'community' });
      assert.deepEqual(await found({ name }), [own.id], name);
      assert.deepEqual(await found({ name, owner: neighbour.id }), [theirs.id], name);
      assert.deepEqual(await found({ name, visibility: 'community' }), [], name);
    }
  });

  test('an image is found by any tag and by any value of a property', async (t) => {
    const found = await finder(t);
    const short = odd.filter((text) => text.length < 255);
    const image = await project.createImage({
      name: 'tagged',
      tags: short,
      ...Object.fromEntries(short.map((text, index) => [`key:${index}`, text])),
    });
    await neighbour.createImage({ name: 'tagged', tags: short, visibility: 'community', 'key:0': short[0] });
    for (const [index, text] of short.entries()) {
      assert.deepEqual(await found({ tags: [text] }), [image.id], text);
      assert.deepEqual(await found({ properties: { [`key:${index}`]: text } }), [image.id], text);
      assert.deepEqual(await found({ properties: { [`key:${index}`]: `${text}.` } }), [], text);
    }
  });

  test('a public image of a neighbour counts only with visibility public, and a hidden one only if no other matches', async (t) => {
    const found = await finder(t);
    const published = await neighbour.createImage({ name: 'common' });
    const publish = [{ op: 'replace', path: '/visibility', value: 'public' }];
    (await stack.openstack.image('PATCH', `/v2/images/${published.id}`, publish)).ok();
    assert.deepEqual(await found({ name: 'common' }), []);
    const hidden = await project.createImage({ name: 'common', os_hidden: true });
    assert.deepEqual(await found({ name: 'common' }), [hidden.id]);
    const own = await project.createImage({ name: 'common' });
    assert.deepEqual(await found({ name: 'common' }), [own.id]);
    assert.deepEqual(await found({ name: 'common', visibility: 'public' }), [published.id]);
  });

  test('an image that is shared with the project, and that it has rejected, is found by its owner', async (t) => {
    const found = await finder(t);
    const shared = await neighbour.createImage({ name: 'lent', visibility: 'shared' });
    (await neighbour.image('POST', `/v2/images/${shared.id}/members`, { member: project.id })).ok();
    for (const status of ['pending', 'accepted', 'rejected']) {
      (await project.image('PUT', `/v2/images/${shared.id}/members/${project.id}`, { status })).ok();
      assert.deepEqual(await found({ name: 'lent', owner: neighbour.id }), [shared.id], status);
      assert.deepEqual(await found({ name: 'lent' }), [], status);
    }
  });
});
