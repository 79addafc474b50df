import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { chart } from '../../charts/helm.ts';
import { customResourceDefinition } from '../../src/generate/crd.ts';
import { programVersion } from '../../src/lib/version.ts';
import { deploymentIn, everything, objectsWith, ofKind, rulesOf } from './objects.ts';

const crdSpec = z.looseObject({ spec: z.unknown() });

describe('the chart', () => {
  test('the CRD in the chart is the generated one', async () => {
    const rendered = crdSpec.parse(ofKind(await objectsWith([]), 'CustomResourceDefinition')).spec;
    assert.deepEqual(rendered, JSON.parse(JSON.stringify(customResourceDefinition().spec)));
  });

  test('Helm, Argo CD and Flux keep the CRD, unless crds.keep is false', async () => {
    const annotations = async (...set: string[]) =>
      ofKind(await objectsWith(set), 'CustomResourceDefinition').metadata.annotations;
    const keep = {
      'helm.sh/resource-policy': 'keep',
      'argocd.argoproj.io/sync-options': 'Delete=false,Prune=false',
      'kustomize.toolkit.fluxcd.io/prune': 'disabled',
    };
    assert.deepEqual(await annotations(), keep);
    assert.equal(await annotations('crds.keep=false'), undefined);
    assert.deepEqual(await annotations('crds.annotations.a=b', 'crds.annotations.helm\\.sh/resource-policy=x'), {
      ...keep,
      a: 'b',
    });
  });

  test('a digest takes precedence over a tag, and the global registry over the registry of the image', async () => {
    const image = async (...set: string[]) => deploymentIn(await objectsWith(set)).container.image;
    const digest = `sha256:${'a'.repeat(64)}`;
    assert.equal(await image(), `ghcr.io/glance-image-operator/glance-image-operator:${programVersion}`);
    assert.equal(await image('image.tag=v1', 'image.registry='), 'glance-image-operator/glance-image-operator:v1');
    const given = [
      'image.tag=v1',
      `image.digest=${digest}`,
      'global.imageRegistry=mirror:5000',
      'image.registry=other',
    ];
    assert.equal(await image(...given), `mirror:5000/glance-image-operator/glance-image-operator@${digest}`);
  });

  test('pull secrets are those of the chart and of all charts, as names or objects, each once', async () => {
    const secrets = async (...set: string[]) => deploymentIn(await objectsWith(set)).pod.imagePullSecrets;
    assert.equal(await secrets(), undefined);
    assert.deepEqual(
      await secrets('imagePullSecrets[0].name=a', 'global.imagePullSecrets={b,a}', 'global.imagePullSecrets[2].name=c'),
      [{ name: 'a' }, { name: 'b' }, { name: 'c' }],
    );
  });

  test('common labels and annotations are on every object, and those of one object take precedence', async () => {
    const objects = await objectsWith([
      ...everything,
      'commonLabels.who=all',
      'commonAnnotations.who=all',
      'metrics.service.labels.who=one',
      'metrics.service.annotations.who=one',
    ]);
    for (const { kind, metadata } of objects) {
      const who = kind === 'Service' ? 'one' : 'all';
      assert.deepEqual([metadata.labels?.['who'], metadata.annotations?.['who']], [who, who], kind);
    }
  });

  test('the default container is the operator, unless the annotations of the Pods say otherwise', async () => {
    const annotation = 'kubectl.kubernetes.io/default-container';
    const annotations = async (...set: string[]) => deploymentIn(await objectsWith(set)).template.metadata.annotations;
    assert.deepEqual(await annotations('podAnnotations.a=b'), { a: 'b', [annotation]: 'operator' });
    // A key that occurs twice would be an error of the YAML parser.
    const other = await annotations('podAnnotations.kubectl\\.kubernetes\\.io/default-container=proxy');
    assert.deepEqual(other, { [annotation]: 'proxy' });
  });

  test('with watchNamespaces, there are permissions in these namespaces only, and none in the cluster', async () => {
    const objects = await objectsWith(['watchNamespaces={team-a,team-b}', 'settings.clusterName=x']);
    const kinds = objects.map(({ kind }) => kind);
    assert.ok(!kinds.some((kind) => kind.startsWith('ClusterRole')));
    const roles = objects.filter(({ kind }) => kind === 'Role');
    assert.deepEqual(
      roles.map(({ metadata }) => metadata.namespace),
      ['team-a', 'team-b', 'images-system'],
    );
    const clusterWide = rulesOf(ofKind(await objectsWith(['settings.clusterName=x']), 'ClusterRole'));
    for (const role of roles.slice(0, 2)) assert.deepEqual(rulesOf(role), clusterWide);
  });

  test('the built-in roles are extended by default, but with watchNamespaces only on request', async () => {
    const roles = async (...set: string[]) => {
      const objects = await objectsWith(set);
      return objects.filter(({ kind }) => kind === 'ClusterRole').map(({ metadata }) => metadata.name);
    };
    const own = 'images-glance-image-operator';
    const namespaced = ['watchNamespaces={team-a}', 'settings.clusterName=x'];
    assert.deepEqual(await roles(), [own, `${own}-view`, `${own}-edit`]);
    assert.deepEqual(await roles('rbac.userRoles=never'), [own]);
    assert.deepEqual(await roles(...namespaced), []);
    assert.deepEqual(await roles(...namespaced, 'rbac.userRoles=always'), [`${own}-view`, `${own}-edit`]);
  });

  test('the operator may list Secrets only if it watches them, and read kube-system only if it has no cluster name', async () => {
    const rules = async (...set: string[]) => rulesOf(ofKind(await objectsWith(set), 'ClusterRole'));
    const verbs = async (resource: string, ...set: string[]) =>
      (await rules(...set)).find(({ resources }) => resources.includes(resource))?.verbs;
    assert.deepEqual(await verbs('secrets'), ['get']);
    assert.deepEqual(await verbs('secrets', 'settings.watchSecrets=true'), ['get', 'list', 'watch']);
    assert.deepEqual(await verbs('namespaces'), ['get']);
    assert.equal(await verbs('namespaces', 'settings.clusterName=x'), undefined);
  });

  test('no template depends on time, chance, the cluster or the kind of the Helm command', () => {
    for (const file of globSync('templates/*', { cwd: chart })) {
      const text = readFileSync(join(chart, file), 'utf8');
      assert.doesNotMatch(
        text,
        /\b(rand\w+|uuidv4|now|lookup|gen[A-Z]\w+)\b|\.Capabilities|\.Release\.(Revision|Is)/,
        file,
      );
    }
  });

  test('the chart has the version of the program', () => {
    const { version: own, appVersion } = z
      .looseObject({ version: z.string(), appVersion: z.string() })
      .parse(parse(readFileSync(join(chart, 'Chart.yaml'), 'utf8')));
    assert.deepEqual([own, appVersion], [programVersion, programVersion]);
  });
});
