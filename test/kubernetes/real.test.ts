import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { createClient, type KubernetesClient, type ListPage } from '../../src/kubernetes/client.ts';
import { isConflict, isNotFound, KubernetesError, needsRelist } from '../../src/kubernetes/errors.ts';
import { createEventRecorder } from '../../src/kubernetes/events.ts';
import { addFinalizer, removeFinalizer } from '../../src/kubernetes/finalizer.ts';
import { createStore, runReflector } from '../../src/kubernetes/reflector.ts';
import { type Item, type KubernetesObject, parseObject, type ResourceType } from '../../src/kubernetes/resource.ts';
import { secretMetadataType, secretType } from '../../src/kubernetes/secret.ts';
import { type ApiTransport, createApiTransport } from '../../src/kubernetes/transport.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { countByVerb } from '../env/audit.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { never } from './server.ts';

const configMapType: ResourceType<KubernetesObject> = {
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  parse: parseObject,
};
/** The only type here that has a status. */
const serviceType: ResourceType<KubernetesObject> = { ...configMapType, kind: 'Service', plural: 'services' };
const ours = 'example.com/ours';
const foreign = 'example.com/foreign';
const common = { clock: systemClock, random: Math.random };

let stack: Stack;
let transport: ApiTransport;
let client: KubernetesClient;
let namespace: string;

before(async () => {
  stack = await connectStack();
  transport = createApiTransport({ kubeconfig: stack.kubernetes.kubeconfig(), version: 'test', ...common });
  client = createClient(transport);
  namespace = await stack.kubernetes.createNamespace('client');
});

after(async () => {
  await transport?.close();
  await stack?.stop();
});

function create(name: string, finalizers: string[] = []): Promise<KubernetesObject> {
  const metadata = { name, namespace, finalizers };
  return client.create(configMapType, { metadata }, never);
}
const get = (name: string) => client.get(configMapType, { namespace, name }, never);
const createService = (name: string) =>
  client.create(
    serviceType,
    { metadata: { name, namespace }, spec: { type: 'LoadBalancer', ports: [{ port: 80 }] } },
    never,
  );
const applyStatus = ({ metadata: { name, uid } }: KubernetesObject) => {
  const status = { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } };
  return client.applyStatus(serviceType, { metadata: { name, namespace, uid }, status }, never);
};
const remove = ({ metadata: { name } }: KubernetesObject, plural = 'configmaps') =>
  transport.request({ method: 'DELETE', path: `/api/v1/namespaces/${namespace}/${plural}/${name}` }, never);

async function listAll<T extends KubernetesObject>(type: ResourceType<T>): Promise<Item<T>[]> {
  const items: Item<T>[] = [];
  let page: ListPage<T> | undefined;
  do {
    page = await client.listPage(type, { namespace }, page?.continueToken, never);
    items.push(...page.items);
  } while (page.continueToken !== undefined);
  return items;
}

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 20) {
    if (waited > 10_000) throw new Error(`${what} did not come to pass`);
    await sleep(20);
  }
}

test('a finalizer is added to an object without any and next to a foreign one, and removed without touching it', async () => {
  const bare = await create('bare');
  const first = await addFinalizer(client, configMapType, bare, ours, never);
  assert.deepEqual(first?.metadata.finalizers, [ours]);
  const shared = await create('shared', [foreign]);
  const both = await addFinalizer(client, configMapType, shared, ours, never);
  assert.deepEqual(both?.metadata.finalizers, [foreign, ours]);
  assert.ok(both);
  await removeFinalizer(client, configMapType, both, ours, never);
  assert.deepEqual((await get('shared'))?.metadata.finalizers, [foreign]);
});

test('a finalizer is added and removed from a stale copy without losing what others did meanwhile', async () => {
  const stale = await create('stale');
  await addFinalizer(client, configMapType, stale, foreign, never);
  const added = await addFinalizer(client, configMapType, stale, ours, never);
  assert.deepEqual(added?.metadata.finalizers, [foreign, ours]);
  assert.ok(added);
  await removeFinalizer(client, configMapType, added, foreign, never);
  await removeFinalizer(client, configMapType, added, ours, never);
  assert.equal((await get('stale'))?.metadata.finalizers, undefined);
});

