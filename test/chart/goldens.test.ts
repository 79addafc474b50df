import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { goldens } from './goldens.ts';
import { type KubernetesObject, objectsIn } from './objects.ts';

const clusterScoped =
  /^(ClusterRole|ClusterRoleBinding|CustomResourceDefinition|ValidatingAdmissionPolicy|ValidatingAdmissionPolicyBinding)$/;
const identify = ({ kind, metadata }: KubernetesObject) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;

describe('the objects that the chart renders', () => {
  for (const { name, file, rendered } of goldens) {
    test(`${name}: the rendered objects have not changed`, async () => {
      assert.equal(await rendered(), readFileSync(file, 'utf8'), 'if the change is intended, run "npm run generate"');
    });

    test(`${name}: every object has a unique name, its scope, and the labels of the release`, () => {
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

    test(`${name}: no object is a Helm hook, so that other tools apply all of them`, () => {
      for (const object of objectsIn(readFileSync(file, 'utf8')))
        assert.equal(object.metadata.annotations?.['helm.sh/hook'], undefined, identify(object));
    });
  }

  test('there are enough sets of values, and each renders different objects', () => {
    assert.ok(goldens.length >= 8);
    assert.equal(new Set(goldens.map(({ file }) => readFileSync(file, 'utf8'))).size, goldens.length);
  });
});
