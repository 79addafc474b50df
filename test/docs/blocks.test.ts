/**
 * Readers copy the blocks of the pages, so the kind and the content of every block are checked, here or in the other
 * files.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { z } from 'zod';
import { apiVersion, kind } from '../../src/api/group.ts';
import { reasons } from '../../src/api/reasons.ts';
import { specSchema } from '../../src/api/spec.ts';
import { customResourceDefinition } from '../../src/generate/crd.ts';
import { parseCloud } from '../../src/openstack/clouds.ts';
import { TransferPlan } from '../../src/transfer/plan.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { type DryRun, dryRunner, manifestSchema } from './manifests.ts';
import { type Block, blocksOf, fileNameOf, readPages, root } from './pages.ts';

/** Blocks that are run rather than read are in commands.test.ts and walk.test.ts. */
/** As a resource next to such a clouds.yaml names it. */
const serviceAccount = { namespace: 'n', name: 'a', uid: 'u', keystone: 'https://keystone.example.com:5000' };

/** Apache and Keystone start with their blocks in federation.test.ts. */
const languages = ['yaml', 'json', 'sh', 'console', 'text', 'hcl', 'apache', 'ini'];

const cloudsSchema = z.object({ clouds: z.record(z.string(), z.looseObject({})) });
const fragmentSchema = z.strictObject(
  Object.fromEntries(Object.keys(specSchema.shape).map((key) => [key, z.unknown().optional()])),
);
/** Values of our chart in the resources of those who install it. */
const helmReleaseSchema = z.looseObject({
  kind: z.literal('HelmRelease'),
  spec: z.looseObject({ values: z.looseObject({}) }),
});
/** Values of the chart kube-prometheus-stack, as far as the pages set them. */
const kubePrometheusStackSchema = z.strictObject({
  'kube-state-metrics': z.strictObject({
    extraArgs: z.array(z.string().startsWith('--')),
    volumeMounts: z.array(z.strictObject({ name: z.string(), mountPath: z.string() })),
    volumes: z.array(z.strictObject({ name: z.string(), configMap: z.strictObject({ name: z.string() }) })),
    rbac: z.strictObject({ extraRules: z.array(z.looseObject({ verbs: z.array(z.string()) })) }),
  }),
});
const secretSchema = z.looseObject({
  kind: z.literal('Secret'),
  stringData: z.looseObject({ 'clouds.yaml': z.string(), cacert: z.string().optional() }),
});
const applicationSchema = z.looseObject({
  kind: z.literal('Application'),
  spec: z.looseObject({ source: z.looseObject({ helm: z.looseObject({ valuesObject: z.looseObject({}) }) }) }),
});

const valuesOfChart = z
  .looseObject({})
  .parse(parse(readFileSync(join(root, 'charts/glance-image-operator/values.yaml'), 'utf8')));

/** By the name of the file, or because that is what the chart's own pages speak of. */
function isValues(document: unknown, block: Block): boolean {
  const name = fileNameOf(block);
  if (name !== undefined) return name.endsWith('values.yaml');
  const object = z.looseObject({}).safeParse(document);
  if (!object.success || !block.page.startsWith('charts/')) return false;
  return Object.keys(object.data).every((key) => Object.hasOwn(valuesOfChart, key));
}

/** Pared down from CAPO's own. */
const machineTemplates = join(import.meta.dirname, 'crds/openstackmachinetemplates.yaml');