test('our finalizer holds a deleted object until it is removed; then and later removal is success', async () => {
  const object = await addFinalizer(client, configMapType, await create('held'), ours, never);
  assert.ok(object);
  await remove(object);
  const held = await get('held');
  assert.ok(held?.metadata.deletionTimestamp);
  assert.equal(await addFinalizer(client, configMapType, object, foreign, never), undefined);
  await removeFinalizer(client, configMapType, held, ours, never);
  assert.equal(await get('held'), undefined);
  await removeFinalizer(client, configMapType, held, ours, never);
});

test('a finalizer neither recreates a deleted object nor changes a new object of the same name', async () => {
  const first = await create('ghost');
  await remove(first);
  assert.equal(await addFinalizer(client, configMapType, first, ours, never), undefined);
  assert.equal(await get('ghost'), undefined);
  const second = await create('ghost');
  assert.equal(await addFinalizer(client, configMapType, first, ours, never), undefined);
  assert.equal((await get('ghost'))?.metadata.resourceVersion, second.metadata.resourceVersion);
});

test('an apply to the status neither recreates a deleted object nor changes a new object of the same name', async () => {
  const getService = () => client.get(serviceType, { namespace, name: 'ghost-service' }, never);
  const first = await createService('ghost-service');
  await remove(first, 'services');
  await assert.rejects(applyStatus(first), (error) => isConflict(error) || isNotFound(error));
  assert.equal(await getService(), undefined);
  const second = await createService('ghost-service');
  await assert.rejects(applyStatus(first), isConflict);
  assert.equal((await getService())?.metadata.resourceVersion, second.metadata.resourceVersion);
});

test('an apply to the status that changes nothing writes nothing', async () => {
  const service = await createService('silent');
  const first = await applyStatus(service);
  assert.notEqual(first.metadata.resourceVersion, service.metadata.resourceVersion);
  assert.equal((await applyStatus(service)).metadata.resourceVersion, first.metadata.resourceVersion);
});

test('a list of more than one page is complete, and a store follows what happens after it', async () => {
  const names = Array.from({ length: 620 }, (_, i) => `page-${i}`);
  for (let at = 0; at < names.length; at += 20) await Promise.all(names.slice(at, at + 20).map((name) => create(name)));
  const items = await listAll(configMapType);
  const listed = new Set(items.map((item) => item.object.metadata.name));
  assert.deepEqual(
    names.filter((name) => !listed.has(name)),
    [],
  );
  const user = await stack.kubernetes.claimUser('operator');
  const observed = createApiTransport({ kubeconfig: stack.kubernetes.kubeconfig(user), version: 'test', ...common });
  const mark = await stack.kubernetes.audit.mark();
  const store = createStore<KubernetesObject>({ namespaces: [namespace], log: silentLogger });
  const signal = new AbortController();
  let connected = false;
  const onProgress = ({ kind }: { kind: string }) => {
    connected ||= kind === 'connected';
  };
  const following = createClient(observed);
  const options = { client: following, type: configMapType, store, log: silentLogger, onProgress, ...common };
  const ended = runReflector(options, signal.signal);
  await store.whenSynced(never);
  assert.ok(store.size >= 620);
  await until('an open watch', () => connected);
  const late = await create('late');
  await until('the new object', () => store.get(`${namespace}/late`) !== undefined);
  await addFinalizer(client, configMapType, late, ours, never);
  const finalizers = () => store.get(`${namespace}/late`)?.object.metadata.finalizers;
  await until('the change', () => finalizers()?.includes(ours) === true);
  await removeFinalizer(
    client,
    configMapType,
    { ...late, metadata: { ...late.metadata, finalizers: [ours] } },
    ours,
    never,
  );
  await remove(late);
  await until('the deletion', () => store.get(`${namespace}/late`) === undefined);
  signal.abort(new Error('over'));
  await assert.rejects(ended, /over/);
  await observed.close();
  // This server offers streaming lists, so no other request was sent.
  assert.deepEqual(countByVerb(await stack.kubernetes.audit.read(user, mark)), { 'watch configmaps': 1 });
});

