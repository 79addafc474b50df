/**
 * One Lease (coordination.k8s.io/v1) of the API server. Law: it is replaced as a whole and with the resourceVersion that was
 * read, so that of two who write at once only one succeeds; what others keep on the object stays there.
 */
import { z } from 'zod';
import { badAnswer, isConflict, isNotFound, KubernetesError } from './errors.ts';
import { microTime } from './microtime.ts';
import type { Transport } from './transport.ts';

export interface Lease {
  /** Empty when it was given up, or never taken. */
  holder: string;
  /** How long the holder may be silent, by its own word. */
  durationMs: number | undefined;
  /** When the holder renewed it, by the holder's clock: good for telling two renewals apart, and for nothing else. */
  renewTime: string | undefined;
  acquireTime: string | undefined;
  transitions: number;
  /** The object as it was read. */
  object: LeaseObject;
}

export interface LeaseAt {
  namespace: string;
  name: string;
}

/** Somebody else wrote first, or the object is another or none by now. */
export type Written = { kind: 'written'; lease: Lease } | { kind: 'overtaken' };

export interface LeaseClient {
  readonly at: LeaseAt;
  /** undefined where there is none. */
  read(deadlineMs: number, signal: AbortSignal): Promise<Lease | undefined>;
  /** Takes or renews for `identity`, over what was read before: `undefined` creates it. */
  hold(
    over: Lease | undefined,
    claim: { identity: string; durationMs: number },
    deadlineMs: number,
    signal: AbortSignal,
  ): Promise<Written>;
  /** Lets it go, so that another need not wait for it to expire. */
  release(held: Lease, deadlineMs: number, signal: AbortSignal): Promise<Written>;
}

const leaseSchema = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string() }),
  spec: z
    .looseObject({
      holderIdentity: z.string().optional(),
      leaseDurationSeconds: z.int().optional(),
      acquireTime: z.string().optional(),
      renewTime: z.string().optional(),
      leaseTransitions: z.int().optional(),
    })
    .optional(),
});
type LeaseObject = z.infer<typeof leaseSchema>;

/** `transport` should be one of its own: a renewal must not wait behind other calls, and no fence may be in its way. */
export function createLeaseClient(transport: Transport, at: LeaseAt, now: () => Date): LeaseClient {
  const collection = `/apis/coordination.k8s.io/v1/namespaces/${encodeURIComponent(at.namespace)}/leases`;
  const path = `${collection}/${encodeURIComponent(at.name)}`;

  async function write(
    request: { method: 'POST' | 'PUT'; path: string; body: object },
    deadlineMs: number,
    signal: AbortSignal,
  ): Promise<Written> {
    try {
      return { kind: 'written', lease: leaseOf(path, await transport.request({ ...request, deadlineMs }, signal)) };
    } catch (error) {
      if (isConflict(error) || isNotFound(error) || alreadyExists(error)) return { kind: 'overtaken' };
      throw error;
    }
  }

  function replace(lease: Lease, spec: object, deadlineMs: number, signal: AbortSignal): Promise<Written> {
    const body = { ...lease.object, spec: { ...lease.object.spec, ...spec } };
    return write({ method: 'PUT', path, body }, deadlineMs, signal);
  }

  return {
    at,
    async read(deadlineMs, signal) {
      try {
        return leaseOf(path, await transport.request({ method: 'GET', path, deadlineMs }, signal));
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },
    hold(over, { identity, durationMs }, deadlineMs, signal) {
      const time = microTime(now());
      const mine = over !== undefined && over.holder === identity;
      const spec = {
        holderIdentity: identity,
        leaseDurationSeconds: Math.ceil(durationMs / 1000),
        renewTime: time,
        ...(mine ? {} : { acquireTime: time, leaseTransitions: over === undefined ? 0 : over.transitions + 1 }),
      };
      if (over !== undefined) return replace(over, spec, deadlineMs, signal);
      const body = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: at.name }, spec };
      return write({ method: 'POST', path: collection, body }, deadlineMs, signal);
    },
    release(held, deadlineMs, signal) {
      const spec = { holderIdentity: '', leaseDurationSeconds: 1, renewTime: microTime(now()) };
      return replace(held, spec, deadlineMs, signal);
    },
  };
}

function leaseOf(path: string, body: unknown): Lease {
  const parsed = leaseSchema.safeParse(body);
  if (!parsed.success) throw badAnswer(`GET ${path}`, 'it is not a Lease', parsed.error);
  const { spec = {} } = parsed.data;
  const seconds = spec.leaseDurationSeconds;
  return {
    holder: spec.holderIdentity ?? '',
    durationMs: seconds === undefined ? undefined : seconds * 1000,
    renewTime: spec.renewTime,
    acquireTime: spec.acquireTime,
    transitions: spec.leaseTransitions ?? 0,
    object: parsed.data,
  };
}

function alreadyExists(error: unknown): boolean {
  return error instanceof KubernetesError && error.reason === 'AlreadyExists';
}
