/**
 * A Lease as the API server keeps it, in memory and in the test's own time: optimistic locking, and responses that fail
 * or come late.
 */
import type { Lease, LeaseClient, Written } from '../../src/kubernetes/lease.ts';
import type { Clock } from '../../src/lib/clock.ts';

/** The outcome of one call: processed or not, with a response or not, and when. */
export interface Fate {
  carriedOut: boolean;
  answered: boolean;
  /** On the way there, and on the way back. */
  delayMs: number;
}

export const wellMet: Fate = { carriedOut: true, answered: true, delayMs: 5 };

export interface LeaseServer {
  /** The calls of one process; `fate` is asked for each of them. */
  client(fate?: () => Fate): LeaseClient;
  readonly lease: Lease | undefined;
  /** `kubectl delete lease`. */
  remove(): void;
  /** `kubectl label lease`. */
  label(): void;
  /** Puts another's name on it. */
  usurp(holder: string): void;
}

export function createLeaseServer(clock: Clock): LeaseServer {
  let lease: Lease | undefined;
  let version = 0;

  function store(fields: Partial<Lease> & { holder: string }): Lease {
    version++;
    const object = { metadata: { resourceVersion: String(version) } };
    const before = lease ?? { durationMs: undefined, renewTime: undefined, transitions: 0 };
    lease = { ...before, ...fields, object };
    return lease;
  }

  function write(over: Lease | undefined, fields: Partial<Lease> & { holder: string }): Written {
    const current = over?.object.metadata.resourceVersion === lease?.object.metadata.resourceVersion;
    return current ? { kind: 'written', lease: store(fields) } : { kind: 'overtaken' };
  }

  return {
    get lease() {
      return lease;
    },
    remove() {
      lease = undefined;
    },
    label() {
      if (lease !== undefined) store({ holder: lease.holder });
    },
    usurp: (holder) => void store({ holder, renewTime: clock.now().toISOString() }),
    client(fate = () => wellMet) {
      async function call<T>(deadlineMs: number, signal: AbortSignal, work: () => T): Promise<T> {
        const { carriedOut, answered, delayMs } = fate();
        const until = clock.monotonic() + deadlineMs;
        // A request that was sent arrives, even if its caller no longer waits for the response.
        let result: { of: T } | undefined;
        const arrived = clock.sleep(delayMs).then(() => {
          if (carriedOut) result = { of: work() };
        });
        await Promise.race([arrived, clock.sleep(deadlineMs, signal)]);
        signal.throwIfAborted();
        await clock.sleep(Math.min(delayMs, Math.max(0, until - clock.monotonic())), signal);
        if (result === undefined || !answered || clock.monotonic() >= until) throw new Error('no response');
        return result.of;
      }
      return {
        at: { namespace: 'test', name: 'lease' },
        read: (deadlineMs, signal) => call(deadlineMs, signal, () => lease),
        hold(over, { identity, durationMs }, deadlineMs, signal) {
          const renewTime = clock.now().toISOString();
          const transitions = over?.holder === identity ? over.transitions : (over?.transitions ?? -1) + 1;
          return call(deadlineMs, signal, () => write(over, { holder: identity, durationMs, renewTime, transitions }));
        },
        release: (held, deadlineMs, signal) => call(deadlineMs, signal, () => write(held, { holder: '' })),
      };
    },
  };
}
