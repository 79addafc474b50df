/**
 * `glance-operator run`: the controller. Law: this is the only place that builds the parts and joins them; the parts know
 * each other by what they are given here.
 */
import type { GlanceImage } from '../api/glanceimage.ts';
import { createBackoff } from '../controller/backoff.ts';
import { createHealthServer } from '../controller/health.ts';
import { createHeartbeat, createLoopMonitor, stuckWorkers } from '../controller/liveness.ts';
import { createMetrics } from '../controller/metrics.ts';
import { createQueue } from '../controller/queue.ts';
import { type Component, supervise } from '../controller/supervisor.ts';
import { createWorkers } from '../controller/workers.ts';
import { createClouds } from '../image/clouds.ts';
import { createReconciler } from '../image/reconcile.ts';
import { bySecret, createResources, glanceImageType, secretKeyOf } from '../image/resources.ts';
import { createClient, type KubernetesClient } from '../kubernetes/client.ts';
import { createEventRecorder } from '../kubernetes/events.ts';
import { follow } from '../kubernetes/follow.ts';
import { type KubernetesObject, keyOfObject, parseObject } from '../kubernetes/resource.ts';
import { secretMetadataType } from '../kubernetes/secret.ts';
import { createStore } from '../kubernetes/store.ts';
import { createTransport } from '../kubernetes/transport.ts';
import { type Clock, systemClock } from '../lib/clock.ts';
import { helpOf, readSettings } from '../lib/config.ts';
import { createEgressPolicy, type EgressPolicy, guardConnector } from '../lib/egress.ts';
import { OperatorError, retry } from '../lib/errors.ts';
import { createLogger, type Logger } from '../lib/log.ts';
import { userAgent, version } from '../lib/version.ts';
import type { CloudConfig } from '../openstack/clouds.ts';
import { createSession } from '../openstack/session.ts';
import { createTransport as createCloudTransport } from '../openstack/transport.ts';
import { createSourceTransport } from '../source/transport.ts';
import { runTransfer } from '../transfer/engine.ts';
import { createScheduler } from '../transfer/scheduler.ts';
import { createSourceOpener } from '../transfer/sources.ts';
import { type RunSettings, runSettings } from './settings.ts';

export const runHelp = helpOf(runSettings);

/** A watch reconnects at the latest after about five minutes; three times that without a sign means that it is dead. */
const watchSilenceMs = 15 * 60_000;
/** A reconcile is cancelled after two minutes; one that ignores that is stuck. */
const stuckReconcileMs = 10 * 60_000;
const loopLagMs = 5_000;

export async function run(args: string[]): Promise<void> {
  const settings = readSettings(runSettings, args, process.env);
  const log = createLogger(settings.logLevel);
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      log.info({ signal }, 'Stopping');
      stop.abort(new Error(`stopped by ${signal}`));
    });
  }
  await operate(settings, log, systemClock, stop.signal);
  log.info('Stopped');
}

