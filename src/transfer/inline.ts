/**
 * The executor that runs transfers in the current thread.
 *
 * Guarantees: everything that a run has opened is closed when it has settled, except sessions with clouds, which stay open for the
 * next run.
 */
import { createImageClient } from '../glance/client/index.ts';
import type { EgressPair, EgressPolicy } from '../http/egress.ts';
import type { MayWrite } from '../http/fence.ts';
import { createTrust, type Trust } from '../http/trust.ts';
import type { Clock, Random } from '../lib/clock.ts';
import type { MemoryBudget } from '../lib/memory-budget.ts';
import { createSessionPool, openSession } from '../openstack/pool.ts';
import type { ServiceAccountTokens } from '../openstack/service-account.ts';
import type { Helpers } from '../source/decompress/index.ts';
import { type AllDownloads, createSharedDownloads, downloadsOf } from '../source/parallel/downloads.ts';
import { ask } from '../source/resolve/resolve.ts';
import { runTransfer } from './engine.ts';
import { type Asker, ExecutorClosed, type Runner } from './executor.ts';
import { type CloudSessions, createSourceOpener } from './sources.ts';

export interface InlineExecutorOptions {
  egress: EgressPair<EgressPolicy>;
  /** The certificates of the installation. Default: none. */
  trust?: Trust;
  /** Called before every write to a cloud. Default: always. */
  mayWrite?: MayWrite;
  /** The memory that the decoders of all transfers share. Default: only the limits of each plan apply. */
  memory?: Pick<MemoryBudget, 'share'>;
  /** Further threads that decoders may use. Default: none. */
  helpers?: Helpers;
  /** What the downloads share with those of other threads. Default: there are no others. */
  downloads?: AllDownloads;
  /** Default: there are no ServiceAccounts. */
  serviceAccountTokens?: ServiceAccountTokens | undefined;
  clock: Clock;
  random: Random;
}

/** The next transfer with the same credentials reuses token and connections. */
const idleSessionMs = 300_000;

export function createInlineExecutor(options: InlineExecutorOptions): Runner & Asker {
  const { egress, trust = createTrust(), memory, helpers, clock, random } = options;
  const { downloads = downloadsOf(createSharedDownloads().join(), clock) } = options;
  const closed = new AbortController();
  const running = new Set<Promise<unknown>>();
  const sessions: CloudSessions = createSessionPool({
    clock,
    open: (cloud) => openSession(cloud, { ...options, egress: egress.clouds, trust }),
    attach: (session) => ({ images: createImageClient(session), hashAlgorithm: undefined }),
    idleMs: idleSessionMs,
  });

  const execute: Runner['run'] = async (plan, access, { signal: cancelled, onProgress }) => {
    const signal = AbortSignal.any([cancelled, closed.signal]);
    signal.throwIfAborted();
    const { name, region } = plan.cloud;
    using session = sessions.use(access.cloud, { name, region });
    const source = createSourceOpener(access, {
      ...{ egress: egress.sources, trust, sessions, downloads, clock, random },
    });
    try {
      return await runTransfer(plan, {
        openSource: source.open,
        target: session.attached,
        memory,
        helpers,
        clock,
        onProgress,
        signal,
      });
    } finally {
      await source.close();
    }
  };

  async function whileOpen<T>(run: Promise<T>): Promise<T> {
    running.add(run);
    try {
      return await run;
    } finally {
      running.delete(run);
    }
  }

  return {
    run: (plan, access, runOptions) => whileOpen(execute(plan, access, runOptions)),
    ask(asking, cancelled) {
      const signal = AbortSignal.any([cancelled, closed.signal]);
      return whileOpen(ask(asking, { egress: egress.sources, trust, clock, random, signal }));
    },
    async close() {
      closed.abort(new ExecutorClosed());
      await Promise.allSettled(running);
      await sessions.close();
    },
  };
}
