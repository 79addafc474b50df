/** A status of the API server that this process has not seen, because its cache is old or another leader wrote it, is not replaced. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type GlanceImage, parseGlanceImage } from '../../src/api/glanceimage.ts';
import { apiVersion, finalizer, kind, plural } from '../../src/api/group.ts';
import type { GlanceImageStatus } from '../../src/api/status.ts';
import { createResources, glanceImageType, type Resources } from '../../src/image/access/resources.ts';
import { createClient, type KubernetesClient } from '../../src/kubernetes/client.ts';
import { createStore } from '../../src/kubernetes/reflector.ts';
import { type ApiTransport, createApiTransport } from '../../src/kubernetes/transport.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { cloud } from '../api/declarations.ts';
import { installCrd } from '../env/crd.ts';
import { type FaultProxy, startProxy } from '../env/proxy.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { never } from '../kubernetes/server.ts';

let stack: Stack;
let proxy: FaultProxy;
let transport: ApiTransport;
let client: KubernetesClient;
let namespace: string;

before(async () => {
  stack = await connectStack();
  const { kubernetes } = stack;
  proxy = await startProxy({ url: kubernetes.server, ca: kubernetes.caPem });
  const kubeconfig = kubernetes.kubeconfig('admin', { server: proxy.url });
  transport = createApiTransport({ kubeconfig, version: 'test', clock: systemClock, random: Math.random });
  client = createClient(transport);
  await installCrd(kubernetes);
  namespace = await kubernetes.createNamespace('status');
});

after(async () => {
  await transport?.close();
  await proxy?.[Symbol.asyncDispose]();
  await stack?.kubernetes.request('DELETE', `/api/v1/namespaces/${namespace}`);
  await stack?.stop();
});

async function create(name: string): Promise<GlanceImage> {
  const path = `/apis/${apiVersion}/namespaces/${namespace}/${plural}`;
  const body = { apiVersion, kind, metadata: { name, namespace }, spec: { cloud } };
  return parseGlanceImage((await stack.kubernetes.request('POST', path, body)).ok().json);
}

/** Of one process. */
function newResources(): Resources {
  return createResources({
    client,
    images: createStore<GlanceImage>({ log: silentLogger }),
    secrets: { lastVersion: () => undefined, currentVersion: () => undefined },
    events: { record() {}, async run() {} },
    log: silentLogger,
  });
}

async function stored(name: string): Promise<GlanceImage> {
  return (await client.get(glanceImageType, { name, namespace }, never)) ?? assert.fail(`${name} is gone`);
}

const first: GlanceImageStatus = {
  observedGeneration: 1,
  imageID: '11111111-1111-5111-8111-111111111111',
  operation: { version: 1, note: 'kept' },
};
const second: GlanceImageStatus = { observedGeneration: 1, size: '1 MiB' };

test('a new leader with an old cache does not remove what the earlier leader has written into the status', async () => {
  const old = await create('leaders');
  assert.equal(await newResources().writeStatus(old, first, never), 'written');
  const later = newResources();
  assert.equal(await later.writeStatus(old, second, never), 'outdated');
  assert.deepEqual((await stored('leaders')).status, first);
  assert.equal(await later.writeStatus(await stored('leaders'), second, never), 'written');
  assert.deepEqual((await stored('leaders')).status, second);
});

test('a status is written although another client has changed the spec or the metadata meanwhile', async () => {
  const old = await create('edited');
  const { code, stderr } = await stack.kubernetes.kubectl(['annotate', 'gimg', 'edited', 'example.com/a=b'], {
    namespace,
  });
  assert.equal(code, 0, stderr);
  assert.equal(await newResources().writeStatus(old, first, never), 'written');
  assert.deepEqual((await stored('edited')).status, first);
});

test('a finalizer that is added in the same reconcile does not prevent its status', async () => {
  const old = await create('guarded');
  const resources = newResources();
  assert.equal(await resources.addFinalizer(old, '0'.repeat(32), never), true);
  assert.equal(await resources.writeStatus(old, first, never), 'written');
  assert.deepEqual((await stored('guarded')).metadata.finalizers, [finalizer]);
});

test('a finalizer that is added from an old cache does not make the status of an earlier leader replaceable', async () => {
  const old = await create('guarded-late');
  assert.equal(await newResources().writeStatus(old, first, never), 'written');
  const later = newResources();
  assert.equal(await later.addFinalizer(old, '0'.repeat(32), never), true);
  assert.equal(await later.writeStatus(old, second, never), 'outdated');
  assert.deepEqual((await stored('guarded-late')).status, first);
});

test('a status whose first write had its response lost counts as written', async () => {
  const old = await create('lost');
  const isStatus = ({ method, path }: { method: string; path: string }) =>
    method === 'PATCH' && path.includes('/lost/status');
  proxy.on({ matches: isStatus, fault: { kind: 'loseAnswer' }, times: 1 });
  assert.equal(await newResources().writeStatus(old, first, never), 'written');
  assert.deepEqual((await stored('lost')).status, first);
});

test('the status of a resource that was deleted and created again is left alone', async () => {
  const old = await create('twice');
  const path = `/apis/${apiVersion}/namespaces/${namespace}/${plural}/twice`;
  (await stack.kubernetes.request('DELETE', path)).ok();
  const resources = newResources();
  assert.equal(await resources.writeStatus(old, first, never), 'gone');
  const again = await create('twice');
  assert.equal(await resources.writeStatus(old, first, never), 'gone');
  assert.deepEqual((await stored('twice')).status, again.status);
});
