import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { goldens } from './goldens.ts';
import { type KubernetesObject, objectsIn } from './objects.ts';

const clusterScoped = /^(ClusterRole|ClusterRoleBinding|CustomResourceDefinition)$/;
const identify = ({ kind, metadata }: KubernetesObject) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;

describe('what helm makes of the chart', () => {
  for (const { name, file, rendered } of goldens) {
    test(`${name}: is as it was`, async () => {
      assert.equal(await rendered(), readFileSync(file, 'utf8'), `see whether it should be; then "npm run generate"`);
    });

    test(`${name}: every object has a name of its own, says where it belongs, and who looks after it`, () => {
      const objects = objectsIn(readFileSync(file, 'utf8'));
      assert.equal(new Set(objects.map(identify)).size, objects.length);
      for (const object of objects) {
        const { metadata, kind } = object;
        assert.ok(metadata.name.length <= 63, identify(object));
        assert.equal(metadata.namespace === undefined, clusterScoped.test(kind), identify(object));
        if (metadata.labels === undefined) continue;
        assert.equal(metadata.labels['app.kubernetes.io/instance'], 'images');
        assert.equal(metadata.labels['app.kubernetes.io/name'], 'glance-image-operator');
      }
    });

    test(`${name}: nothing is a hook, so that what applies manifests applies all of them`, () => {
      for (const object of objectsIn(readFileSync(file, 'utf8')))
        assert.equal(object.metadata.annotations?.['helm.sh/hook'], undefined, identify(object));
    });
  }

  test('there are no two sets of values for the same thing, and enough of them', () => {
    assert.ok(goldens.length >= 8);
    assert.equal(new Set(goldens.map(({ file }) => readFileSync(file, 'utf8'))).size, goldens.length);
  });
});
