/** The two kinds of connections to servers of users, each with one call. */
import assert from 'node:assert/strict';
import type { EgressPolicy } from '../../src/http/egress.ts';
import { createTrust } from '../../src/http/trust.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { describe } from '../../src/lib/errors.ts';
import { createTransport } from '../../src/openstack/transport.ts';
import { fetchFollowing } from '../../src/source/request.ts';
import { createSourceTransport } from '../../src/source/transport.ts';

const signal = new AbortController().signal;

export interface Peer extends AsyncDisposable {
  get(url: string): Promise<string>;
}

/** Everything that connects to servers of users. */
export const peers = {
  source(policy: EgressPolicy, ...installed: string[]): Peer {
    const trust = createTrust();
    trust.set(installed);
    const transport = createSourceTransport(policy, { trust });
    const common = { range: {}, declared: {}, declaredFor: undefined, hasDigest: true, transport, signal };
    return {
      async get(url) {
        const clock = systemClock;
        const { response } = await fetchFollowing({ ...common, url, clock, firstByteMs: 30_000 });
        const chunks = await response.body.toArray();
        return `${response.status} ${Buffer.concat(chunks).toString()}`;
      },
      [Symbol.asyncDispose]: () => transport.close(),
    };
  },
  cloud(policy: EgressPolicy, ...installed: string[]): Peer {
    const trust = createTrust();
    trust.set(installed);
    const tls = { ca: undefined, verify: true, client: undefined };
    const transport = createTransport({ tls, trust, egress: policy, userAgent: 'test', clock: systemClock });
    const common = {
      purpose: { service: 'image', operation: 'read' },
      method: 'GET',
      headers: { 'x-auth-token': 't' },
      requestId: 'req-1',
      deadlineMs: 30_000,
      limit: { bytes: 10_000, values: 1000 },
      signal,
    } as const;
    return {
      async get(url) {
        const { status, text } = await transport.request({ ...common, url });
        return `${status} ${text}`;
      },
      [Symbol.asyncDispose]: () => transport.close(),
    };
  },
};

/** The error of a call, which must fail and quote no credentials. */
export async function failureOf(call: Promise<unknown>): Promise<Error> {
  const error = await call.then(
    () => assert.fail('it succeeded'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof Error);
  assert.doesNotMatch(`${describe(error)} ${JSON.stringify(error)}`, /wörd|user:|dXNlc/);
  return error;
}