test('a continue token that the server does not take asks for a new list', async () => {
  await assert.rejects(client.listPage(configMapType, { namespace }, 'not-a-token', never), needsRelist);
});

test('a list of Secrets requests only metadata, and a single Secret is read live', async () => {
  const data = { password: Buffer.from('hunter2').toString('base64') };
  await client.create(secretType, { metadata: { name: 'cloud', namespace }, data }, never);
  const raw = await transport.request(
    {
      method: 'GET',
      path: `/api/v1/namespaces/${namespace}/secrets`,
      headers: { accept: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1' },
    },
    never,
  );
  assert.ok(!JSON.stringify(raw).includes(data.password));
  const items = await listAll(secretMetadataType);
  assert.deepEqual(
    items.map((item) => [item.kind, item.object.metadata.name]),
    [['readable', 'cloud']],
  );
  const live = await client.get(secretType, { namespace, name: 'cloud' }, never);
  assert.equal(live?.data.get('password')?.reveal(), 'hunter2');
});

test('a streaming list yields the same objects as a list, also for metadata', async () => {
  for (const type of [configMapType, secretMetadataType]) {
    const streamed: string[] = [];
    for await (const event of client.watch(type, { namespace }, { timeoutSeconds: 240 }, never)) {
      if (event.kind === 'bookmark' && event.endsList) break;
      if (event.kind === 'applied') streamed.push(event.item.object.metadata.name);
    }
    const items = await listAll(type);
    assert.deepEqual(streamed.sort(), items.map((item) => item.object.metadata.name).sort());
    assert.ok(streamed.length > 0);
  }
});

test('events are accepted, and repeats become a series', async () => {
  const { metadata } = await create('eventful');
  const recorder = createEventRecorder({
    client,
    reportingController: 'glance-image-operator',
    reportingInstance: 'test',
    log: silentLogger,
    ...common,
  });
  const stop = new AbortController();
  const ended = recorder.run(stop.signal, never);
  const regarding = { apiVersion: 'v1', kind: 'ConfigMap', metadata };
  const event = { type: 'Warning', reason: 'QuotaExceeded', action: 'Upload', note: 'é'.repeat(2000) } as const;
  const eventsSchema = z.object({
    items: z.array(z.looseObject({ series: z.object({ count: z.int() }).optional(), reason: z.string() })),
  });
  // The API server records Events of its own about the Services of other tests.
  const query = { fieldSelector: 'reportingController=glance-image-operator' };
  const path = `/apis/events.k8s.io/v1/namespaces/${namespace}/events`;
  const read = async () => eventsSchema.parse(await transport.request({ method: 'GET', path, query }, never)).items;
  recorder.record(regarding, event);
  while ((await read()).length === 0) await sleep(20);
  recorder.record(regarding, event);
  recorder.record(regarding, event);
  stop.abort();
  await ended;
  assert.deepEqual(
    (await read()).map(({ reason, series }) => [reason, series?.count]),
    [['QuotaExceeded', 3]],
  );
});

test('a request without permission is reported with the message and the audit id of the server', async (t) => {
  const user = await stack.kubernetes.claimUser('tenant');
  const other = createApiTransport({ kubeconfig: stack.kubernetes.kubeconfig(user), version: 'test', ...common });
  t.after(() => other.close());
  await assert.rejects(createClient(other).listPage(configMapType, { namespace }, undefined, never), (error) => {
    assert.ok(error instanceof KubernetesError);
    assert.deepEqual([error.code, error.reason], ['KubernetesFailed', 'Forbidden']);
    assert.match(error.message, new RegExp(`"${user}" cannot list resource "configmaps"`));
    assert.match(error.requestId ?? '', /^[0-9a-f-]{36}$/);
    return true;
  });
});

test('a missing kind is distinguished from a missing object', async () => {
  const unknown = { ...configMapType, group: 'example.com', kind: 'Nothing', plural: 'nothings' };
  await assert.rejects(client.get(unknown, { namespace, name: 'a' }, never), /CustomResourceDefinition/);
  assert.equal(await get('does-not-exist'), undefined);
});
