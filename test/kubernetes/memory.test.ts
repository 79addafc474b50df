import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { GlanceImage } from '../../src/api/glanceimage.ts';
import { bySecret, glanceImageType } from '../../src/image/access/resources.ts';
import { createStore } from '../../src/kubernetes/reflector.ts';
import { readItem } from '../../src/kubernetes/resource.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { fullStatus } from '../api/full-status.ts';

const objects = 20_000;
const collectGarbage = gcFunction();

function gcFunction(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc');
}

/** A resource as the API server sends it, its ballast included. */
function line(at: number): string {
  const annotation = 'kubectl.kubernetes.io/last-applied-configuration';
  const properties = { os_distro: 'ubuntu', os_version: '24.04', hw_disk_bus: 'virtio', build: String(at) };
  const spec = {
    cloud: { secretRef: { name: 'openstack' }, name: 'demo' },
    image: { name: `image-${at}`, diskFormat: 'qcow2', properties, tags: ['ubuntu', 'lts'] },
  };
  const metadata = {
    name: `image-${at}`,
    namespace: `team-${at % 50}`,
    uid: `6b1fd7a2-0000-5000-8000-${String(at).padStart(12, '0')}`,
    resourceVersion: String(1000 + at),
    generation: 1,
    creationTimestamp: '2026-01-01T00:00:00Z',
    finalizers: ['glance-image-operator.dev/image'],
    annotations: { [annotation]: JSON.stringify(spec).repeat(2) },
    managedFields: [{ manager: 'glance-image-operator', fieldsV1: { padding: 'x'.repeat(1500) } }],
  };
  return JSON.stringify({ metadata, spec, status: fullStatus });
}

test('an object in the cache, its status with every field, takes no more memory than documented', (context) => {
  const store = createStore<GlanceImage>({
    log: silentLogger,
    indexes: { [bySecret]: ({ object }) => [`${object.metadata.namespace}/openstack`] },
  });
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  for (let at = 0; at < objects; at++) {
    const item = readItem(glanceImageType, JSON.parse(line(at)));
    assert.equal(item.kind, 'readable', item.kind === 'unreadable' ? item.problem : '');
    store.handle({ kind: 'applied', item, resourceVersion: item.object.metadata.resourceVersion });
  }
  collectGarbage();
  const each = (process.memoryUsage().heapUsed - before) / objects;
  assert.equal(store.size, objects);
  context.diagnostic(`${(each / 1000).toFixed(2)} kB each in the cache, ${line(1).length} bytes each as JSON`);
  assert.ok(each < 5500, `${each} bytes`);
});
