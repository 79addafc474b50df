/**
 * Builds the transfers that run as Jobs of the cluster: their watches, their rights, and what decides between a Job and the thread.
 *
 * Guarantees: an operator without the rights for Jobs transfers everything in its thread, and looks for the rights again later.
 */
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import type { Checks } from '../controller/health.ts';
import type { Component } from '../controller/supervisor.ts';
import { createImageClient } from '../glance/client/index.ts';
import { createEgressPolicy, type EgressPair, type EgressRules } from '../http/egress.ts';
import type { Trust } from '../http/trust.ts';
import type { JobMetrics } from '../image/metrics/jobs.ts';
import { createExecutorBySize, createSizeOf } from '../jobs/by-size.ts';
import { createJobExecutor } from '../jobs/executor.ts';
import { type Installation, leaseLabel } from '../jobs/manifest.ts';
import { byJob, jobType, podType } from '../jobs/objects.ts';
import { createProgressBoard } from '../jobs/progress.ts';
import { createJobRights } from '../jobs/rights.ts';
import { runFilesOf } from '../jobs/run-files.ts';
import { jobStateOf } from '../jobs/state.ts';
import { JobTemplate } from '../jobs/template.ts';
import type { KubernetesClient } from '../kubernetes/client.ts';
import { apiServerOf, loadKubeconfig } from '../kubernetes/kubeconfig.ts';
import { readable } from '../kubernetes/resource.ts';
import type { ApiTransport } from '../kubernetes/transport.ts';
import type { Clock, Random } from '../lib/clock.ts';
import { describe } from '../lib/errors.ts';
import { keyOf } from '../lib/key.ts';
import type { Logger } from '../lib/log.ts';
import { createSessionPool, openSession } from '../openstack/pool.ts';
import type { Executor, TransferAccess } from '../transfer/executor.ts';
import type { TransferPlan } from '../transfer/plan.ts';
import type { CloudSessions } from '../transfer/sources.ts';
import { UsageError } from './config.ts';
import { leaseName } from './leadership.ts';
import type { RunSettings } from './settings.ts';
import { createWatch, type WatchedStoreOptions } from './watches.ts';

export interface JobsOptions {
  settings: RunSettings;
  /** Name of the Lease. */
  lease: string;
  /** Of the operator. */
  namespace: string;
  client: KubernetesClient;
  transport: ApiTransport;
  metrics: WatchedStoreOptions<never>['metrics'];
  observer: JobMetrics;
  whenLeading: (signal: AbortSignal) => Promise<void>;
  egress: EgressPair<EgressRules>;
  trust: Trust;
  /** For the reads of sizes and of images. */
  readAccess(plan: TransferPlan, signal: AbortSignal): Promise<TransferAccess>;
  thread: Executor;
  clock: Clock;
  random: Random;
  log: Logger;
}

export interface Jobs {
  executor: Executor;
  components: Component[];
  live: Checks;
  close(): Promise<void>;
}

export type CreateJobs = (thread: Executor, readAccess: JobsOptions['readAccess']) => Jobs;

/** Undefined: the settings declare no Jobs. Throws UsageError. */
export async function jobsFor(
  options: Omit<JobsOptions, 'lease' | 'namespace' | 'thread' | 'readAccess'>,
): Promise<CreateJobs | undefined> {
  const { settings, transport } = options;
  const { transferJobAbove: above, transferJobTemplate: path } = settings;
  if (above === undefined) return undefined;
  const template = await readJobTemplate(path);
  const lease = leaseName(settings);
  checkLease(lease);
  const own = { lease, namespace: process.env['POD_NAMESPACE'] ?? transport.namespace };
  return (thread, readAccess) => createJobs({ ...options, ...own, thread, readAccess }, above, template);
}

/** Throws UsageError. */
export function checkLease(name: string): void {
  if (/^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/.test(name)) return;
  throw new UsageError(
    `--transfer-job-above: each Job has the name of the Lease as a label, which takes at most 63 characters and ends with a letter or digit, but it is ${JSON.stringify(name)}. Set another --lease-name; a hash of --selector adds 9 characters`,
  );
}