describe('the blocks of the pages', () => {
  let stack: Stack;
  let dryRun: DryRun;
  before(async () => {
    stack = await connectStack();
    await stack.kubernetes.apply(join(root, 'crds'));
    await stack.kubernetes.apply(machineTemplates);
    await stack.kubernetes.kubectl([
      'wait',
      '--for=condition=Established',
      '--filename',
      machineTemplates,
      '--timeout=60s',
    ]);
    dryRun = dryRunner(stack.kubernetes, await stack.kubernetes.createNamespace('docs'));
  });
  after(() => stack.stop());

  /** Throws where the operator could not sign in with it. */
  function checkCloudsSecret(data: z.infer<typeof secretSchema>['stringData']): void {
    const { clouds } = cloudsSchema.parse(parse(data['clouds.yaml']));
    for (const cloud of Object.keys(clouds))
      parseCloud({ cloudsYaml: data['clouds.yaml'], cacert: data.cacert }, cloud);
  }

  async function checkValues(values: unknown): Promise<void> {
    const chart = join(root, 'charts/glance-image-operator');
    const { code, stderr } = await stack.kubernetes.helm(
      ['template', 'glance-image-operator', chart, '--values', '-'],
      {
        input: stringify(values),
      },
    );
    assert.equal(code, 0, stderr);
  }

  async function checkYaml(document: unknown, block: Block): Promise<void> {
    if (isValues(document, block)) return checkValues(document);
    const clouds = cloudsSchema.safeParse(document);
    if (clouds.success) {
      const cloudsYaml = stringify(document);
      for (const cloud of Object.keys(clouds.data.clouds)) {
        const usesTokens = cloudsYaml.includes('auth_type: v3oidcaccesstoken');
        parseCloud({ cloudsYaml, serviceAccount: usesTokens ? serviceAccount : undefined }, cloud);
      }
      return;
    }
    if (fileNameOf(block) === 'kube-prometheus-stack.yaml') {
      kubePrometheusStackSchema.parse(document);
      return;
    }
    const manifest = manifestSchema.safeParse(document);
    if (manifest.success) {
      const secret = secretSchema.safeParse(document);
      if (secret.success) checkCloudsSecret(secret.data.stringData);
      const release = helmReleaseSchema.safeParse(document);
      if (release.success) await checkValues(release.data.spec.values);
      const application = applicationSchema.safeParse(document);
      if (application.success) await checkValues(application.data.spec.source.helm.valuesObject);
      return dryRun(manifest.data);
    }
    // A part of a GlanceImage, below spec.
    const { image = {}, ...rest } = fragmentSchema.parse(document);
    const spec = {
      cloud: { secretRef: { name: 'openstack' }, name: 'demo' },
      image: { diskFormat: 'qcow2', ...z.looseObject({}).parse(image) },
      ...rest,
    };
    await dryRun({ apiVersion, kind, metadata: { name: 'part' }, spec });
  }

  async function check(block: Block): Promise<void> {
    switch (block.language) {
      case 'yaml': {
        const documents = parseAllDocuments(block.text, { version: '1.1' });
        assert.ok(documents.length > 0, 'there is nothing in it');
        for (const document of documents) {
          assert.deepEqual([...document.errors, ...document.warnings], []);
          await checkYaml(document.toJS(), block);
        }
        return;
      }
      case 'json':
        TransferPlan.parse(JSON.parse(block.text));
        return;
      case 'hcl':
        checkHcl(block.text);
        return;
      case 'text':
      case 'console':
        checkTable(block.text.replace(/^\$ .*\n/gm, ''));
        return;
      default:
        assert.ok(languages.includes(block.language), `no test checks blocks of ${block.language || 'no language'}`);
    }
  }

  /** There is no Terraform here: brackets match, and every resource is one of OpenStack's provider. */
  function checkHcl(text: string): void {
    for (const [open, close] of ['{}', '[]', '()'].map((pair) => pair.split(''))) {
      assert.equal(text.split(open ?? '').length, text.split(close ?? '').length, `${open} and ${close} do not match`);
    }
    for (const [, type = ''] of text.matchAll(/^resource "(\w+)"/gm)) assert.match(type, /^openstack_/);
  }

  /** The output of `kubectl get` has our columns and our reasons. */
  function checkTable(text: string): void {
    const [head = '', ...rows] = text.split('\n').filter((line) => line.trim() !== '');
    if (!/^(?:NAMESPACE +)?NAME +READY/.test(head)) return;
    const columns = customResourceDefinition().spec.versions[0]?.additionalPrinterColumns.map(({ name }) => name);
    const shown = head.split(/ {2,}/).filter((name) => !/^NAME/.test(name));
    assert.deepEqual(
      shown.filter((name) => !columns?.some((column) => column.toUpperCase() === name)),
      [],
    );
    const at = head.indexOf('REASON');
    for (const row of rows) {
      const [reason = ''] = row.slice(at).split(' ');
      assert.ok(Object.hasOwn(reasons, reason), `there is no reason ${reason}`);
    }
  }

  for (const { file, blocks } of readPages()) {
    if (blocks.length === 0) continue;
    test(`${file}: every block is valid in its language`, async () => {
      for (const block of blocks) {
        await check(block).catch((error: unknown) => {
          throw new Error(`${block.at}: ${error instanceof Error ? error.message : error}\n${block.text}`, {
            cause: error,
          });
        });
      }
    });
  }

  const isTest = (file: string) => file.endsWith('_test.yaml');
  for (const file of globSync('examples/**/*.yaml', { cwd: root, exclude: isTest }).sort()) {
    test(`${file}: the API server accepts every manifest`, async () => {
      const text = readFileSync(join(root, file), 'utf8');
      await check({ at: file, page: file, language: 'yaml', text, heading: '' });
    });
  }

  describe('a wrong one is found', () => {
    const wrong: Record<string, string> = {
      'a language without a check': '```rust\nfn main() {}\n```\n',
      'no language at all': '```\nhello\n```\n',
      'a field that does not exist':
        '```yaml\ncontent:\n  http:\n    url: https://example.com/a\n    digset: sha256:00\n```\n',
      'a kind that does not exist': '```yaml\napiVersion: v1\nkind: Sercet\nmetadata:\n  name: a\n```\n',
      'a value that the chart does not know': '```yaml\n# values.yaml\nreplikas: 2\n```\n',
      'a cloud without credentials': '```yaml\nclouds:\n  demo: {}\n```\n',
      'a reason that does not exist':
        '```text\nNAME   READY   REASON   CLOUD   SIZE   PROGRESS   AGE\na      False   Broken   demo                      3s\n```\n',
      'a plan with a field too few': '```json\n{}\n```\n',
      'a template of machines whose image has both an ID and a name':
        '```yaml\napiVersion: infrastructure.cluster.x-k8s.io/v1beta1\nkind: OpenStackMachineTemplate\nmetadata: { name: a }\nspec: { template: { spec: { flavor: m, image: { id: 6b1fd7a2-27a5-590a-a79f-a615feb2aec1, filter: { name: b } } } } }\n```\n',
      'a Terraform block that is never closed': '```hcl\nremoved {\n  lifecycle {\n}\n```\n',
    };
    for (const [what, page] of Object.entries(wrong)) {
      test(what, async () => {
        const [block] = blocksOf('page.md', page);
        assert.ok(block);
        await assert.rejects(check(block));
      });
    }
  });
});
