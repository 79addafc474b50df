/** Namespaces that are deleted with everything in them, by the namespace controller, which deletes kinds in any order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apiVersion, kind } from '../../src/api/group.ts';
import { eventually } from '../env/wait.ts';
import { World } from './world.ts';

const count = 20;

test('20 namespaces that are deleted at once go, and their images with them', async () => {
  await using world = await World.create({ idle: true });
  const { kubernetes } = world.stack;
  const others = await Promise.all(Array.from({ length: count - 1 }, () => kubernetes.createNamespace('going')));
  const namespaces = [world.namespace, ...others];
  const cloudsYaml = await world.project.cloudsYaml();
  await kubernetes.apply(
    namespaces
      .flatMap((namespace) => [
        {
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { name: 'cloud', namespace },
          stringData: { 'clouds.yaml': cloudsYaml },
        },
        {
          apiVersion,
          kind,
          metadata: { name: 'image', namespace },
          spec: { cloud: { secretRef: { name: 'cloud' }, name: 'demo' }, image: { protected: true } },
        },
      ])
      .map((object) => JSON.stringify(object))
      .join('\n---\n'),
  );
  await world.start(['--namespaces', namespaces.join(',')]);
  const isReady = async () => (await world.images()).filter(({ protected: kept }) => kept).length === count;
  await eventually(isReady, () => 'a namespace has no image');
  const { code, stderr } = await kubernetes.kubectl(['delete', 'namespace', '--wait=false', ...namespaces]);
  assert.equal(code, 0, stderr);
  const left = async () => {
    const all = await Promise.all(namespaces.map((one) => kubernetes.request('GET', `/api/v1/namespaces/${one}`)));
    return all.filter(({ status }) => status !== 404).length;
  };
  await eventually(
    async () => (await left()) === 0,
    () => `namespaces are left\n${world.operator.log.slice(-20).join('\n')}`,
  );
  assert.deepEqual(await world.images(), []);
});
