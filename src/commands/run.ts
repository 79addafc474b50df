/**
 * `glance-image-operator run`: the controller. Law: this is the only place that builds the parts and joins them; the parts know
 * each other by what they are given here.
 */
import type { GlanceImage } from '../api/glanceimage.ts';
import { createBackoff } from '../controller/backoff.ts';
import { createHealthServer } from '../controller/health.ts';
import { createHeartbeat, createLoopMonitor, idleWorkers, stuckWorkers } from '../controller/liveness.ts';
import { createMetrics } from '../controller/metrics.ts';
import { createQueue } from '../controller/queue.ts';
import { type Component, supervise } from '../controller/supervisor.ts';
import { createWorkers } from '../controller/workers.ts';
import { createEgressPolicy } from '../http/egress.ts';
import { createTrust } from '../http/trust.ts';
import { type Clouds, createClouds } from '../image/clouds.ts';
import { createDrift } from '../image/drift.ts';
import { clusterProperty } from '../image/identity.ts';
import { createDomainMetrics } from '../image/metrics.ts';
import { createReconciler } from '../image/reconcile.ts';
import { byImage, bySecret, createResources, glanceImageType, imageIDsOf } from '../image/resources.ts';
import { createSecrets, secretKeysOf, secretsAwaited } from '../image/secrets.ts';
import { cloudRefOf } from '../image/transfer.ts';
import { createClient } from '../kubernetes/client.ts';
import { createEventRecorder } from '../kubernetes/events.ts';
import { createStore, runReflector } from '../kubernetes/reflector.ts';
import { type Item, type KubernetesObject, keyOfObject } from '../kubernetes/resource.ts';
import { createSecretReader, secretMetadataType } from '../kubernetes/secret.ts';
import { createApiTransport } from '../kubernetes/transport.ts';
import { aborted } from '../lib/abort.ts';
import { type Clock, systemClock } from '../lib/clock.ts';
import { keyOf } from '../lib/key.ts';
import { createLogger, type Logger } from '../lib/log.ts';
import { programVersion } from '../lib/version.ts';
import { openSession } from '../openstack/pool.ts';
import { defaultRetryPolicy } from '../openstack/retry.ts';
import { hostsAnnotation } from '../source/header-hosts.ts';
import { readAccess } from '../transfer/access.ts';
import { defaultLimits } from '../transfer/plan.ts';
import { createScheduler } from '../transfer/scheduler.ts';
import { createThreadExecutor } from '../transfer/thread-executor.ts';
import { checkSelector, uidOfCluster } from './cluster.ts';
import { helpOf, readSettings } from './config.ts';
import { apiServerHosts, operatorEgress } from './egress.ts';
import { exitCodesHelp, exitOnUnhandled } from './exit.ts';
import type { Follower } from './followed-file.ts';
import { createLeadership } from './leadership.ts';
import { followTransferLimits, memoryLimits, reportMemory } from './limits.ts';
import { type RunSettings, runSettings } from './settings.ts';
import { followTrust } from './trust.ts';

export const runHelp = `${helpOf(runSettings)}\n\nExit codes:\n${exitCodesHelp}`;

/** A watch reconnects at the latest after about five minutes; three times that without a sign means that it is dead. */
const watchSilenceMs = 15 * 60_000;
/** A reconcile is cancelled after two minutes; one that ignores that is stuck. */
const stuckReconcileMs = 10 * 60_000;
/** Each worker takes a key at least as often as reconciles have their deadline. */
const idleWorkersMs = 10 * 60_000;
const loopLagMs = 5_000;
/**
 * For one call to a cloud, tries included. A reconcile that meets a Keystone and then a Glance that take a call and never answer
 * must end before its own deadline, or its status could not tell of it.
 */
const cloudCallMs = 50_000;

