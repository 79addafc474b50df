import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { reconcileAtAnnotation } from '../../src/api/group.ts';
import { createCloudAccess } from '../../src/commands/clouds.ts';
import { readSettings } from '../../src/commands/config.ts';
import { operatorEgress } from '../../src/commands/egress.ts';
import { createImageController } from '../../src/commands/image-controller.ts';
import { createSecretAccess } from '../../src/commands/secrets.ts';
import { runSettings } from '../../src/commands/settings.ts';
import { createTransfers } from '../../src/commands/transfers.ts';
import { createWatch } from '../../src/commands/watches.ts';
import { type Controller, createController } from '../../src/controller/controller.ts';
import { createMetrics } from '../../src/controller/metrics.ts';
import { supervise } from '../../src/controller/supervisor.ts';
import { changed } from '../../src/controller/triggers.ts';
import { createTrust } from '../../src/http/trust.ts';
import { glanceImageType, imageIndexes, imagesIn } from '../../src/image/access/resources.ts';
import { createDomainMetrics } from '../../src/image/metrics/domain.ts';
import { createClient } from '../../src/kubernetes/client.ts';
import { createEventRecorder } from '../../src/kubernetes/events.ts';
import type { ResourceType } from '../../src/kubernetes/resource.ts';
import { createKindResources } from '../../src/kubernetes/resources.ts';
import { createApiTransport } from '../../src/kubernetes/transport.ts';
import { systemClock as clock } from '../../src/lib/clock.ts';
import { silentLogger as log } from '../../src/lib/log.ts';
import { eventually } from '../env/wait.ts';
import { familiesIn, sampleOf } from '../operator/scrape.ts';
import { reasonOf, World } from '../operator/world.ts';

const noteSchema = z.object({
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string(),
    uid: z.string(),
    resourceVersion: z.string(),
    generation: z.int(),
    deletionTimestamp: z.string().optional(),
    annotations: z.record(z.string(), z.string()).optional(),
    finalizers: z.array(z.string()).optional(),
  }),
  spec: z.object({ text: z.string() }),
  status: z.object({ words: z.int() }).optional(),
});
type Note = z.output<typeof noteSchema>;

const group = 'notes.example.com';
const noteType: ResourceType<Note> = {
  group,
  version: 'v1',
  kind: 'Note',
  plural: 'notes',
  parse: (object) => noteSchema.parse(object),
};
const finalizer = `${group}/shelf`;
const annotation = { name: `${group}/shelf`, value: 'seven' };
const open = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
const crd = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `notes.${group}` },
  spec: {
    group,
    scope: 'Namespaced',
    names: { kind: 'Note', plural: 'notes', singular: 'note', listKind: 'NoteList' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: { openAPIV3Schema: { type: 'object', properties: { spec: open, status: open } } },
      },
    ],
  },
};

