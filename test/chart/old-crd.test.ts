/** A new operator in a cluster whose CRD is of an earlier version, which has fewer fields. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { stringify } from 'yaml';
import { z } from 'zod';
import { apiVersion, kind, plural } from '../../src/api/group.ts';
import { customResourceDefinition } from '../../src/generate/crd.ts';
import { eventually } from '../env/wait.ts';
import { startOperator } from '../operator/operator.ts';
import { type Cluster, startCluster } from './cluster.ts';

const lacking = ['lastError', 'secretVersion'] as const;

/** Without fields of the status, and without `spec.publish`. */
function earlierCrd(): string {
  const crd = structuredClone(customResourceDefinition());
  for (const version of crd.spec.versions) {
    const { spec, status } = version.schema.openAPIV3Schema.properties ?? {};
    for (const name of lacking) assert.ok(delete status?.properties?.[name]);
    assert.ok(delete spec?.properties?.['publish']);
    if (spec !== undefined) {
      const rules = spec['x-kubernetes-validations'] ?? [];
      spec['x-kubernetes-validations'] = rules.filter(({ rule }) => !rule.includes('publish'));
    }
  }
  return stringify(crd);
}

const path = `/apis/${apiVersion}/namespaces/default/${plural}/image`;
const resourceSchema = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string() }),
  status: z.looseObject({ conditions: z.array(z.looseObject({ type: z.string(), reason: z.string() })).optional() }),
});

describe('a new operator on an earlier CRD', () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await startCluster();
    await cluster.kubernetes.apply(earlierCrd());
    const crd = `crd/${customResourceDefinition().metadata.name}`;
    await cluster.kubernetes.kubectl(['wait', '--for=condition=Established', crd, '--timeout=60s']);
  });
  after(() => cluster.stop());

  const image = async () => (await cluster.kubernetes.request('GET', path)).as(resourceSchema);

  test('the operator names the missing fields, and writes the status without them', async () => {
    const { kubernetes } = cluster;
    // The API server publishes the schema some time after the CRD is established.
    await eventually(
      async () => (await kubernetes.request('GET', `/openapi/v3/apis/${apiVersion}`)).status === 200,
      () => 'there is no schema',
    );
    const spec = { cloud: { secretRef: { name: 'missing' }, name: 'demo' }, image: { name: 'image' } };
    const metadata = { name: 'image', namespace: 'default' };
    await kubernetes.apply(JSON.stringify({ apiVersion, kind, metadata, spec }));
    const flags = ['--leader-elect=false', '--cluster-name=test'];
    const operator = await startOperator({ kubeconfig: kubernetes.kubeconfig(), flags, awaited: 'Synced' });
    try {
      const { status } = await eventually(
        async () => {
          const found = await image();
          return found.status.conditions?.some(({ reason }) => reason === 'SecretNotFound') && found;
        },
        () => `the status was not written:\n${operator.log.join('\n')}`,
      );
      for (const name of lacking) assert.equal(status[name], undefined);
      const line = operator.log.find((each) => each.includes('The CRD is older than this operator'));
      const { missing } = z.looseObject({ missing: z.array(z.string()) }).parse(JSON.parse(line ?? '{}'));
      assert.deepEqual(missing.sort(), ['spec.publish', 'status.lastError', 'status.secretVersion']);
      assert.ok(!operator.log.some((each) => /not declared in schema|rejected the status/.test(each)));
    } finally {
      assert.equal(await operator.stop(), 0, operator.log.join('\n'));
    }
  });
});
