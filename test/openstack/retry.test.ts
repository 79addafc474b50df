import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EgressRefused } from '../../src/http/egress.ts';
import { ConnectionFailed, HttpFailure, MalformedResponse } from '../../src/openstack/errors.ts';
import {
  classify,
  createRetryBudget,
  defaultRetryPolicy,
  type RetryBudget,
  retryAfterMs,
  type Verdict,
  withRetries,
} from '../../src/openstack/retry.ts';
import { ManualClock } from './manual-clock.ts';

const answer = (status: number, retryAfterMs?: number) =>
  new HttpFailure({ method: 'GET', url: 'http://h/', status, serverMessage: '', requestId: undefined, retryAfterMs });
const socket = (code: string) => new ConnectionFailed('http://h', Object.assign(new Error(code), { code }));

/** Runs a call that fails with `failures` one after the other and then succeeds. */
async function run(
  failures: unknown[],
  options: {
    signal?: AbortSignal;
    policy?: Partial<typeof defaultRetryPolicy>;
    budget?: RetryBudget;
    endpoints?: number;
  } = {},
) {
  const clock = new ManualClock();
  const context = {
    policy: { ...defaultRetryPolicy, ...options.policy },
    budget: options.budget ?? createRetryBudget(),
    clock,
    random: () => 0.5,
    signal: options.signal ?? new AbortController().signal,
  };
  let tries = 0;
  const result = await withRetries(context, {
    once: async () => {
      const failure = failures[tries++];
      if (failure !== undefined) throw failure;
      return 'done';
    },
    verdict: (error) => classify(error, true),
    hasUntried: () => tries < (options.endpoints ?? 1),
  }).catch((error: unknown) => error);
  return { result, tries, slept: clock.slept };
}

test('a call is tried four times, waiting longer each time, and then fails with the last failure', async () => {
  const last = answer(503);
  const { result, tries, slept } = await run([socket('ECONNRESET'), answer(503), answer(503), last, answer(503)]);
  assert.equal(result, last);
  assert.equal(tries, 4);
  assert.deepEqual(slept, [500, 1000, 2000]);
});

test('a success ends the tries', async () => {
  assert.deepEqual(await run([answer(503)]), { result: 'done', tries: 2, slept: [500] });
});

test('Retry-After is waited for, where it asks for more than the pause', async () => {
  assert.deepEqual((await run([answer(503, 3000), answer(429, 100)])).slept, [3000, 1000]);
});

test('a Retry-After beyond the patience of a call ends it', async () => {
  const busy = answer(503, 60_000);
  assert.deepEqual(await run([busy]), { result: busy, tries: 1, slept: [] });
});

test('the patience that one endpoint asks for does not keep a call from the next', async () => {
  const closed = answer(503, 3_600_000);
  assert.deepEqual(await run([closed], { endpoints: 2 }), { result: 'done', tries: 2, slept: [500] });
  assert.equal((await run([closed, closed], { endpoints: 2 })).tries, 2);
});

test('the deadline ends the tries before a pause that would pass it', async () => {
  assert.equal((await run([answer(503), answer(503)], { policy: { deadlineMs: 600 } })).tries, 2);
});

test('an abort ends the tries with its own reason', async () => {
  const reason = new Error('the resource was deleted');
  assert.equal((await run([answer(503)], { signal: AbortSignal.abort(reason) })).result, reason);
});

test('the pause is spread by half on either side', async () => {
  for (const [random, slept] of [
    [0, 250],
    [0.999999, 750],
  ] as const) {
    const clock = new ManualClock();
    const { signal } = new AbortController();
    const context = { policy: defaultRetryPolicy, budget: createRetryBudget(), clock, random: () => random, signal };
    let first = true;
    await withRetries(context, {
      once: async () => {
        if (!first) return;
        first = false;
        throw answer(503);
      },
      verdict: (error) => classify(error, true),
      hasUntried: () => false,
    });
    assert.equal(Math.round(clock.slept[0] ?? 0), slept);
  }
});

test('what may be tried again, where, and what only when the call is idempotent', () => {
  const cases: [error: unknown, always: Verdict, whenIdempotent: Verdict][] = [
    // Nothing can have been applied: there was no connection.
    ...['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT'].map(
      (code): [unknown, Verdict, Verdict] => [socket(code), 'anywhere', 'anywhere'],
    ),
    [socket('ECONNRESET'), 'never', 'anywhere'],
    [socket('DeadlineExceeded'), 'never', 'anywhere'],
    [socket('DEPTH_ZERO_SELF_SIGNED_CERT'), 'elsewhere', 'elsewhere'],
    [socket('UNABLE_TO_VERIFY_LEAF_SIGNATURE'), 'elsewhere', 'elsewhere'],
    [socket('CERT_HAS_EXPIRED'), 'elsewhere', 'elsewhere'],
    [socket('ERR_TLS_CERT_ALTNAME_INVALID'), 'elsewhere', 'elsewhere'],
    [socket('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED'), 'elsewhere', 'elsewhere'],
    [new EgressRefused({ cause: 'denied', host: 'a', shown: 'a', problem: 'is denied' }), 'elsewhere', 'elsewhere'],
    [answer(503), 'anywhere', 'anywhere'],
    [answer(429), 'never', 'anywhere'],
    [answer(502), 'never', 'anywhere'],
    [answer(504), 'never', 'anywhere'],
    ...[400, 401, 403, 404, 409, 410, 413, 415, 500, 501].map((status): [unknown, Verdict, Verdict] => [
      answer(status),
      'never',
      'never',
    ]),
    [new MalformedResponse('no JSON', undefined), 'never', 'never'],
    [new TypeError('a bug'), 'never', 'never'],
  ];
  for (const [error, always, whenIdempotent] of cases) {
    assert.equal(classify(error, false), always, String(error));
    assert.equal(classify(error, true), whenIdempotent, String(error));
  }
});

test('a failure that is about the endpoint is tried again only where there is another one', async () => {
  const distrusted = socket('CERT_HAS_EXPIRED');
  assert.equal((await run([distrusted])).tries, 1);
  assert.deepEqual(await run([distrusted], { endpoints: 2 }), { result: 'done', tries: 2, slept: [500] });
  assert.equal((await run([distrusted, distrusted], { endpoints: 2 })).tries, 2);
});

test('with an empty budget only first tries are made, one at each endpoint', async () => {
  const empty = createRetryBudget({ capacity: 0, refill: 0 });
  const failures = Array.from({ length: 9 }, () => answer(503));
  assert.equal((await run(failures, { budget: empty })).tries, 1);
  assert.equal((await run(failures, { budget: empty, endpoints: 2 })).tries, 2);
  assert.equal((await run(failures, { budget: empty, endpoints: 9 })).tries, 4);
});

test('refusals fill the budget as successes do, since they are answers', async () => {
  const budget = createRetryBudget({ capacity: 1, refill: 0.5 });
  budget.failed();
  await run([answer(404)], { budget });
  await run([], { budget });
  assert.ok(budget.failed());
});

test('Retry-After is seconds or a date, and anything else is nothing', () => {
  const now = new Date('2026-01-01T00:00:00Z');
  for (const [header, expected] of [
    ['5', 5000],
    [' 0 ', 0],
    ['Thu, 01 Jan 2026 00:00:10 GMT', 10_000],
    ['Wed, 31 Dec 2025 00:00:10 GMT', 0],
    ['soon', undefined],
    ['-1', undefined],
    ['1.5', undefined],
    [undefined, undefined],
  ] as const) {
    assert.equal(retryAfterMs(header, now), expected, header);
  }
});
