import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { group, plural } from '../../src/api/group.ts';
import { countByVerb } from '../env/audit.ts';
import { connectStack } from '../env/stack.ts';
import { type PolicyRule, World } from './world.ts';

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
    world = await World.create({ stack, rules, flags: ['--watch-secrets', 'false', '--cluster-name', 'small'] });
  });
  after(() => world[Symbol.asyncDispose]());

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
});
