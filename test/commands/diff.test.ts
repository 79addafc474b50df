/** The command diff where the image cannot be compared. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { diffCommand } from '../../src/commands/diff.ts';
import { json, startServer, status, writeKubeconfig } from '../kubernetes/server.ts';
import { surroundings } from './surroundings.ts';

const digestFrom = { checksums: { url: 'http://127.0.0.1:9/SHA256SUMS' } };

/** The cluster has no Secret, and the server of the list is a loopback address, which is not allowed. */
async function run(t: TestContext, spec: object, metadata: object = {}) {
  const object = {
    apiVersion: 'glance-image-operator.dev/v1alpha1',
    kind: 'GlanceImage',
    metadata: {
      name: 'ubuntu',
      namespace: 'images',
      uid: 'c0ffee00-1234-4234-8234-123456789abc',
      resourceVersion: '1',
      generation: 1,
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...metadata,
    },
    spec: { cloud: { secretRef: { name: 'openstack' }, name: 'demo' }, ...spec },
  };
  const server = await startServer(t, (response, request) => {
    const path = request.url ?? '';
    if (path.endsWith('/glanceimages/ubuntu')) json(200, object)(response, request);
    else status(404, 'NotFound', 'not found')(response, request);
  });
  const kubeconfig = await writeKubeconfig(t, server.url, { token: 'token' });
  const around = surroundings();
  const flags = ['--kubeconfig', kubeconfig, '--cluster-name', 'c'];
  const code = await diffCommand.run(['ubuntu', '--namespace', 'images', ...flags], () => around);
  return { code, out: around.output(), err: around.errors() };
}

test('a resource that is not compared is an error with the reason, and never reported as equal', async (t) => {
  for (const [spec, metadata, problem] of [
    [{ suspend: true, image: {} }, {}, /openstack/],
    [
      { image: { diskFormat: 'raw' }, content: { http: { url: 'http://127.0.0.1:9/a.raw', digestFrom } } },
      {},
      /127\.0\.0\.1/,
    ],
    [{ managementPolicy: 'Observe', import: { id: '00000000-0000-4000-8000-000000000001' } }, {}, /openstack/],
    [{ image: {} }, { deletionTimestamp: '2026-01-02T00:00:00Z' }, /ubuntu cannot be compared: it is being deleted/],
  ] as const) {
    const { code, out, err } = await run(t, spec, metadata);
    assert.deepEqual([code, out], [1, ''], err);
    assert.match(err, problem);
  }
});
