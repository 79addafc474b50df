/**
 * `glance-image-operator run`: the operator.
 *
 * Invariant: only this file builds the parts and connects them; each part knows the others by its arguments only, and each is
 * built after those that it needs.
 */
import { createMetrics } from '../controller/metrics.ts';
import { type Component, supervise } from '../controller/supervisor.ts';
import { createTrust } from '../http/trust.ts';
import { glanceImageType, imageIndexes, imagesIn } from '../image/access/resources.ts';
import { createServedFields } from '../image/access/served-fields.ts';
import { createDomainMetrics } from '../image/metrics/domain.ts';
import { createClient } from '../kubernetes/client.ts';
import { createConfigMapReader } from '../kubernetes/config-map.ts';
import { createApiTransport } from '../kubernetes/transport.ts';
import { type Clock, systemClock } from '../lib/clock.ts';
import { createLogger, type Logger } from '../lib/log.ts';
import { programVersion } from '../lib/version.ts';
import { createCloudAccess } from './clouds.ts';
import { checkSelector, uidOfCluster } from './cluster.ts';
import { helpOf, readSettings } from './config.ts';
import { apiServerHosts, operatorEgress } from './egress.ts';
import { exitCodesHelp, exitOnUnhandled, onTermination } from './exit.ts';
import { createImageController, createImageEvents } from './image-controller.ts';
import { jobsFor } from './jobs.ts';
import { createLeadership } from './leadership.ts';
import { memoryLimits, reportMemory } from './limits.ts';
import { createMetricsAccess } from './metrics-access.ts';
import { createProbes } from './probes.ts';
import { createSecretAccess } from './secrets.ts';
import { type RunSettings, runSettings } from './settings.ts';
import { createTransfers } from './transfers.ts';
import { followTrust } from './trust.ts';
import { createWatch } from './watches.ts';

export const runHelp = `${helpOf(runSettings)}\n\nExit codes:\n${exitCodesHelp}`;

export async function run(args: string[]): Promise<undefined> {
  const settings = readSettings(runSettings, args, process.env);
  const log = createLogger(settings.logLevel);
  exitOnUnhandled(log);
  reportMemory(memoryLimits(), log);
  const stop = onTermination((signal) => {
    log.info({ signal }, 'Stopping');
    return `stopped by ${signal}`;
  });
  await operate(settings, log, systemClock, stop);
  log.info('Stopped');
}

async function operate(settings: RunSettings, log: Logger, clock: Clock, signal: AbortSignal): Promise<void> {
  const metrics = createMetrics(clock);
  const kubeconfig = settings.kubeconfig === undefined ? {} : { kubeconfig: settings.kubeconfig };
  const program = { version: programVersion, isUnattended: true, observe: metrics.request };
  const connection = { ...kubeconfig, ...program, clock, random: Math.random };
  const leadership = createLeadership({ settings, connection, log, observe: metrics.election });
  const { mayWrite, fence, whenLeading } = leadership;
  const transport = createApiTransport({ ...connection, mayWrite });
  const client = createClient(transport);
  const cluster = settings.clusterName ?? (await uidOfCluster(client, signal));
  await checkSelector(client, settings, signal);
  log.info({ version: programVersion, cluster }, 'Starting');

  const common = { clock, random: Math.random, log };
  const scope = settings.namespaces.length === 0 ? {} : { namespaces: settings.namespaces };
  const watching = { client, metrics, ...scope, ...common };
  const watched = { type: glanceImageType, labelSelector: settings.selector, indexes: imageIndexes };
  const images = createWatch({ ...watching, ...watched });
  const secrets = createSecretAccess({
    transport,
    ...watching,
    watched: settings.watchSecrets,
    images: images.store,
    whenLeading,
  });
  const { signIn } = secrets;
  const events = createImageEvents({ client, instance: process.env['HOSTNAME'], ...common });

  const egress = operatorEgress(settings, await apiServerHosts(transport, process.env, signal));
  const trust = createTrust();
  const bundle = followTrust(settings.caBundle, { trust, clock, log });
  await bundle?.look();
  const served = createServedFields({ transport, clock, log });
  await served.look(signal);
  const domain = createDomainMetrics(metrics.registry, images.store.list, clock);
  const access = createCloudAccess({
    ...{ egress: egress.clouds, trust, mayWrite, cluster },
    ...signIn,
    ...imagesIn(images.store),
    metrics: domain,
    ...common,
  });
  const transfers = createTransfers({
    settings,
    egress,
    trust,
    fence,
    ...signIn,
    configMaps: createConfigMapReader(client),
    observer: domain.transfers,
    jobs: await jobsFor({ ...watching, settings, transport, whenLeading, egress, trust, observer: domain.jobs }),
    ...common,
  });
  const controller = createImageController({
    client,
    images: images.store,
    secrets,
    events,
    access,
    transfers,
    workers: settings.workers,
    cluster,
    inheritFrom: settings.inheritFrom,
    whenLeading,
    metrics,
    domain,
    served,
    ...common,
  });

  const secured = createMetricsAccess({ settings, metrics: metrics.render, connection, clock, log });

  // Stopped from the last to the first.
  const components: Component[] = [
    ...createProbes({
      address: settings.healthAddress,
      parts: [images, secrets.watch, controller, leadership, transfers],
      metrics: secured === undefined ? metrics.render : undefined,
      clock,
      log,
    }),
    ...(secured?.components ?? []),
    ...leadership.components,
    { name: 'served-fields', run: served.run },
    { name: 'events', run: events.run },
    images.component,
    ...secrets.components,
    ...(bundle === undefined ? [] : [{ name: 'ca-bundle', run: bundle.run }]),
    ...transfers.components,
    controller,
    transfers.drain(controller),
  ];
  try {
    await supervise(components, { clock, log, drainMs: settings.drainSeconds * 1000 }, signal);
  } finally {
    await Promise.all([transfers, access.clouds, transport, leadership, secured].map((part) => part?.close()));
  }
}
