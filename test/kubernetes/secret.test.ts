import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { KubernetesObject, ResourceType } from '../../src/kubernetes/resource.ts';
import { createSecretReader } from '../../src/kubernetes/secret.ts';
import { neverAborted } from '../../src/lib/abort.ts';

const hosts = 'example.dev/hosts';
const metadata = { name: 'openstack', namespace: 'demo', uid: 'secret-uid', resourceVersion: '1' };
const data = { a: 'MQ==', b: 'Mg==' };

async function versionOf(object: object): Promise<string | undefined> {
  const get = async <T extends KubernetesObject>(type: ResourceType<T>) => type.parse(object);
  const secret = await createSecretReader({ get }, hosts).secret('demo', 'openstack', neverAborted());
  return secret?.version;
}

describe('the version of a Secret', () => {
  test('the version of a Secret changes with its content and with the hosts that it may go to', async () => {
    const version = await versionOf({ metadata, data });
    assert.match(version ?? '', /^[0-9a-f]{16}$/);
    assert.notEqual(await versionOf({ metadata, data: { a: 'MQ==', b: 'Mw==' } }), version);
    assert.notEqual(await versionOf({ metadata, data: { a: 'MQ==', c: 'Mg==' } }), version);
    assert.notEqual(await versionOf({ metadata: { ...metadata, annotations: { [hosts]: 'x' } }, data }), version);
  });

  test('the version of a Secret stays the same when other metadata or the order of keys changes', async () => {
    const version = await versionOf({ metadata, data });
    const touched = { ...metadata, resourceVersion: '2', labels: { touched: 'yes' }, annotations: { other: 'x' } };
    assert.equal(await versionOf({ metadata: touched, data }), version);
    assert.equal(await versionOf({ metadata, data: { b: data.b, a: data.a } }), version);
  });

  test('the version of a Secret depends on its uid, which users without access to the Secret do not know', async () => {
    const other = await versionOf({ metadata: { ...metadata, uid: 'other' }, data });
    assert.notEqual(other, await versionOf({ metadata, data }));
  });
});