async function operate(settings: RunSettings, log: Logger, clock: Clock, signal: AbortSignal): Promise<void> {
  const random = Math.random;
  const metrics = createMetrics({ controller: 'glanceimage', workerCount: settings.workers, clock });
  const kubeconfig = settings.kubeconfig === undefined ? {} : { kubeconfig: settings.kubeconfig };
  const transport = createTransport({ ...kubeconfig, version, clock, random, observe: metrics.request });
  const client = createClient(transport);
  const cluster = settings.clusterName ?? (await uidOfCluster(client, signal));

  const egress = createEgressPolicy({
    allow: settings.sourceAllow,
    deny: [...settings.sourceDeny, ...apiServerHost(transport.server)],
  });
  const clouds = createClouds({ client, clock, createSession: (cloud) => sessionOf(cloud, egress, clock) });
  const queue = createQueue(clock, metrics.queue);
  metrics.observeQueue(queue);

  const events = createEventRecorder({
    client,
    reportingController: 'glance-operator.dev/glance-operator',
    reportingInstance: process.env['HOSTNAME'] ?? 'glance-operator',
    clock,
    random,
    log,
  });
  const scope = settings.namespaces.length === 0 ? {} : { namespaces: settings.namespaces };
  const secrets = createStore<KubernetesObject>({
    ...scope,
    log,
    onChange: (change) => {
      const key = keyOfObject((change.kind === 'deleted' ? change.before : change.after).object);
      for (const user of images.findBy(bySecret, key)) queue.add(keyOfObject(user.object));
    },
  });
  const images = createStore<GlanceImage>({
    ...scope,
    log,
    indexes: { [bySecret]: (item) => (item.kind === 'readable' ? [secretKeyOf(item.object)] : []) },
    onChange: (change) => {
      if (!resources.isEcho(change)) queue.add(change.key, change.origin === 'list' ? 'periodic' : 'fresh');
    },
  });
  const resources = createResources({ client, images, secrets, events, log });

  const openSource = createSourceOpener(createSourceTransport(egress), clock);
  const transfers = createScheduler({
    run: async (plan, { signal: cancelled, onProgress }) => {
      const secret = await clouds.read(plan.cloud, cancelled);
      const { images: glance } = await secret.open(cancelled);
      return runTransfer(plan, { openSource, upload: glance.upload, clock, onProgress, signal: cancelled });
    },
    concurrency: settings.transfers,
    clock,
    onChange: (key) => queue.add(key),
  });

  const reconcile = createReconciler({ resources, clouds, transfers, cluster, clock, random });
  const backoff = createBackoff(random);
  const workers = createWorkers({
    count: settings.workers,
    queue,
    backoff,
    reconcile,
    clock,
    log,
    observer: metrics.workers,
  });

  const loop = createLoopMonitor(clock, loopLagMs);
  const imageWatch = createHeartbeat(clock, watchSilenceMs);
  const secretWatch = createHeartbeat(clock, watchSilenceMs);
  const observeImages = metrics.watch('glanceimages');
  const observeSecrets = metrics.watch('secrets');
  const [host, port] = splitAddress(settings.healthAddress);
  const health = createHealthServer({
    host,
    port,
    live: {
      'event-loop': loop.check,
      'watch-glanceimages': imageWatch.check,
      'watch-secrets': secretWatch.check,
      workers: stuckWorkers(queue, stuckReconcileMs),
    },
    ready: {
      glanceimages: () => (images.synced ? undefined : 'the first list has not arrived'),
      secrets: () => (secrets.synced ? undefined : 'the first list has not arrived'),
    },
    metrics: metrics.render,
  });

  const components: Component[] = [
    { name: 'health', run: (until) => health.run(until) },
    { name: 'event-loop', run: (until) => loop.run(until) },
    { name: 'events', run: (until, halt) => events.run(until, halt) },
    {
      name: 'watch-secrets',
      run: (until) =>
        follow(
          {
            client,
            type: secretMetadataType,
            store: secrets,
            clock,
            random,
            log,
            onProgress: (progress) => {
              secretWatch.beat();
              observeSecrets(progress);
            },
          },
          until,
        ),
    },
    {
      name: 'watch-glanceimages',
      run: (until) =>
        follow(
          {
            client,
            type: glanceImageType,
            store: images,
            clock,
            random,
            log,
            onProgress: (progress) => {
              imageWatch.beat();
              observeImages(progress);
            },
          },
          until,
        ),
    },
    {
      name: 'workers',
      async run(until, halt) {
        await Promise.all([secrets.whenSynced(until), images.whenSynced(until)]);
        log.info({ version, cluster, images: images.size }, 'Ready');
        await workers.run(until, halt);
        // What is on its way is given up: after a restart, Glance's own state says where to go on.
        await transfers.stop();
      },
    },
  ];
  try {
    await supervise(components, { clock, log, drainMs: settings.drainSeconds * 1000 }, signal);
  } finally {
    await Promise.all([clouds.close(), transport.close()]);
  }
}

function sessionOf(cloud: CloudConfig, egress: EgressPolicy, clock: Clock) {
  const guard = (make: Parameters<typeof guardConnector>[1]) => guardConnector(egress, make);
  const transport = createCloudTransport({ tls: cloud.tls, userAgent, clock, guard });
  return createSession({ cloud, transport, clock, random: Math.random });
}

const namespaceType = { group: '', version: 'v1', kind: 'Namespace', plural: 'namespaces', parse: parseObject };

async function uidOfCluster(client: KubernetesClient, signal: AbortSignal): Promise<string> {
  const namespace = await client.get(namespaceType, { name: 'kube-system' }, signal);
  if (namespace !== undefined) return namespace.metadata.uid;
  throw new OperatorError('there is no namespace kube-system to name this cluster by: set --cluster-name', {
    code: 'InvalidSpec',
    retry: retry.change,
  });
}

/** Nobody reaches the API server through the operator. On loopback, where only developers have it, all is refused anyway. */
function apiServerHost(server: string): string[] {
  const host = new URL(server).hostname;
  return host === 'localhost' || host === '[::1]' || host.startsWith('127.') ? [] : [host];
}

function splitAddress(address: string): [host: string, port: number] {
  const at = address.lastIndexOf(':');
  const host = address.slice(0, at);
  return [host === '' ? '0.0.0.0' : host, Number(address.slice(at + 1))];
}
