/**
 * Builds the transfers of the operator, and what it reads of publishers for them, as configured by the settings.
 *
 * Guarantees: at shutdown, transfers end or are cancelled before the controller stops, as far as the drain deadline allows, and the
 * results that are known by then are written to the status.
 */
import type { Controller } from '../controller/controller.ts';
import type { Checks } from '../controller/health.ts';
import type { Component } from '../controller/supervisor.ts';
import { createEmitter, type Emitter } from '../controller/triggers.ts';
import { createEgressPolicy, type EgressPair, type EgressRules } from '../http/egress.ts';
import type { Trust } from '../http/trust.ts';
import type { WebDownloads } from '../image/perform/web-download.ts';
import type { ConfigMapSource } from '../kubernetes/config-map.ts';
import { aborted } from '../lib/abort.ts';
import type { Clock, Random } from '../lib/clock.ts';
import type { Key } from '../lib/key.ts';
import type { Logger } from '../lib/log.ts';
import type { CredentialSource } from '../openstack/credential-source.ts';
import type { ServiceAccountTokens } from '../openstack/service-account.ts';
import { createURLCheck } from '../source/url-check.ts';
import { readAccess } from '../transfer/access.ts';
import { executorOf } from '../transfer/executor.ts';
import type { TransferObserver } from '../transfer/meter.ts';
import { defaultLimits, type TransferPlan } from '../transfer/plan.ts';
import { createScheduler, type Scheduler } from '../transfer/scheduler.ts';
import { createThreadExecutor } from '../transfer/thread-executor.ts';
import type { CreateJobs } from './jobs.ts';
import { followTransferLimits } from './limits.ts';
import { createFollowing, type FollowingAccess } from './publishers.ts';
import type { RunSettings } from './settings.ts';

export interface TransfersOptions {
  settings: RunSettings;
  egress: EgressPair<EgressRules>;
  trust: Trust;
  fence: SharedArrayBuffer | undefined;
  credentials: CredentialSource;
  /** Default: none. */
  serviceAccountTokens?: ServiceAccountTokens | undefined;
  configMaps: ConfigMapSource;
  observer: TransferObserver;
  /** Moves large transfers into Jobs. */
  jobs?: CreateJobs | undefined;
  clock: Clock;
  random: Random;
  log: Logger;
}

export interface Transfers {
  scheduler: Scheduler;
  /** Keys whose transfer has ended or made progress. */
  changes: Emitter<Key>;
  /** What is read of publishers, to know which file to transfer. */
  publishers: FollowingAccess;
  /** Of every transfer. */
  limits: TransferPlan['limits'];
  /** For what Glance downloads by itself. */
  webDownloads: WebDownloads;
  /** To be stopped after the controller. */
  components: Component[];
  live: Checks;
  /** To be stopped before the controller. */
  drain(controller: Pick<Controller, 'whenIdle'>): Component;
  close(): Promise<void>;
}

export function createTransfers(options: TransfersOptions): Transfers {
  const { settings, egress, trust, fence, credentials, configMaps, observer, clock, random, log } = options;
  const changes = createEmitter<Key>();
  const running = {
    total: settings.transfers,
    perNamespace: settings.transfersPerNamespace,
    perCloud: settings.transfersPerCloud,
    perHost: settings.transfersPerHost,
  };
  const maxVirtualBytes = settings.maxVirtualSizeGiB * 2 ** 30;
  const limits = {
    ...defaultLimits,
    maxBytes: settings.maxImageSizeGiB * 2 ** 30,
    maxVirtualBytes,
    stallWindowMs: settings.sourceStallSeconds * 1000,
    nonfatalChecks: settings.gptSafetyChecksNonfatal,
  };
  const executorFor = (what: string, threads?: number) =>
    createThreadExecutor({
      egress,
      trust,
      fence,
      serviceAccountTokens: options.serviceAccountTokens,
      clock,
      ...(threads === undefined ? {} : { threads }),
      onCrash: (problem) => log.error({ problem }, `A thread for ${what} has ended; they start again`),
    });
  const executor = executorFor('transfers');
  // What a publisher sends can end this thread alone.
  const asker = executorFor('lists of publishers', 1);
  const publishers = createFollowing({ asker, limits, credentials, configMaps, clock, random });
  const accessOf = (plan: TransferPlan, signal: AbortSignal) => readAccess(credentials, plan, signal);
  const thread = executorOf(async (plan, run) => executor.run(plan, await accessOf(plan, run.signal), run));
  const jobs = options.jobs?.(thread, accessOf);
  const scheduler = createScheduler({
    executor: jobs?.executor ?? thread,
    limits: running,
    clock,
    onChange: changes.emit,
    observer,
  });
  const path = settings.transferLimits;
  const file =
    path === undefined
      ? []
      : [followTransferLimits({ path, otherwise: running, apply: scheduler.setLimits, clock, log })];
  return {
    scheduler,
    changes,
    webDownloads: {
      checkURL: createURLCheck(createEgressPolicy(egress.sources), trust, clock),
      maxVirtualBytes,
      nonfatal: limits.nonfatalChecks,
    },
    publishers,
    limits,
    components: [
      ...file.map(({ run }) => ({ name: 'transfer-limits', run })),
      {
        name: 'transfers',
        async run(stop) {
          await aborted(stop);
          await scheduler.stop();
        },
      },
      publishers.component,
      ...(jobs?.components ?? []),
    ],
    live: jobs?.live ?? {},
    drain: (controller) => drainOf(scheduler, controller, settings.transfersOnStop === 'drain'),
    close: async () => void (await Promise.all([executor.close(), asker.close(), jobs?.close()])),
  };
}

/**
 * Waits for running transfers if `waits`, and in any case until the controller has handled every transfer that has ended: the
 * process is the only one that knows the result.
 */
export function drainOf(
  scheduler: Pick<Scheduler, 'drain' | 'ended'>,
  controller: Pick<Controller, 'whenIdle'>,
  waits: boolean,
): Component {
  return {
    name: 'drain',
    async run(stop, halt) {
      await aborted(stop);
      if (halt.aborted) return;
      if (waits) await Promise.race([scheduler.drain(), aborted(halt)]);
      await controller.whenIdle(scheduler.ended(), halt);
    },
  };
}
