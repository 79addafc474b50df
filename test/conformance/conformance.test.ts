import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startOtherGlance } from '../env/other-glance.ts';
import type { Project } from '../env/project.ts';
import { connectStack } from '../env/stack.ts';
import { cases } from './cases.ts';
import { startCinder } from './cinder.ts';
import { createOurs } from './ours.ts';
import { reasons } from './reasons.ts';
import { play, type Scene } from './scene.ts';
import type { Side } from './side.ts';
import { problemsOf } from './verdict.ts';

const open = new AsyncDisposableStack();
let cinder: Scene;
let ours: Scene;

before(async () => {
  const stack = await connectStack();
  open.defer(() => stack.stop());
  const cloud = await startOtherGlance(stack, {
    // Reads of quotas and validations of tokens would take three quarters of the time.
    changes: { use_keystone_limits: 'false', token_cache_time: '300' },
  });
  open.defer(() => cloud[Symbol.asyncDispose]());
  const { openstack } = cloud;
  const glance = openstack.imageUrl;
  const theirs = await openstack.createProject('cinder');
  const own = await openstack.createProject('ours');
  const stranger = await openstack.createProject('stranger');
  const scene = (side: Side, project: Project): Scene => {
    open.defer(() => side.close());
    return { side, project, stranger, glance, seen: new Set<string>() };
  };
  cinder = scene(await startCinder({ glance, own: theirs, stranger }), theirs);
  ours = scene(createOurs({ glance, own, stranger }), own);
});

after(() => open.disposeAsync());

for (const each of cases) {
  test(`Cinder's image service and ours ${each.name}`, { timeout: 900_000 }, async () => {
    const [left, right] = await Promise.all([play(cinder, each), play(ours, each)]);
    assert.deepEqual(problemsOf(each, left, right), []);
  });
}

test('case names are unique, and every reason has a case', () => {
  assert.equal(new Set(cases.map(({ name }) => name)).size, cases.length);
  const given = new Set(cases.flatMap(({ expect }) => (expect === 'same' ? [] : Object.keys(expect))));
  assert.deepEqual([...given].sort(), Object.keys(reasons).sort());
});