export async function run(args: string[]): Promise<void> {
  const settings = readSettings(runSettings, args, process.env);
  const log = createLogger(settings.logLevel);
  exitOnUnhandled(log);
  reportMemory(memoryLimits(), log);
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
  const connection = { ...kubeconfig, version: programVersion, clock, random, observe: metrics.request };
  const leadership = createLeadership({ settings, connection, log, observe: metrics.election });
  const { mayWrite } = leadership;
  const transport = createApiTransport({ ...connection, mayWrite });
  const client = createClient(transport);
  const cluster = settings.clusterName ?? (await uidOfCluster(client, signal));
  await checkSelector(client, settings, signal);

  const rules = operatorEgress(settings, await apiServerHosts(transport, process.env, signal));
  const egress = createEgressPolicy(rules.clouds);
  const domain = createDomainMetrics(
    metrics.registry,
    { images: () => images.list(), sessions: () => clouds.open },
    clock,
  );
  const policy = { ...defaultRetryPolicy, deadlineMs: cloudCallMs };
  const trust = createTrust();
  const bundle = followTrust(settings.caBundle, { trust, clock, log });
  await bundle?.look();
  const toClouds = { egress, trust, mayWrite, clock, random, observe: domain.clouds.exchange, policy };
  const secretReadings = createSecrets({
    read: createSecretReader(client, hostsAnnotation).secret,
    watched: settings.watchSecrets,
    awaited: () => secretsAwaited(readable(images.list()), clock.now()),
    isUsed: (key) => images.findBy(bySecret, key).length > 0,
    onChange: (key) => {
      for (const user of images.findBy(bySecret, key)) queue.add(keyOfObject(user.object));
    },
    clock,
    log,
  });
  const { credentials } = secretReadings;
  const clouds = createClouds({
    credentials,
    clock,
    random,
    openSession: (cloud) => openSession(cloud, toClouds),
    cache: {
      mark: { [clusterProperty]: cluster },
      keeps: (id) => images.findBy(byImage, id).length > 0,
      onChange: (news) => drift.hear(news),
    },
    observeCache: domain.cache,
  });
  const queue = createQueue({
    clock,
    workers: settings.workers,
    flowOf: (key) => flowOf(images.get(key), clouds),
    observer: metrics.queue,
  });
  metrics.observeQueue(queue);

  const events = createEventRecorder({
    client,
    reportingController: 'glance-image-operator.dev/glance-image-operator',
    reportingInstance: process.env['HOSTNAME'] ?? 'glance-image-operator',
    clock,
    random,
    log,
  });
  const selected = settings.selector === undefined ? {} : { labelSelector: settings.selector };
  const scope = settings.namespaces.length === 0 ? {} : { namespaces: settings.namespaces };
  const imageMetrics = metrics.watch('glanceimages');
  const secretMetrics = settings.watchSecrets ? metrics.watch('secrets') : undefined;
  const secrets = createStore<KubernetesObject>({
    // Covering no namespace, it is never told of any Secret, and they are all read when they are used.
    ...(settings.watchSecrets ? scope : { namespaces: [] }),
    log,
    onChange: (change) => {
      if (change.origin === 'list' && secrets.synced) secretMetrics?.missed();
      const now = change.kind === 'deleted' ? undefined : change.after.object.metadata.resourceVersion;
      secretReadings.reported(change.key, now);
    },
  });
  const images = createStore<GlanceImage>({
    ...scope,
    log,
    indexes: {
      [bySecret]: (item) => (item.kind === 'readable' ? secretKeysOf(item.object) : []),
      [byImage]: (item) => (item.kind === 'readable' ? imageIDsOf(item.object) : []),
    },
    onChange: (change) => {
      if (change.origin === 'list' && images.synced) imageMetrics.missed();
      if (!resources.isEcho(change)) queue.add(change.key, change.origin === 'list' ? 'periodic' : 'fresh');
    },
  });
  const resources = createResources({
    client,
    images,
    secrets: secretReadings,
    events,
    log,
    onEvent: domain.images.event,
  });
  const drift = createDrift({ resources, wake: (key) => queue.add(key, 'periodic'), clock, random });

  // Whoever talks to the cloud for a transfer is the executor, by the same policy.
  const executor = createThreadExecutor({
    egress: rules,
    trust,
    fence: leadership.fence,
    clock,
    onCrash: (problem) => log.error({ problem }, 'The transfer thread has ended; its transfers start again'),
  });
  const transferLimits = {
    total: settings.transfers,
    perNamespace: settings.transfersPerNamespace,
    perCloud: settings.transfersPerCloud,
    perHost: settings.transfersPerHost,
  };
  const transfers = createScheduler({
    execute: async (plan, options) => executor.run(plan, await readAccess(credentials, plan, options.signal), options),
    limits: transferLimits,
    clock,
    onChange: (key) => queue.add(key),
    observer: domain.transfers,
  });

  const limitsPath = settings.transferLimits;
  const limitsFile =
    limitsPath === undefined
      ? undefined
      : followTransferLimits({ path: limitsPath, otherwise: transferLimits, apply: transfers.setLimits, clock, log });

  const limits = {
    ...defaultLimits,
    maxBytes: settings.maxImageSizeGiB * 2 ** 30,
    maxVirtualBytes: settings.maxVirtualSizeGiB * 2 ** 30,
    stallWindowMs: settings.sourceStallSeconds * 1000,
    nonfatalChecks: settings.gptSafetyChecksNonfatal,
  };
  const webDownloads = { checkHost: createEgressPolicy(rules.sources).check, maxVirtualBytes: limits.maxVirtualBytes };
  const reconcile = createReconciler({
    resources,
    clouds,
    drift,
    transfers,
    limits,
    webDownloads,
    cluster,
    inheritFrom: settings.inheritFrom,
    clock,
    random,
  });
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
  const [host, port] = splitAddress(settings.healthAddress);
  const health = createHealthServer({
    host,
    port,
    live: {
      'event-loop': loop.check,
      'watch-glanceimages': imageWatch.check,
      ...(settings.watchSecrets ? { 'watch-secrets': secretWatch.check } : {}),
      'slow-reconciles': stuckWorkers(queue, stuckReconcileMs),
      workers: idleWorkers(workers, queue, idleWorkersMs),
      ...leadership.live,
    },
    ready: {
      glanceimages: () => (images.synced ? undefined : 'the initial list has not completed'),
      secrets: () => (secrets.synced ? undefined : 'the initial list has not completed'),
    },
    metrics: metrics.render,
  });

  health.address.then(
    (address) => log.info(address, 'Serving probes and metrics'),
    () => {},
  );

  const components: Component[] = [
    { name: 'health', run: (until) => health.run(until) },
    { name: 'event-loop', run: (until) => loop.run(until) },
    ...leadership.components,
    { name: 'events', run: (until, halt) => events.run(until, halt) },
    {
      name: 'watch-secrets',
      run: (until) =>
        runReflector(
          {
            client,
            type: secretMetadataType,
            store: secrets,
            clock,
            random,
            log,
            onProgress: (progress) => {
              secretWatch.beat();
              secretMetrics?.moved(progress);
            },
          },
          until,
        ),
    },
    {
      name: 'watch-glanceimages',
      run: (until) =>
        runReflector(
          {
            client,
            type: glanceImageType,
            ...selected,
            store: images,
            clock,
            random,
            log,
            onProgress: (progress) => {
              imageWatch.beat();
              imageMetrics.moved(progress);
            },
          },
          until,
        ),
    },
    {
      name: 'secrets',
      async run(until) {
        await Promise.all([secrets.whenSynced(until), images.whenSynced(until)]);
        await leadership.whenLeading(until);
        await secretReadings.run(until);
      },
    },
    ...following('transfer-limits', limitsFile),
    ...following('ca-bundle', bundle),
    {
      name: 'transfers',
      async run(until, halt) {
        await Promise.race([aborted(until), aborted(halt)]);
        if (settings.transfersOnStop === 'drain') await Promise.race([transfers.drain(), aborted(halt)]);
        // What is on its way is given up: after a restart, Glance's own state says where to go on.
        await transfers.stop();
      },
    },
    {
      name: 'workers',
      async run(until, halt) {
        await Promise.all([secrets.whenSynced(until), images.whenSynced(until)]);
        log.info({ version: programVersion, cluster, images: images.size }, 'Synced');
        await leadership.whenLeading(until);
        log.info({ images: images.size }, 'Ready');
        await workers.run(until, halt);
      },
    },
  ];
  try {
    await supervise(components, { clock, log, drainMs: settings.drainSeconds * 1000 }, signal);
  } finally {
    await Promise.all([executor.close(), clouds.close(), transport.close(), leadership.close()]);
  }
}

function readable(items: readonly Item<GlanceImage>[]): GlanceImage[] {
  return items.flatMap((item) => (item.kind === 'readable' ? item.object : []));
}

function following(name: string, file: Follower | undefined): Component[] {
  return file === undefined ? [] : [{ name, run: file.run }];
}

/** Resources of one cloud are one flow. Until its Secret has been read, resources of one Secret are. */
function flowOf(item: Item<GlanceImage> | undefined, clouds: Clouds): string | undefined {
  if (item?.kind !== 'readable') return undefined;
  const { metadata, spec } = item.object;
  return clouds.destinationOf(cloudRefOf(item.object)) ?? keyOf(metadata.namespace, spec.cloud.secretRef.name);
}

function splitAddress(address: string): [host: string, port: number] {
  const at = address.lastIndexOf(':');
  // An IPv6 address is written in brackets there.
  return [address.slice(0, at).replace(/^\[(.*)\]$/, '$1'), Number(address.slice(at + 1))];
}
