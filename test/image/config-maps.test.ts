/** ConfigMaps in a server in memory that other clients change at the same moment. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { createConfigMaps } from '../../src/image/perform/config-maps.ts';
import type { KubernetesClient } from '../../src/kubernetes/client.ts';
import { KubernetesError } from '../../src/kubernetes/errors.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { resourceOf } from './resource.ts';

const { signal } = new AbortController();
const resource = resourceOf();
const { uid } = resource.metadata;
const owner = { apiVersion: 'glance-image-operator.dev/v1alpha1', kind: 'GlanceImage', name: 'ubuntu', uid };
const data = { imageID: 'a' };
const rejection = (httpStatus: number, reason: string) => new KubernetesError(reason, { reason, httpStatus });

const texts = z.record(z.string(), z.string());

interface Held {
  metadata: { name: string; namespace: string; uid: string; resourceVersion: string; [field: string]: unknown };
  data?: Record<string, string>;
}

/** `disturb`: runs before each write, as another client does. */
function server(held: Held | undefined, disturb: (held: Held | undefined) => Held | undefined = (same) => same) {
  const calls: string[] = [];
  let at = held;
  let version = 10;
  const next = () => String(++version);
  const write = (call: string) => {
    calls.push(call);
    at = disturb(at);
  };
  const client: Pick<KubernetesClient, 'get' | 'create' | 'jsonPatch' | 'delete'> = {
    async get(type) {
      calls.push('get');
      return at === undefined ? undefined : type.parse(at);
    },
    async create(type, object) {
      write('create');
      if (at !== undefined) throw rejection(409, 'AlreadyExists');
      const metadata = { ...object.metadata, namespace: 'demo', uid: 'u', resourceVersion: next() };
      at = { metadata, data: texts.parse(object['data']) };
      return type.parse(at);
    },
    async jsonPatch(type, _, operations) {
      write('patch');
      if (at === undefined) throw rejection(404, 'NotFound');
      const values = new Map(
        operations.map((one) => [`${one.op} ${one.path}`, 'value' in one ? one.value : undefined]),
      );
      if (values.get('test /metadata/resourceVersion') !== at.metadata.resourceVersion) throw rejection(422, 'Invalid');
      const labels = values.get('add /metadata/labels');
      const ownerReferences = values.get('add /metadata/ownerReferences');
      const metadata = { ...at.metadata, resourceVersion: next(), labels, ownerReferences };
      at = { metadata, data: texts.parse(values.get('add /data')) };
      return type.parse(at);
    },
    async delete(_, { metadata }) {
      write('delete');
      if (at === undefined) throw rejection(404, 'NotFound');
      if (metadata.resourceVersion !== at.metadata.resourceVersion) throw rejection(409, 'Conflict');
      at = undefined;
    },
  };
  return { own: createConfigMaps(client).of(resource), calls, held: () => at, next };
}

const existing = (metadata: object = {}): Held => ({
  metadata: {
    name: 'images',
    namespace: 'demo',
    uid: 'u',
    resourceVersion: '1',
    ownerReferences: [owner],
    ...metadata,
  },
  data: { imageID: 'old' },
});

function once(change: (held: Held | undefined) => Held | undefined) {
  let isDone = false;
  return (held: Held | undefined) => {
    if (isDone) return held;
    isDone = true;
    return change(held);
  };
}

describe('the ConfigMap of a resource', () => {
  test('a ConfigMap is created with its labels and its owner', async () => {
    const { own, calls, held } = server(undefined);
    await own.write('images', data, signal);
    assert.deepEqual(calls, ['get', 'create']);
    assert.deepEqual(held()?.metadata['ownerReferences'], [owner]);
    assert.deepEqual(await own.read('images', signal), { kind: 'own', data, isMarked: true });
  });

  test('a ConfigMap keeps the labels and the owners that others have given it', async () => {
    const other = { apiVersion: 'v1', kind: 'Secret', name: 'x', uid: 'y' };
    const { own, held } = server(existing({ labels: { mine: 'yes' }, ownerReferences: [other, owner] }));
    await own.write('images', data, signal);
    assert.partialDeepStrictEqual(held()?.metadata, { labels: { mine: 'yes' }, ownerReferences: [other, owner] });
  });

  test('a ConfigMap that names an earlier resource of the same name, as a backup does, is taken over', async () => {
    const { own, held } = server(existing({ ownerReferences: [{ ...owner, uid: 'before' }] }));
    assert.partialDeepStrictEqual(await own.read('images', signal), { kind: 'own', isMarked: false });
    await own.write('images', data, signal);
    assert.deepEqual(held()?.metadata['ownerReferences'], [owner]);
  });

  test('a ConfigMap that another client changes at the same moment is written in its new version', async () => {
    const edited = (held: Held | undefined) =>
      held && { ...held, metadata: { ...held.metadata, resourceVersion: '2', labels: { mine: 'yes' } } };
    const { own, calls, held } = server(existing(), once(edited));
    await own.write('images', data, signal);
    assert.deepEqual(calls, ['get', 'patch', 'get', 'patch']);
    assert.partialDeepStrictEqual(held(), { data, metadata: { labels: { mine: 'yes' } } });
  });

  test('a ConfigMap that another client creates at the same moment is left as it is', async () => {
    const foreign = existing({ ownerReferences: [] });
    const { own, held } = server(
      undefined,
      once(() => foreign),
    );
    await assert.rejects(own.write('images', data, signal), (error: unknown) => {
      return error instanceof OperatorError && error.code === 'ConfigMapNotOwned';
    });
    assert.deepEqual(held(), foreign);
  });

  test('a ConfigMap that goes at the same moment is created again, and counts as deleted', async () => {
    const written = server(
      existing(),
      once(() => undefined),
    );
    await written.own.write('images', data, signal);
    assert.deepEqual(written.held()?.data, data);
    const removed = server(
      existing(),
      once(() => undefined),
    );
    await removed.own.remove('images', signal);
    assert.deepEqual(removed.calls, ['get', 'delete', 'get']);
  });

  test('a ConfigMap that becomes that of another owner is not deleted', async () => {
    const given = (held: Held | undefined) =>
      held && { ...held, metadata: { ...held.metadata, resourceVersion: '2', ownerReferences: [] } };
    const { own, held } = server(existing(), once(given));
    await own.remove('images', signal);
    assert.notEqual(held(), undefined);
  });

  test('a write that the API server rejects in the version that is there is not repeated', async () => {
    const { own, calls } = server(existing(), () => {
      throw rejection(422, 'Invalid');
    });
    await assert.rejects(own.write('images', data, signal), { code: 'KubernetesRejected' });
    assert.deepEqual(calls, ['get', 'patch', 'get']);
  });

  test('a ConfigMap that is changed each time is given up after a few tries', async () => {
    let version = 100;
    const { own, calls } = server(
      existing(),
      (held) => held && { ...held, metadata: { ...held.metadata, resourceVersion: String(++version) } },
    );
    await assert.rejects(own.write('images', data, signal));
    assert.ok(calls.length <= 10, calls.join());
  });

  test('a missing right is reported with the value of the chart that gives it', async () => {
    const { own } = server(undefined, () => {
      throw rejection(403, 'Forbidden');
    });
    await assert.rejects(own.write('images', data, signal), { code: 'PublishForbidden', message: /publish\.enabled/ });
  });
});
