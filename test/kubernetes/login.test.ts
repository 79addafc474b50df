import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogin } from '../../src/kubernetes/login.ts';
import type { Review } from '../../src/kubernetes/reviews.ts';
import { abortable, neverAborted } from '../../src/lib/abort.ts';
import { createVirtualClock } from '../clock.ts';

/** A server that knows the tokens in `users`, and records the reviews. */
function create() {
  const clock = createVirtualClock();
  const users = new Map<string, Review>([
    ['good', { kind: 'allowed' }],
    ['poor', { kind: 'forbidden', user: 'poor' }],
  ]);
  const asked: string[] = [];
  const state = { down: false };
  const logIn = createLogin({
    path: '/metrics',
    clock,
    review: async (token, path) => {
      assert.equal(path, '/metrics');
      asked.push(token);
      if (state.down) throw new Error('no route to host');
      return users.get(token) ?? { kind: 'unauthenticated' };
    },
  });
  const kindOf = async (token: string) => (await logIn(`Bearer ${token}`, neverAborted())).kind;
  return { clock, users, asked, state, logIn, kindOf };
}

test('a token that was allowed counts for a minute, and a rejected one is reviewed again after ten seconds', async () => {
  const { clock, asked, kindOf } = create();
  for (let second = 0; second < 60; second++) {
    assert.equal(await kindOf('good'), 'allowed');
    assert.equal(await kindOf('poor'), 'forbidden');
    assert.equal(await kindOf('wrong'), 'unauthenticated');
    await clock.advance(1000);
  }
  const count = (token: string) => asked.filter((each) => each === token).length;
  assert.deepEqual([count('good'), count('poor'), count('wrong')], [1, 6, 6]);
  await kindOf('good');
  assert.equal(count('good'), 2);
});

test('a permission that is taken away ends the access within a minute', async () => {
  const { clock, users, kindOf } = create();
  assert.equal(await kindOf('good'), 'allowed');
  users.delete('good');
  await clock.advance(59_000);
  assert.equal(await kindOf('good'), 'allowed');
  await clock.advance(1_000);
  assert.equal(await kindOf('good'), 'unauthenticated');
  assert.equal(await kindOf('good'), 'unauthenticated');
});

test('one token that many requests send at the same time is reviewed once', async () => {
  const { asked, kindOf } = create();
  assert.deepEqual(new Set(await Promise.all(Array.from({ length: 50 }, () => kindOf('good')))), new Set(['allowed']));
  assert.deepEqual(asked, ['good']);
});

test('a client that leaves does not end the review that others with the same token wait for', async () => {
  const released = Promise.withResolvers<void>();
  const logIn = createLogin({
    path: '/metrics',
    clock: createVirtualClock(),
    review: (_token, _path, signal) =>
      abortable(
        released.promise.then(() => ({ kind: 'allowed' as const })),
        signal,
      ),
  });
  const leaving = new AbortController();
  const first = logIn('Bearer good', leaving.signal);
  const second = logIn('Bearer good', neverAborted());
  leaving.abort(new Error('the client has left'));
  assert.equal((await first).kind, 'unavailable');
  released.resolve();
  assert.equal((await second).kind, 'allowed');
});

test('a flood of invalid tokens causes at most five reviews a second, and does not lock out a token that was allowed', async () => {
  const { clock, asked, kindOf } = create();
  assert.equal(await kindOf('good'), 'allowed');
  for (let second = 0; second < 120; second++) {
    await clock.advance(1000);
    const before = asked.length;
    const kinds = await Promise.all(Array.from({ length: 100 }, (_, at) => kindOf(`wrong-${second}-${at}`)));
    assert.equal(kinds.filter((kind) => kind === 'unauthenticated').length, 5);
    assert.equal(kinds.filter((kind) => kind === 'busy').length, 95);
    assert.equal(await kindOf('good'), 'allowed');
    assert.ok(asked.length - before <= 6);
  }
});

test('while the API server is out of reach, a token that was allowed in the last ten minutes counts, and no other', async () => {
  const { clock, state, kindOf } = create();
  assert.equal(await kindOf('good'), 'allowed');
  state.down = true;
  assert.equal(await kindOf('other'), 'unavailable');
  for (let minute = 1; minute < 10; minute++) {
    await clock.advance(60_000);
    assert.equal(await kindOf('good'), 'allowed', `minute ${minute}`);
  }
  await clock.advance(60_000);
  assert.equal(await kindOf('good'), 'unavailable');
  state.down = false;
  await clock.advance(1_000);
  assert.equal(await kindOf('good'), 'allowed');
});

test('a request without a usable token is rejected without a review', async () => {
  const { asked, logIn } = create();
  for (const header of [
    undefined,
    '',
    'Bearer',
    'Bearer  ',
    'Basic Z29vZDo=',
    'good',
    'Bearer a b',
    'Bearer tök',
    `Bearer ${'a'.repeat(16_385)}`,
  ])
    assert.equal((await logIn(header, neverAborted())).kind, 'unauthenticated', header);
  assert.deepEqual(asked, []);
});
