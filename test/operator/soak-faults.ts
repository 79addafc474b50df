/**
 * The faults that an operator meets in a long life, one after the other without an end.
 *
 * Invariant: each fault passes by itself, so that the declared state is reached in the end. The lease is spared,
 * because a process that loses it has to exit.
 */
import type { Fault, FaultProxy, ProxiedRequest, Rule } from '../env/proxy.ts';
import type { SourceFault } from '../env/source.ts';
import { phases, refusal } from './kubernetes-fault-cases.ts';

export interface Servers {
  kubernetes: FaultProxy;
  keystone: FaultProxy;
  glance: FaultProxy;
}

interface Passing {
  server: keyof Servers;
  rule: Rule;
}

/** A number in [0, 1). */
export type Random = () => number;

export function pick<T>(values: readonly T[], random: Random): T {
  const value = values[Math.floor(random() * values.length)];
  if (value === undefined) throw new Error('there is nothing to pick from');
  return value;
}

const anything = ({ path }: ProxiedRequest): boolean => !path.includes('/leases');
const writing = ({ method, path }: ProxiedRequest): boolean => method !== 'GET' && !path.includes('/leases');
const { 'writing the status': status, 'reading a Secret': secret } = phases;

/** A streaming list goes on as a watch. */
const watching = ({ method, path }: ProxiedRequest): boolean => method === 'GET' && /[?&]watch=/.test(path);
const unavailable: Fault = { kind: 'answer', status: 503, headers: { 'retry-after': '1' }, body: 'not now' };
const refused: Fault = { kind: 'answer', status: 401, body: 'this token is over' };

const passing: readonly Passing[] = [
  { server: 'kubernetes', rule: { matches: anything, fault: refusal(401, 'Unauthorized') } },
  { server: 'kubernetes', rule: { matches: anything, fault: refusal(429, 'TooManyRequests', { retryAfter: 1 }) } },
  { server: 'kubernetes', rule: { matches: status, fault: refusal(500, 'InternalError') } },
  { server: 'kubernetes', rule: { matches: secret, fault: refusal(503, 'ServiceUnavailable') } },
  { server: 'kubernetes', rule: { matches: writing, fault: { kind: 'loseAnswer' } } },
  { server: 'kubernetes', rule: { matches: anything, fault: { kind: 'refuse' } } },
  { server: 'keystone', rule: { matches: anything, fault: unavailable } },
  { server: 'keystone', rule: { matches: anything, fault: { kind: 'refuse' } } },
  { server: 'glance', rule: { matches: anything, fault: unavailable } },
  { server: 'glance', rule: { matches: anything, fault: refused } },
  { server: 'glance', rule: { matches: anything, fault: { kind: 'refuse' } } },
  { server: 'glance', rule: { matches: writing, fault: { kind: 'loseAnswer' } } },
  { server: 'glance', rule: { matches: anything, fault: { kind: 'truncate', bytes: 20 } } },
];

/** Something that strikes up to three of the next requests. Returns what ends it, struck or not. */
export function strike(servers: Servers, random: Random): () => void {
  const { server, rule } = pick(passing, random);
  return servers[server].on({ ...rule, times: 1 + Math.floor(random() * 3) });
}

const gone = JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } });
const watchFaults: readonly Fault[] = [
  { kind: 'afterLines', lines: 12, what: { insert: gone } },
  { kind: 'afterLines', lines: 20, what: 'cut' },
  refusal(410, 'Expired'),
  { kind: 'afterLines', lines: 16, what: 'halfLine' },
  { kind: 'afterLines', lines: 8, what: 'end' },
];

/**
 * Watches last minutes, and a fault has to be injected when a watch begins: one of `period` watches gets a fault, a
 * different one each time, and the rest end regularly after little more than a minute.
 */
export function troubleWatches({ kubernetes }: Servers, period: number): void {
  let nth = 0;
  const isCalm = (request: ProxiedRequest) => watching(request) && nth++ % period !== 0;
  const shorten = (path: string) => path.replace(/timeoutSeconds=\d+/, 'timeoutSeconds=65');
  kubernetes.on({ matches: isCalm, fault: { kind: 'rewrite', path: shorten } });
  for (const [at, fault] of watchFaults.entries()) {
    const isNext = (request: ProxiedRequest) =>
      watching(request) && Math.ceil(nth / period) % watchFaults.length === at;
    kubernetes.on({ matches: isNext, fault });
  }
}

/** Glance takes each token for so long only. */
export function shortenTokens({ glance }: Servers, lifeMs: number): void {
  const firstUse = new Map<string, number>();
  const isOver = ({ headers, at }: ProxiedRequest) => {
    const token = String(headers['x-auth-token']);
    const since = firstUse.get(token) ?? at;
    firstUse.set(token, since);
    // A resourceVersion that has expired long ago.
    for (const [old, from] of firstUse) if (at - from > 10 * lifeMs) firstUse.delete(old);
    return at - since > lifeMs;
  };
  glance.on({ matches: isOver, fault: refused });
}

/** Faults of the first requests for a file of so many bytes; later requests succeed. */
export function sourceFaults(bytes: number, random: Random): readonly (SourceFault | null)[] {
  const byte = Math.floor(random() * bytes);
  const kinds: readonly (SourceFault | null)[] = [
    null,
    null,
    { kind: 'resetAt', byte },
    { kind: 'closeAt', byte },
    { kind: 'answer', status: 503, headers: { 'retry-after': '1' } },
  ];
  return [pick(kinds, random), pick(kinds, random)];
}
