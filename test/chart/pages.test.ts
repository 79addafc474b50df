/** Texts for users: the notes after an installation, and the examples in its README. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { before, describe, test } from 'node:test';
import { z } from 'zod';
import { chart, helm } from '../../charts/helm.ts';
import { yamlBlocks } from '../gitops/pages.ts';
import { deploymentIn, type KubernetesObject, objectsIn, ofKind } from './objects.ts';

async function install(values: unknown): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'values-'));
  const file = join(directory, 'values.yaml');
  try {
    await writeFile(file, JSON.stringify(values));
    const ended = await helm('install', 'images', chart, '--dry-run=client', '--values', file);
    assert.equal(ended.kind, 'done', ended.kind === 'rejected' ? ended.stderr : '');
    return ended.kind === 'done' ? ended.stdout : '';
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** helm prints the objects between these lines. */
async function rendered(values: unknown): Promise<KubernetesObject[]> {
  const [, manifest = ''] = /^MANIFEST:\n([\s\S]*?)^NOTES:$/m.exec(await install(values)) ?? [];
  return objectsIn(manifest);
}

describe('the notes after an installation', () => {
  const notes = async (values: object) => (await install(values)).split(/^NOTES:$/m)[1] ?? '';

  test('the notes delete no GlanceImage or CRD of another installation', async () => {
    const deletions = async (values: object) => (await notes(values)).match(/kubectl.* delete .*/g);
    const crd = 'kubectl delete crd glanceimages.glance-image-operator.dev';
    const crds = { enabled: false };
    assert.deepEqual(await deletions({}), ['kubectl delete glanceimages --all-namespaces --all', crd]);
    assert.deepEqual(await deletions({ settings: { selector: 'shard=a' }, crds }), [
      "kubectl delete glanceimages --all-namespaces --selector='shard=a'",
    ]);
    assert.deepEqual(await deletions({ watchNamespaces: ['team-a', 'team-b'], settings: { clusterName: 'x' }, crds }), [
      'kubectl --namespace team-a delete glanceimages --all',
      'kubectl --namespace team-b delete glanceimages --all',
    ]);
  });

  test('the notes warn about a PodDisruptionBudget that has no effect', async () => {
    const warning = /podDisruptionBudget\.enabled has no effect with replicaCount 1\. Set replicaCount to 2 or more\./;
    const podDisruptionBudget = { enabled: true };
    assert.match(await notes({ podDisruptionBudget }), warning);
    assert.doesNotMatch(await notes({ podDisruptionBudget, replicaCount: 2 }), warning);
    assert.doesNotMatch(await notes({}), warning);
  });

  test('the notes warn about a NetworkPolicy that leaves ports open to every address', async () => {
    const dns = /dns\.to is empty, so the Pods can reach every address on the ports 53\./;
    const to = [{ ipBlock: { cidr: '192.0.2.10/32' } }];
    assert.match(await notes({ networkPolicy: { enabled: true, apiServer: { to }, dns: { to: [] } } }), dns);
    assert.doesNotMatch(await notes({ networkPolicy: { enabled: true, apiServer: { to } } }), dns);
    assert.doesNotMatch(await notes({}), dns);
  });
});

const peers = z.array(z.looseObject({ ports: z.array(z.unknown()), to: z.array(z.unknown()).optional() }));
const policySchema = z.looseObject({ spec: z.looseObject({ egress: peers, ingress: z.array(z.looseObject({})) }) });
const podSchema = z.looseObject({
  volumes: z.array(z.looseObject({ name: z.string(), configMap: z.looseObject({ name: z.string() }) })),
  containers: z.tuple([
    z.looseObject({
      args: z.array(z.string()),
      volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })),
    }),
  ]),
});

describe('the README of the chart', () => {
  let page: string;
  let examples: unknown[];
  before(async () => {
    page = await readFile(join(chart, 'README.md'), 'utf8');
    examples = yamlBlocks(page);
  });

  /** The objects of the only example that has this text. */
  async function exampleWith(text: string): Promise<KubernetesObject[]> {
    const found = examples.filter((example) => JSON.stringify(example).includes(text));
    assert.equal(found.length, 1, text);
    return rendered(found[0]);
  }

  test('the chart accepts every example in its README', async () => {
    assert.ok(examples.length >= 5);
    for (const example of examples) assert.notEqual((await rendered(example)).length, 0);
  });

  test('the example of a certificate authority mounts the key of its ConfigMap where the operator reads the bundle', async () => {
    const { volumes, containers } = podSchema.parse(deploymentIn(await exampleWith('caBundle')).pod);
    const [, configMap, key] = /create configmap (\S+) --from-file=([\w.]+)=/.exec(page) ?? [];
    const volume = volumes.find((each) => each.configMap.name === configMap);
    const [{ args, volumeMounts }] = containers;
    const [, file = ''] = /--ca-bundle[ =](\S+)/.exec(args.join(' ')) ?? [];
    const mount = volumeMounts.find(({ mountPath }) => mountPath === dirname(file));
    assert.ok(volume !== undefined && mount !== undefined);
    assert.equal(mount.name, volume.name);
    assert.equal(key, 'ca.crt');
    assert.equal(file, join(mount.mountPath, key));
  });

  test('the example of a NetworkPolicy bounds every rule to peers', async () => {
    const { spec } = policySchema.parse(ofKind(await exampleWith('networkPolicy'), 'NetworkPolicy'));
    assert.equal(spec.egress.length, 3);
    for (const rule of spec.egress) assert.ok((rule.to ?? []).length > 0, JSON.stringify(rule));
    for (const rule of spec.ingress) assert.ok(Object.hasOwn(rule, 'from'), JSON.stringify(rule));
  });
});
