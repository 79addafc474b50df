import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { group, plural } from '../../src/api/group.ts';
import { countByVerb } from '../env/audit.ts';
import { connectStack } from '../env/stack.ts';
import { type PolicyRule, reasonOf, World } from './world.ts';

/** The shortest interval there is. */
const interval = '10s';
const intervalMs = 10_000;

const rules: PolicyRule[] = [
  { apiGroups: [group], resources: [plural], verbs: ['get', 'list', 'watch', 'patch'] },
  { apiGroups: [group], resources: [`${plural}/status`], verbs: ['patch'] },
  { apiGroups: [''], resources: ['secrets'], verbs: ['get'] },
  { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
];

describe('an operator that may only get Secrets', () => {
  let world: World;
  let mark = 0;
  before(async () => {
    const stack = await connectStack();
    mark = await stack.kubernetes.audit.mark();
    world = await World.create({ stack, rules, flags: ['--cluster-name', 'small'] });
  });
  after(() => world[Symbol.asyncDispose]());

  async function label(secret: string): Promise<void> {
    const args = ['label', 'secret', secret, 'touched=yes'];
    const { code, stderr } = await world.stack.kubernetes.kubectl(args, { namespace: world.namespace });
    assert.equal(code, 0, stderr);
  }

  test('an operator that may only get Secrets works and makes no forbidden request', async () => {
    await world.apply('plain', { interval: '0' });
    await world.ready('plain');
    await world.delete('plain');
    await world.gone('plain');
    const asked = await world.stack.kubernetes.audit.read(world.user, mark);
    assert.deepEqual(
      asked.filter(({ status }) => status === 403).map(({ uri }) => uri),
      [],
    );
    const verbs = Object.keys(countByVerb(asked.filter(({ resource }) => resource === 'secrets')));
    assert.deepEqual(verbs, ['get secrets']);
  });

  test('an operator that may only get Secrets finds a late Secret at the check that the annotation triggers', async () => {
    await world.apply('late', { interval: '0', cloud: { secretRef: { name: 'late' }, name: 'demo' } });
    await world.reason('late', 'SecretNotFound');
    await world.writeSecret('late', { 'clouds.yaml': await world.project.cloudsYaml() });
    await world.annotate('late', 'glance-image-operator.dev/reconcile-at', '1');
    await world.ready('late');
  });

  test('an operator that may only get Secrets uses a rotated Secret from the next drift check on', async () => {
    await world.writeSecret('rotated', { 'clouds.yaml': await world.project.cloudsYaml() });
    await world.apply('rotated', { interval, cloud: { secretRef: { name: 'rotated' }, name: 'demo' } });
    const { status } = await world.ready('rotated');
    await world.writeSecret('rotated', {
      'clouds.yaml': await world.project.cloudsYaml({ auth: 'applicationCredential' }),
    });
    await world.until('rotated', 'checked with the new Secret', (resource) => {
      assert.equal(reasonOf(resource), 'RecordOnly');
      return resource.status.secretVersion !== status.secretVersion;
    });
  });

  test('drift checks read each Secret, write nothing, and take a changed label of the Secret for no change', async () => {
    await world.ready('rotated');
    const start = await world.stack.kubernetes.audit.mark();
    await sleep(1.2 * intervalMs);
    await label('rotated');
    await sleep(2.2 * intervalMs);
    assert.deepEqual(countByVerb(await world.stack.kubernetes.audit.writes(world.user, start)), {});
    const asked = await world.stack.kubernetes.audit.read(world.user, start);
    const reads = asked.filter(({ uri }) => uri.includes('/secrets/rotated')).length;
    assert.ok(reads >= 2 && reads <= 4, `${reads} readings of the Secret in three intervals`);
  });

  test('an operator that may only get Secrets uses a new password soon after the old one was rejected', async () => {
    const before = await world.project.cloudsYaml();
    await world.writeSecret('password', { 'clouds.yaml': before });
    await world.apply('password', { interval, cloud: { secretRef: { name: 'password' }, name: 'demo' } });
    await world.ready('password');
    await world.project.setPassword('member', 'another-password');
    await world.reason('password', 'AuthenticationFailed');
    const { password } = world.project.accounts.member;
    await world.writeSecret('password', { 'clouds.yaml': before.replace(password, 'another-password') });
    await world.ready('password');
  });
});
