/**
 * One Lease (coordination.k8s.io/v1) of the API server. Invariant: it is replaced as a whole and with the resourceVersion
 * that was read, so only one of two concurrent writers succeeds; fields that others have set on the object are kept.
 */
import * as z from 'zod';
import { isAlreadyExists, isConflict, isNotFound, malformedResponse } from './errors.ts';
import { microTime } from './resource.ts';
import type { ApiTransport } from './transport.ts';

export interface Lease {
  /** Empty if it was released, or never held. */
  holder: string;
  /** How long the holder may take to renew it, as the holder declares. */
  durationMs: number | undefined;
  /** When the holder renewed it, by the holder's clock: used only to distinguish two renewals. */
  renewTime: string | undefined;
  transitions: number;
  /** The object as it was read. */
  object: LeaseObject;
}

export interface LeaseAt {
  namespace: string;
  name: string;
}

/** `overtaken`: another client wrote first, or the object was replaced or deleted. */
export type Written = { kind: 'written'; lease: Lease } | { kind: 'overtaken' };

export interface LeaseClient {
  readonly at: LeaseAt;
  /** Undefined if the Lease does not exist. */
  read(deadlineMs: number, signal: AbortSignal): Promise<Lease | undefined>;
  /** Takes or renews the Lease for `identity`, replacing the one that was read; `undefined` creates it. */
  hold(
    over: Lease | undefined,
    claim: { identity: string; durationMs: number },
    deadlineMs: number,
    signal: AbortSignal,
  ): Promise<Written>;
  /** Releases it, so that standbys need not wait for it to expire. */
  release(held: Lease, deadlineMs: number, signal: AbortSignal): Promise<Written>;
}

const leaseSchema = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string() }),
  spec: z
    .looseObject({
      holderIdentity: z.string().optional(),
      leaseDurationSeconds: z.int().optional(),
      renewTime: z.string().optional(),
      leaseTransitions: z.int().optional(),
    })
    .optional(),
});
type LeaseObject = z.infer<typeof leaseSchema>;

/** `transport` should be a separate one: a renewal must not queue behind other calls, nor pass the write fence. */
export function createLeaseClient(transport: ApiTransport, at: LeaseAt, now: () => Date): LeaseClient {
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
      if (isConflict(error) || isNotFound(error) || isAlreadyExists(error)) return { kind: 'overtaken' };
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
  if (!parsed.success) throw malformedResponse(`GET ${path}`, 'it is not a Lease', parsed.error);
  const { spec = {} } = parsed.data;
  const seconds = spec.leaseDurationSeconds;
  return {
    holder: spec.holderIdentity ?? '',
    durationMs: seconds === undefined ? undefined : seconds * 1000,
    renewTime: spec.renewTime,
    transitions: spec.leaseTransitions ?? 0,
    object: parsed.data,
  };
}
