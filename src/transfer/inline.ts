/**
 * The executor that works in the thread where it is called. Law: what a run opens is closed when it has settled, but for the
 * session with the cloud, which the next run finds open.
 */
import type { Clock, Random } from '../lib/clock.ts';
import { type EgressPolicy, guardConnector } from '../lib/egress.ts';
import { type MayWrite, mayAlwaysWrite } from '../lib/fence.ts';
import { userAgent } from '../lib/version.ts';
import type { CloudConfig } from '../openstack/clouds.ts';
import { createSession, type Session } from '../openstack/session.ts';
import { createTransport } from '../openstack/transport.ts';
import { runTransfer } from './engine.ts';
import { type Executor, ExecutorClosed } from './executor.ts';
import { createSessions } from './sessions.ts';
import { createSourceOpener } from './sources.ts';

export interface InlineExecutorOptions {
  /** For sources and clouds alike. */
  egress: EgressPolicy;
  /** Asked before anything is written to a cloud. Default: always. */
  mayWrite?: MayWrite;
  clock: Clock;
  random: Random;
}

export function createInlineExecutor(options: InlineExecutorOptions): Executor {
  const { egress, mayWrite = mayAlwaysWrite, clock, random } = options;
  const closed = new AbortController();
  const running = new Set<Promise<unknown>>();
  const sessions = createSessions(clock, openSession);

  function openSession(cloud: CloudConfig): Session {
    const guard = (make: Parameters<typeof guardConnector>[1]) => guardConnector(egress, make);
    const transport = createTransport({ tls: cloud.tls, userAgent, clock, guard, mayWrite });
    return createSession({ cloud, transport, clock, random });
  }

  const execute: Executor['run'] = async (plan, access, { signal: cancelled, onProgress }) => {
    const signal = AbortSignal.any([cancelled, closed.signal]);
    signal.throwIfAborted();
    const { name, region } = plan.cloud;
    using target = sessions.lease(access.cloud, { name, region });
    const source = createSourceOpener(access, { egress, sessions, clock, random });
    try {
      return await runTransfer(plan, { openSource: source.open, target, clock, onProgress, signal });
    } finally {
      await source.close();
    }
  };

  return {
    async run(plan, access, options) {
      const run = execute(plan, access, options);
      running.add(run);
      try {
        return await run;
      } finally {
        running.delete(run);
      }
    },
    async close() {
      closed.abort(new ExecutorClosed());
      await Promise.allSettled(running);
      await sessions.close();
    },
  };
}
