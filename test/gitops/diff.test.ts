/**
 * How GitOps tools compare.
 *
 * Invariant: applying a manifest again shows no difference, whatever the operator has written in the meantime, so
 * `ignoreDifferences` is not needed.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { stringify } from 'yaml';
import { z } from 'zod';
import { apiVersion, kind } from '../../src/api/group.ts';
import { raw } from '../env/images.ts';
import { digestOf } from '../operator/digest.ts';
import { World } from '../operator/world.ts';

const metadataSchema = z.looseObject({
  finalizers: z.array(z.string()).optional(),
  managedFields: z.unknown().optional(),
});
/** All of it but who manages which field, and since when. */
const objectSchema = z
  .looseObject({ metadata: metadataSchema, status: z.unknown() })
  .transform(({ metadata, ...rest }) => ({ ...rest, metadata: { ...metadata, managedFields: undefined } }));

describe('a manifest that is applied again', () => {
  let world: World;
  let manifest: string;
  before(async () => {
    world = await World.create();
    const body = raw(64 * 1024);
    const http = { url: world.source.add('/image.raw', { body }), digest: digestOf(body) };
    const spec = {
      cloud: { secretRef: { name: 'openstack' }, name: 'demo' },
      // Not as the API server would write it: defaults left out and given, a list out of order, values of every kind.
      image: {
        diskFormat: 'raw',
        visibility: 'private',
        minDiskGiB: 3,
        tags: ['b', 'a'],
        properties: { text: 'x', number: 1.5, yes: true, list: [2, 1], nested: { deep: { er: null } } },
      },
      interval: '90m',
      content: { http },
    };
    manifest = stringify({ apiVersion, kind, metadata: { name: 'image', namespace: world.namespace }, spec });
  });
  after(() => world[Symbol.asyncDispose]());

  async function apply(manager: string, ...flags: string[]) {
    const args = ['apply', '--server-side', `--field-manager=${manager}`, '-f', '-', '-o', 'json', ...flags];
    const { code, stdout, stderr } = await world.stack.kubernetes.kubectl(args, { input: manifest });
    assert.equal(code, 0, stderr);
    return objectSchema.parse(JSON.parse(stdout));
  }

  async function diff(...flags: string[]) {
    return world.stack.kubernetes.kubectl(['diff', ...flags, '-f', '-'], { input: manifest });
  }

  test('a manifest applied again server-side equals the live object, as Argo CD compares with ServerSideDiff', async () => {
    await apply('argocd-controller');
    await world.ready('image');
    const live = await apply('argocd-controller');
    assert.deepEqual(await apply('argocd-controller', '--dry-run=server'), live);
    assert.equal((await diff('--server-side', '--field-manager=argocd-controller')).stdout, '');
  });

  test('a manifest applied again keeps the finalizer, the status and the defaults', async () => {
    const { metadata, status } = await apply('kustomize-controller', '--dry-run=server');
    assert.deepEqual(metadata.finalizers, ['glance-image-operator.dev/image']);
    assert.ok(status);
  });

  test('a manifest applied again client-side shows no difference', async () => {
    await world.stack.kubernetes.apply(manifest);
    const { code, stdout } = await diff();
    assert.equal(stdout, '');
    assert.equal(code, 0);
  });

  test('a manual edit of a declared field shows as a difference', async () => {
    const args = ['patch', 'gimg', 'image', '--type=merge', '-p', '{"spec":{"image":{"minDiskGiB":4}}}'];
    const { code, stderr } = await world.stack.kubernetes.kubectl(args, { namespace: world.namespace });
    assert.equal(code, 0, stderr);
    assert.match((await diff('--server-side', '--force-conflicts')).stdout, /-\s+minDiskGiB: 4\n\+\s+minDiskGiB: 3/);
  });
});
