import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EgressRefused } from '../../src/http/egress.ts';
import { ConnectionFailed, HttpFailure, MalformedResponse } from '../../src/openstack/errors.ts';
import {
  classify,
  createRetryBudget,
  defaultRetryPolicy,
  type RetryBudget,
  type RetryTarget,
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
    attempt: async () => {
      const failure = failures[tries++];
      if (failure !== undefined) throw failure;
      return 'done';
    },
    classify: (error) => classify(error, true),
    hasUntried: () => tries < (options.endpoints ?? 1),
  }).catch((error: unknown) => error);
  return { result, tries, slept: clock.slept };
}

test('a call is attempted four times with growing pauses, and fails with the last failure', async () => {
  const last = answer(503);
  const { result, tries, slept } = await run([socket('ECONNRESET'), answer(503), answer(503), last, answer(503)]);
  assert.equal(result, last);
  assert.equal(tries, 4);
  assert.deepEqual(slept, [500, 1000, 2000]);
});

test('a success ends the attempts', async () => {
  assert.deepEqual(await run([answer(503)]), { result: 'done', tries: 2, slept: [500] });
});

test('Retry-After extends the pause if it is longer', async () => {
  assert.deepEqual((await run([answer(503, 3000), answer(429, 100)])).slept, [3000, 1000]);
});

test('a Retry-After beyond the longest pause ends the call', async () => {
  const busy = answer(503, 60_000);
  assert.deepEqual(await run([busy]), { result: busy, tries: 1, slept: [] });
});

test('the Retry-After of one endpoint does not delay the attempt at the next one', async () => {
  const closed = answer(503, 3_600_000);
  assert.deepEqual(await run([closed], { endpoints: 2 }), { result: 'done', tries: 2, slept: [500] });
  assert.equal((await run([closed, closed], { endpoints: 2 })).tries, 2);
});

test('the deadline ends the attempts before a pause that would exceed it', async () => {
  assert.equal((await run([answer(503), answer(503)], { policy: { deadlineMs: 600 } })).tries, 2);
});

test("an abort ends the attempts with the signal's reason", async () => {
  const reason = new Error('the resource was deleted');
  assert.equal((await run([answer(503)], { signal: AbortSignal.abort(reason) })).result, reason);
});

test('the pause is spread by half in both directions', async () => {
  for (const [random, slept] of [
    [0, 250],
    [0.999999, 750],
  ] as const) {
    const clock = new ManualClock();
    const { signal } = new AbortController();
    const context = { policy: defaultRetryPolicy, budget: createRetryBudget(), clock, random: () => random, signal };
    let first = true;
    await withRetries(context, {
      attempt: async () => {
        if (!first) return;
        first = false;
        throw answer(503);
      },
      classify: (error) => classify(error, true),
      hasUntried: () => false,
    });
    assert.equal(Math.round(clock.slept[0] ?? 0), slept);
  }
});

test('a failure is classified by where the call may be sent again, and whether only an idempotent one may', () => {
  const cases: [error: unknown, always: RetryTarget, whenIdempotent: RetryTarget][] = [
    // Nothing can have been applied: there was no connection.
    ...['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT'].map(
      (code): [unknown, RetryTarget, RetryTarget] => [socket(code), 'anywhere', 'anywhere'],
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
    ...[400, 401, 403, 404, 409, 410, 413, 415, 500, 501].map((status): [unknown, RetryTarget, RetryTarget] => [
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

test('a failure of the endpoint is retried only at another endpoint', async () => {
  const distrusted = socket('CERT_HAS_EXPIRED');
  assert.equal((await run([distrusted])).tries, 1);
  assert.deepEqual(await run([distrusted], { endpoints: 2 }), { result: 'done', tries: 2, slept: [500] });
  assert.equal((await run([distrusted, distrusted], { endpoints: 2 })).tries, 2);
});

test('an empty budget allows one attempt at each endpoint and no retry, and then the call fails', async () => {
  const empty = createRetryBudget({ capacity: 0, refill: 0 });
  const failures = Array.from({ length: 9 }, () => answer(503));
  assert.equal((await run(failures, { budget: empty })).tries, 1);
  assert.equal((await run(failures, { budget: empty, endpoints: 2 })).tries, 2);
  assert.equal((await run(failures, { budget: empty, endpoints: 9 })).tries, 4);
});

test('error responses refill the budget as successes do', async () => {
  const budget = createRetryBudget({ capacity: 1, refill: 0.5 });
  budget.failed();
  await run([answer(404)], { budget });
  await run([], { budget });
  assert.ok(budget.failed());
});
