import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConnectionFailed, HttpFailure, UnreadableAnswer } from '../../src/openstack/errors.ts';
import { defaultRetryPolicy, isPassing, retryAfterMs, withRetries } from '../../src/openstack/retry.ts';
import { ManualClock } from './manual-clock.ts';

const answer = (status: number, retryAfterMs?: number) =>
  new HttpFailure({ method: 'GET', url: 'http://h/', status, words: '', requestId: undefined, retryAfterMs });
const socket = (code: string) => new ConnectionFailed('http://h', Object.assign(new Error(code), { code }));

/** Runs a call that fails with `failures` one after the other and then succeeds. */
async function run(
  failures: unknown[],
  options: { signal?: AbortSignal; policy?: Partial<typeof defaultRetryPolicy> } = {},
) {
  const clock = new ManualClock();
  const context = {
    policy: { ...defaultRetryPolicy, ...options.policy },
    clock,
    random: () => 0.5,
    signal: options.signal ?? new AbortController().signal,
  };
  let tries = 0;
  const again = (error: unknown) => isPassing(error, true);
  const result = await withRetries(context, again, async () => {
    const failure = failures[tries++];
    if (failure !== undefined) throw failure;
    return 'done';
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
    const context = { policy: defaultRetryPolicy, clock, random: () => random, signal: new AbortController().signal };
    let first = true;
    await withRetries(
      context,
      () => true,
      async () => {
        if (!first) return;
        first = false;
        throw new Error('once');
      },
    );
    assert.equal(Math.round(clock.slept[0] ?? 0), slept);
  }
});

test('what may be tried again, and what only when the call is idempotent', () => {
  const cases: [error: unknown, always: boolean, whenIdempotent: boolean][] = [
    [socket('ECONNREFUSED'), true, true],
    [socket('ECONNRESET'), true, true],
    [socket('ENOTFOUND'), true, true],
    [socket('DEPTH_ZERO_SELF_SIGNED_CERT'), false, false],
    [socket('UNABLE_TO_VERIFY_LEAF_SIGNATURE'), false, false],
    [socket('CERT_HAS_EXPIRED'), false, false],
    [socket('ERR_TLS_CERT_ALTNAME_INVALID'), false, false],
    [answer(503), true, true],
    [answer(429), false, true],
    [answer(502), false, true],
    [answer(504), false, true],
    ...[400, 401, 403, 404, 409, 410, 413, 415, 500, 501].map((status): [unknown, boolean, boolean] => [
      answer(status),
      false,
      false,
    ]),
    [new UnreadableAnswer('no JSON', undefined), false, false],
    [new TypeError('a bug'), false, false],
  ];
  for (const [error, always, whenIdempotent] of cases) {
    assert.equal(isPassing(error, false), always, String(error));
    assert.equal(isPassing(error, true), whenIdempotent, String(error));
  }
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
