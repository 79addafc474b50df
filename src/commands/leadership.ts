/**
 * Leader election as configured by the settings.
 *
 * Invariant: processes compete for one Lease exactly if they manage the same resources. An installation for other
 * resources has its own name or selector.
 */

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Checks } from '../controller/health.ts';
import { createHeartbeat } from '../controller/liveness.ts';
import type { Component } from '../controller/supervisor.ts';
import { createFence, type MayWrite, mayAlwaysWrite } from '../http/fence.ts';
import type { ElectionTiming } from '../kubernetes/election.ts';
import { createElector, longestRoundMs } from '../kubernetes/elector.ts';
import { createLeaseClient } from '../kubernetes/lease.ts';
import { type ApiTransportOptions, createApiTransport } from '../kubernetes/transport.ts';
import { textHash } from '../lib/hash.ts';
import type { Logger } from '../lib/log.ts';
import { UsageError } from './config.ts';
import type { RunSettings } from './settings.ts';

export interface Leadership {
  /** For every transport that writes. */
  mayWrite: MayWrite;
  /** The same for other threads (`fenceOf`). Undefined without a fence. */
  fence: SharedArrayBuffer | undefined;
  /** Resolves when work may start, rejects with the signal's reason. */
  whenLeading(signal: AbortSignal): Promise<void>;
  /** Stop it after everything that writes. */
  components: Component[];
  /** Fails when the election makes no progress. */
  live: Checks;
  close(): Promise<void>;
}

/** Short leases must not make a busy event loop look like a dead election. */
const shortestSilenceMs = 60_000;

export interface LeadershipOptions {
  settings: RunSettings;
  connection: Omit<ApiTransportOptions, 'mayWrite'>;
  log: Logger;
  /** Called with the name of the Lease and whether this process leads. */
  observe?: (leaseName: string) => (leads: boolean) => void;
}

/** Throws a UsageError for durations that do not fit together. */
export function createLeadership({ settings, connection, log, observe }: LeadershipOptions): Leadership {
  if (!settings.leaderElect) return alone;
  const timing = electionTiming(settings);
  const { clock, random } = connection;
  // A renewal has connections of its own, so that no other request delays it.
  const transport = createApiTransport(connection);
  const fence = createFence(clock);
  const at = {
    namespace: settings.leaseNamespace ?? process.env['POD_NAMESPACE'] ?? transport.namespace,
    name: leaseName(settings),
  };
  const identity = `${hostname()}_${randomUUID()}`;
  const leases = createLeaseClient(transport, at, clock.now);
  const heartbeat = createHeartbeat(clock, Math.max(shortestSilenceMs, 3 * longestRoundMs(timing)));
  const elector = createElector({
    leases,
    identity,
    timing,
    fence,
    clock,
    random,
    log,
    observe: observe?.(at.name),
    onRound: heartbeat.beat,
  });
  return {
    mayWrite: fence.mayWrite,
    fence: fence.memory,
    whenLeading: elector.whenLeading,
    components: [{ name: 'lease', run: elector.run }],
    live: { lease: heartbeat.check },
    close: transport.close,
  };
}

const alone: Leadership = {
  mayWrite: mayAlwaysWrite,
  fence: undefined,
  whenLeading: async (signal) => signal.throwIfAborted(),
  components: [],
  live: {},
  close: async () => {},
};

export function electionTiming(settings: RunSettings): ElectionTiming {
  const { leaseDuration: leaseMs, leaseRenewDeadline: renewDeadlineMs, leaseRetry: retryMs } = settings;
  // The difference between the first two is the time for a write in progress to arrive.
  if (leaseMs <= renewDeadlineMs) throw new UsageError('--lease-duration must be longer than --lease-renew-deadline');
  if (renewDeadlineMs < 2 * retryMs) {
    throw new UsageError('--lease-renew-deadline must be at least twice --lease-retry, so that one renewal may fail');
  }
  if (retryMs < 100) throw new UsageError('--lease-retry must be at least 100ms');
  if (leaseMs % 1000 !== 0)
    throw new UsageError('--lease-duration must be a whole number of seconds, because a Lease has no fractions');
  return { leaseMs, renewDeadlineMs, retryMs };
}

export function leaseName({
  leaseName = 'glance-image-operator',
  selector,
}: Pick<RunSettings, 'leaseName' | 'selector'>): string {
  if (selector === undefined) return leaseName;
  return `${leaseName}-${textHash(selector, 8)}`;
}