describe('two controllers in one process', () => {
  const stop = new AbortController();
  const metrics = createMetrics(clock);
  const reconciled: string[] = [];
  /** A note with the text `wait` is reconciled when this is resolved. */
  const gate = Promise.withResolvers<void>();
  let world: World;
  let ended: Promise<unknown>;
  let controllers: Record<'note' | 'image', Controller>;

  before(async () => {
    world = await World.create({ idle: true });
    const { kubernetes } = world.stack;
    await kubernetes.apply(JSON.stringify(crd));
    await kubernetes.kubectl(['wait', '--for=condition=Established', `crd/notes.${group}`, '--timeout=60s']);

    const random = Math.random;
    const connection = { kubeconfig: kubernetes.kubeconfig(), version: 'test', clock, random };
    const transport = createApiTransport(connection);
    const client = createClient(transport);
    const events = createEventRecorder({
      client,
      reportingController: group,
      reportingInstance: '1',
      clock,
      random,
      log,
    });
    const common = { client, metrics, namespaces: [world.namespace], clock, random, log };
    const whenLeading = async () => {};

    const notes = createWatch({ ...common, type: noteType });
    const own = createKindResources({
      client,
      type: noteType,
      store: notes.store,
      finalizer,
      ownAnnotations: [annotation.name],
      events,
      log,
    });
    const note = createController({
      ...common,
      name: 'note',
      workers: 1,
      caches: { notes: notes.store },
      triggers: [changed(notes.store, own.isEcho)],
      async reconcile(key, signal) {
        const object = own.get(key);
        if (object === undefined) return { kind: 'awaitChange' };
        reconciled.push(object.metadata.name);
        if (object.metadata.deletionTimestamp !== undefined) await own.removeFinalizer(object, signal);
        else {
          if (object.spec.text === 'wait') await gate.promise;
          await own.addFinalizer(object, signal, annotation);
          await own.writeStatus(object, { words: object.spec.text.split(' ').length }, signal);
          own.event(object, 'Normal', 'Counted', 'the note was counted');
        }
        return { kind: 'awaitChange' };
      },
    });

    const settings = readSettings(runSettings, ['--workers', '2', '--cloud-allow', '127.0.0.0/8'], {});
    const egress = operatorEgress(settings, []);
    const trust = createTrust();
    const images = createWatch({ ...common, type: glanceImageType, indexes: imageIndexes });
    const secrets = createSecretAccess({ ...common, transport, watched: true, images: images.store, whenLeading });
    const { credentials } = secrets.secrets;
    const domain = createDomainMetrics(metrics.registry, images.store.list, clock);
    const access = createCloudAccess({
      egress: egress.clouds,
      trust,
      mayWrite: () => {},
      credentials,
      cluster: 'two-kinds',
      ...imagesIn(images.store),
      metrics: domain,
      clock,
      random,
    });
    const transfers = createTransfers({
      settings,
      egress,
      trust,
      fence: undefined,
      configMaps: { configMap: async () => undefined },
      credentials,
      observer: domain.transfers,
      clock,
      random,
      log,
    });
    const image = createImageController({
      ...common,
      images: images.store,
      secrets,
      events,
      access,
      transfers,
      workers: settings.workers,
      cluster: 'two-kinds',
      inheritFrom: [],
      whenLeading,
      domain,
    });
    controllers = { note, image };
    const components = [
      { name: 'events', run: events.run },
      notes.component,
      images.component,
      ...secrets.components,
      ...transfers.components,
      image,
      note,
    ];
    ended = supervise(components, { clock, log, drainMs: 10_000 }, stop.signal).finally(async () => {
      await Promise.all([transfers.close(), access.clouds.close(), transport.close()]);
    });
    ended.catch(() => {});
  });

  after(async () => {
    gate.resolve();
    stop.abort(new Error('stop'));
    await ended;
    await world[Symbol.asyncDispose]();
  });

  const path = (name = '') => `/apis/${group}/v1/namespaces/${world.namespace}/notes${name === '' ? '' : `/${name}`}`;

  async function write(name: string, text: string): Promise<void> {
    const body = { apiVersion: `${group}/v1`, kind: 'Note', metadata: { name }, spec: { text } };
    (await world.stack.kubernetes.request('POST', path(), body)).ok();
  }

  async function read(name: string): Promise<Note | undefined> {
    const response = await world.stack.kubernetes.request('GET', path(name));
    return response.status === 404 ? undefined : response.as(noteSchema);
  }

  async function until<T>(what: string, look: () => Promise<T | undefined> | T | undefined): Promise<T> {
    return eventually(look, () => `never: ${what}`);
  }

  const value = async (name: string, labels: Record<string, string>) =>
    sampleOf(familiesIn((await metrics.render()).text), name, labels) ?? 0;

  test('each kind gets its own status, finalizer and Events', async () => {
    await Promise.all([write('first', 'three short words'), world.apply('image', {})]);
    const note = await until('the status of the note', async () => {
      const found = await read('first');
      return found?.status === undefined ? undefined : found;
    });
    assert.deepEqual([note.status?.words, note.metadata.finalizers], [3, [finalizer]]);
    assert.equal(note.metadata.annotations?.[annotation.name], annotation.value);
    const image = await world.ready('image');
    assert.equal(reasonOf(image), 'RecordOnly');
    await until('the Event of the note', async () => (await world.events()).find(({ reason }) => reason === 'Counted'));
  });

  test('each controller has its own metrics and checks', async () => {
    const reconciles = (controller: string) => value('controller_runtime_reconcile_total', { controller });
    assert.deepEqual([(await reconciles('note')) > 0, (await reconciles('glanceimage')) > 0], [true, true]);
    assert.equal(await value('controller_runtime_reconcile_errors_total', { controller: 'note' }), 0);
    const workers = (controller: string) => value('controller_runtime_max_concurrent_reconciles', { controller });
    assert.deepEqual([await workers('note'), await workers('glanceimage')], [1, 2]);
    assert.deepEqual(Object.keys({ ...controllers.note.live, ...controllers.image.live }).sort(), [
      'slow-reconciles-glanceimage',
      'slow-reconciles-note',
      'workers-glanceimage',
      'workers-note',
    ]);
    assert.deepEqual(Object.keys(controllers.note.ready), ['notes']);
    assert.equal(controllers.note.ready['notes']?.(), undefined);
  });

  test('a controller whose only worker is busy delays no other controller', async () => {
    await write('slow', 'wait');
    await until('the reconcile of the slow note', () => (reconciled.includes('slow') ? true : undefined));
    await write('behind', 'one');
    const depth = () => value('workqueue_depth', { controller: 'note', priority: 'fresh' });
    await until('a waiting note', async () => ((await depth()) === 1 ? true : undefined));
    await world.annotate('image', reconcileAtAnnotation, 'now');
    await world.until('image', 'reconciled', ({ status }) => status.lastHandledReconcileAt === 'now');
    assert.deepEqual(
      [await depth(), await value('workqueue_depth', { controller: 'glanceimage', priority: 'fresh' })],
      [1, 0],
    );
    assert.equal(await value('controller_runtime_active_workers', { controller: 'note' }), 1);
    gate.resolve();
    await until('the status of the note behind', async () => (await read('behind'))?.status);
  });

  test('the finalizer goes when the object is deleted', async () => {
    (await world.stack.kubernetes.request('DELETE', path('first'))).ok();
    await until('the end of the note', async () => ((await read('first')) === undefined ? true : undefined));
  });
});
