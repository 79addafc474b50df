/**
 * Whether this operator has the rights for Jobs: asked of the API server, and again after some minutes.
 *
 * Guarantees: rights that are missing are logged by name. "Unknown" counts as "missing" only for a new transfer, which then runs in the
 * thread; runs of earlier processes are looked for once it is known.
 */
import * as z from 'zod';
import { KubernetesError } from '../kubernetes/errors.ts';
import type { ApiTransport } from '../kubernetes/transport.ts';
import type { Clock } from '../lib/clock.ts';
import { describe } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';

export interface JobRights {
  /** For a new transfer. Rejects with the signal's reason. */
  mayCreate(signal: AbortSignal): Promise<boolean>;
  /** Repeats the request until the API server has responded. Rejects with the signal's reason. */
  whenKnown(signal: AbortSignal): Promise<boolean>;
  /** Resolves when this process leads and all rights are there. Rejects with the signal's reason. */
  whenGranted(signal: AbortSignal): Promise<void>;
}

export interface JobRightsOptions {
  transport: Pick<ApiTransport, 'request'>;
  namespace: string;
  /** Resolves once this process leads; the others may not write, and a request for rights is a write. */
  whenLeading: (signal: AbortSignal) => Promise<void>;
  clock: Clock;
  log: Logger;
}

const reviewPath = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
const reviewSchema = z.object({ status: z.object({ allowed: z.boolean() }) });
const knownMs = 300_000;
const retryMs = 5_000;

/** All rights that Jobs need. The progress is no condition. */
const rights = [
  ...['create', 'get', 'list', 'watch', 'delete'].map((verb) => ({ group: 'batch', resource: 'jobs', verb })),
  ...['list', 'watch'].map((verb) => ({ group: '', resource: 'pods', verb })),
  { group: '', resource: 'secrets', verb: 'create' },
];

type Finding = 'granted' | 'missing' | 'unknown';

export function createJobRights({ transport, namespace, whenLeading, clock, log }: JobRightsOptions): JobRights {
  let known: { at: number; missing: string } | undefined;
  let isBroken = false;

  async function has(right: (typeof rights)[number], signal: AbortSignal): Promise<boolean> {
    const spec = { resourceAttributes: { namespace, ...right } };
    const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', metadata: {}, spec };
    const answer = await transport.request({ method: 'POST', path: reviewPath, body, idempotent: true }, signal);
    return reviewSchema.parse(answer).status.allowed;
  }

  async function missingNow(signal: AbortSignal): Promise<string> {
    const missing: string[] = [];
    try {
      for (const right of rights) if (!(await has(right, signal))) missing.push(`${right.verb} ${right.resource}`);
    } catch (error) {
      if (!(error instanceof KubernetesError) || error.reason !== 'Forbidden') throw error;
      missing.push('create selfsubjectaccessreviews');
    }
    return missing.join(', ');
  }

  async function find(signal: AbortSignal): Promise<Finding> {
    if (known === undefined || clock.monotonic() - known.at >= knownMs) {
      try {
        const missing = await missingNow(signal);
        if (missing !== '' && missing !== known?.missing)
          log.warn(
            { namespace, missing },
            'The operator has no rights for Jobs in its namespace: all transfers run in its own process',
          );
        known = { at: clock.monotonic(), missing };
        isBroken = false;
      } catch (error) {
        signal.throwIfAborted();
        if (!isBroken)
          log.warn(
            { problem: describe(error) },
            'The operator cannot check its rights for Jobs: new transfers run in its own process',
          );
        isBroken = true;
        return 'unknown';
      }
    }
    return known.missing === '' ? 'granted' : 'missing';
  }

  return {
    mayCreate: async (signal) => (await find(signal)) === 'granted',
    async whenKnown(signal) {
      for (;;) {
        const finding = await find(signal);
        if (finding !== 'unknown') return finding === 'granted';
        await clock.sleep(retryMs, signal);
      }
    },
    async whenGranted(signal) {
      await whenLeading(signal);
      for (;;) {
        const finding = await find(signal);
        if (finding === 'granted') return;
        await clock.sleep(finding === 'missing' ? knownMs : retryMs, signal);
      }
    },
  };
}
