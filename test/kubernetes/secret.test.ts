import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { KubernetesObject, ResourceType } from '../../src/kubernetes/resource.ts';
import { createSecretReader } from '../../src/kubernetes/secret.ts';
import { neverAborted } from '../../src/lib/abort.ts';
import { readHeaders } from '../../src/source/headers.ts';

const hosts = 'example.dev/hosts';
const metadata = { name: 'openstack', namespace: 'demo', uid: 'secret-uid', resourceVersion: '1' };
const data = { a: 'MQ==', b: 'Mg==' };

async function versionOf(object: object): Promise<string | undefined> {
  return (await secretOf(object))?.version;
}

async function secretOf(object: object) {
  const get = async <T extends KubernetesObject>(type: ResourceType<T>) => type.parse(object);
  return createSecretReader({ get }, hosts).secret('demo', 'openstack', neverAborted());
}

test('a Secret keeps values under names that every object of JavaScript has', async () => {
  const named: object = JSON.parse('{"__proto__": "MQ==", "constructor": "Mg==", "toString": "Mw=="}');
  const secret = await secretOf({ metadata, data: named });
  const values = [...(secret?.data ?? [])].map(([name, value]) => [name, value.reveal()]);
  assert.deepEqual(values, [
    ['__proto__', '1'],
    ['constructor', '2'],
    ['toString', '3'],
  ]);
  const headers = readHeaders(Object.fromEntries(values));
  assert.deepEqual(Object.keys(headers), ['__proto__', 'constructor', 'tostring']);
});

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