/** Throws UsageError. */
async function readJobTemplate(path: string | undefined): Promise<JobTemplate> {
  if (path === undefined) throw new UsageError('--transfer-job-above needs --transfer-job-template');
  try {
    return JobTemplate.parse(parse(await readFile(path, 'utf8')));
  } catch (error) {
    throw new UsageError(`--transfer-job-template: ${path} cannot be used: ${describe(error)}`);
  }
}

const idleSessionMs = 300_000;

function createJobs(options: JobsOptions, above: number, template: JobTemplate): Jobs {
  const { settings, lease, client, transport, trust, egress, readAccess, thread, clock, random, log } = options;
  const installation: Installation = { namespace: template.namespace ?? options.namespace, lease, template };
  const { namespace } = installation;
  const watched = {
    client,
    metrics: options.metrics,
    clock,
    random,
    log,
    namespaces: [namespace],
    labelSelector: `${leaseLabel}=${lease}`,
  };
  const jobs = createWatch({ ...watched, type: jobType });
  const pods = createWatch({
    ...watched,
    type: podType,
    indexes: {
      [byJob]: (item) => (item.kind === 'readable' && item.object.job !== undefined ? [item.object.job] : []),
    },
  });
  options.observer.follow(() =>
    readable(jobs.store.list()).map((job) => {
      const own = readable(pods.store.findBy(byJob, job.metadata.uid));
      return jobStateOf(job, own, transport.now()).kind;
    }),
  );
  const policies = { sources: createEgressPolicy(egress.sources), clouds: createEgressPolicy(egress.clouds) };
  const sessions: CloudSessions = createSessionPool({
    clock,
    open: (cloud) => openSession(cloud, { clock, random, egress: policies.clouds, trust }),
    attach: (session) => ({ images: createImageClient(session), hashAlgorithm: undefined }),
    idleMs: idleSessionMs,
  });
  const progressPlace = { namespace, configMap: template.progressConfigMap };
  const board = createProgressBoard({
    client,
    transport,
    place: progressPlace,
    isJob: (name) => jobs.store.get(keyOf(namespace, name)) !== undefined,
    clock,
    log,
  });
  const rights = createJobRights({ transport, namespace, whenLeading: options.whenLeading, clock, log });
  let isAllowed = false;
  const executor = createJobExecutor({
    installation,
    client,
    jobs: jobs.store,
    pods: pods.store,
    readAccess,
    async filesOf(key, plan, access) {
      const proxies = {
        sources: await contentOf(settings.sourceProxyCredentials),
        clouds: await contentOf(settings.cloudProxyCredentials),
      };
      const progress = { ...progressPlace, key };
      // Its certificates may have been replaced since the start.
      const api = apiServerOf(loadKubeconfig(settings.kubeconfig));
      return runFilesOf({ plan, access, egress, certificates: trust.current(), proxies, api, progress });
    },
    async readImage(plan, signal) {
      const { name, region } = plan.cloud;
      using session = sessions.use((await readAccess(plan, signal)).cloud, { name, region });
      return await session.attached.images.get(plan.imageID, signal);
    },
    followProgress: board.follow,
    now: transport.now,
    clock,
    random,
    log,
  });
  return {
    executor: createExecutorBySize({
      thread,
      jobs: executor,
      above,
      sizeOf: createSizeOf({ egress: policies, trust, sessions, readAccess, clock, random }),
      rights,
    }),
    // Without rights a watch would be rejected without end.
    components: [jobs.component, pods.component, { name: 'transfer-progress', run: board.run }].map(
      ({ name, run }) => ({
        name,
        async run(stop, halt) {
          await rights.whenGranted(stop);
          isAllowed = true;
          await run(stop, halt);
        },
      }),
    ),
    live: Object.fromEntries(
      Object.entries({ ...jobs.live, ...pods.live }).map(([name, check]) => [
        name,
        () => (isAllowed ? check() : undefined),
      ]),
    ),
    close: sessions.close,
  };
}

async function contentOf(path: string | undefined): Promise<string> {
  return path === undefined ? '' : readFile(path, 'utf8');
}
