import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { chart, helm } from '../../charts/helm.ts';
import { customResourceDefinition } from '../../src/generate/crd.ts';
import { version } from '../../src/lib/version.ts';
import { deploymentIn, objectsWith, ofKind, rulesOf } from './objects.ts';

const crdSpec = z.looseObject({ spec: z.unknown() });

describe('the chart', () => {
  test('the definition is the generated one, whole', async () => {
    const rendered = crdSpec.parse(ofKind(await objectsWith([]), 'CustomResourceDefinition')).spec;
    assert.deepEqual(rendered, JSON.parse(JSON.stringify(customResourceDefinition().spec)));
  });

  test('the definition is kept by Helm, Argo CD and Flux, unless somebody says that it is not', async () => {
    const annotations = async (...set: string[]) =>
      ofKind(await objectsWith(set), 'CustomResourceDefinition').metadata.annotations;
    assert.deepEqual(await annotations(), {
      'helm.sh/resource-policy': 'keep',
      'argocd.argoproj.io/sync-options': 'Delete=false,Prune=false',
      'kustomize.toolkit.fluxcd.io/prune': 'disabled',
    });
    assert.equal(await annotations('crds.keep=false'), undefined);
  });

  test('the image is found by its digest before its tag, and in the registry of all charts before its own', async () => {
    const image = async (...set: string[]) => deploymentIn(await objectsWith(set)).container.image;
    const digest = `sha256:${'a'.repeat(64)}`;
    assert.equal(await image(), `ghcr.io/glance-image-operator/glance-image-operator:${version}`);
    assert.equal(await image('image.tag=v1', 'image.registry='), 'glance-image-operator/glance-image-operator:v1');
    const given = [
      'image.tag=v1',
      `image.digest=${digest}`,
      'global.imageRegistry=mirror:5000',
      'image.registry=other',
    ];
    assert.equal(await image(...given), `mirror:5000/glance-image-operator/glance-image-operator@${digest}`);
  });

  test('with namespaces there are rights in these alone, and none in the cluster', async () => {
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

  test('what people may do is extended in the whole cluster, or where there are no cluster rights only if asked', async () => {
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

  test('Secrets can be listed only where they are watched, and kube-system be read only where it names the cluster', async () => {
    const rules = async (...set: string[]) => rulesOf(ofKind(await objectsWith(set), 'ClusterRole'));
    const verbs = async (resource: string, ...set: string[]) =>
      (await rules(...set)).find(({ resources }) => resources.includes(resource))?.verbs;
    assert.deepEqual(await verbs('secrets'), ['get', 'list', 'watch']);
    assert.deepEqual(await verbs('secrets', 'settings.watchSecrets=false'), ['get']);
    assert.deepEqual(await verbs('namespaces'), ['get']);
    assert.equal(await verbs('namespaces', 'settings.clusterName=x'), undefined);
  });

  test('what is said after an installation deletes nothing that others look after', async () => {
    const deletions = async (...set: string[]) => {
      const values = set.flatMap((each) => ['--set', each]);
      const ended = await helm('install', 'images', chart, '--dry-run=client', ...values);
      assert.equal(ended.kind, 'done');
      return ended.kind === 'done' ? ended.stdout.match(/kubectl.* delete .*/g) : [];
    };
    const definition = 'kubectl delete crd glanceimages.glance-image-operator.dev';
    assert.deepEqual(await deletions(), ['kubectl delete glanceimages --all-namespaces --all', definition]);
    assert.deepEqual(await deletions('settings.selector=shard=a', 'crds.enabled=false'), [
      "kubectl delete glanceimages --all-namespaces --selector='shard=a'",
    ]);
    assert.deepEqual(
      await deletions('watchNamespaces={team-a,team-b}', 'settings.clusterName=x', 'crds.enabled=false'),
      ['kubectl --namespace team-a delete glanceimages --all', 'kubectl --namespace team-b delete glanceimages --all'],
    );
  });

  test('nothing depends on the moment or on the cluster', () => {
    for (const file of globSync('templates/*', { cwd: chart })) {
      const text = readFileSync(join(chart, file), 'utf8');
      assert.doesNotMatch(
        text,
        /\b(rand\w+|uuidv4|now|lookup|gen[A-Z]\w+)\b|\.Capabilities|\.Release\.(Revision|Is)/,
        file,
      );
    }
  });

  test('it has the version of the program', () => {
    const { version: own, appVersion } = z
      .looseObject({ version: z.string(), appVersion: z.string() })
      .parse(parse(readFileSync(join(chart, 'Chart.yaml'), 'utf8')));
    assert.deepEqual([own, appVersion], [version, version]);
  });
});
