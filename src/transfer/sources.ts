/** Opens the source of a plan, and closes its connections and sessions at the end of the run. */
import type { ImageClient } from '../glance/client/index.ts';
import type { EgressPolicy } from '../http/egress.ts';
import type { Trust } from '../http/trust.ts';
import type { Clock, Random } from '../lib/clock.ts';
import type { SessionPool } from '../openstack/pool.ts';
import type { OpenContext, OpenedSource } from '../source/kind.ts';
import type { AllDownloads } from '../source/parallel/downloads.ts';
import { sourceOf } from '../source/registry.ts';
import type { Target } from './delivery.ts';
import type { TransferAccess } from './executor.ts';
import type { TransferPlan } from './plan.ts';

export type OpenSource = (
  plan: TransferPlan,
  options: Pick<OpenContext, 'signal' | 'onResume'>,
) => Promise<OpenedSource>;

export interface SourceOpener {
  open: OpenSource;
  /** Closes all connections to sources. */
  close(): Promise<void>;
}

/** Sessions with the clouds that images are read from and written to. */
export type CloudSessions = SessionPool<Target & { readonly images: ImageClient }>;

export interface SourceOpenerOptions {
  egress: EgressPolicy;
  trust: Trust;
  sessions: CloudSessions;
  clock: Clock;
  random: Random;
  /** What downloads share with others. Default: nothing. */
  downloads?: AllDownloads | undefined;
}

/** For one run. */
export function createSourceOpener({ source: secrets }: TransferAccess, options: SourceOpenerOptions): SourceOpener {
  const resources = new AsyncDisposableStack();
  return {
    open: ({ source, limits, digest }, { signal, onResume }) =>
      sourceOf(source).open({
        ...options,
        secrets,
        resources,
        limits,
        hasDigest: digest !== undefined,
        signal,
        onResume,
      }),
    close: () => resources.disposeAsync(),
  };
}
