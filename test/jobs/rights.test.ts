import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createJobRights } from '../../src/jobs/rights.ts';
import { KubernetesError } from '../../src/kubernetes/errors.ts';
import { createLogger } from '../../src/lib/log.ts';
import { createVirtualClock } from '../clock.ts';
import { settle } from '../transfer/schedulers.ts';

const never = new AbortController().signal;

/** An API server that grants all rights but those of `missing`, or fails. */
function apiServer(whenLeading = async () => {}) {
  const clock = createVirtualClock();
  const lines: { msg: string; missing?: string }[] = [];
  const log = createLogger('info', { write: (line: string) => void lines.push(JSON.parse(line)) });
  const state = { missing: new Set<string>(), failure: undefined as Error | undefined, reviews: 0 };
  const rights = createJobRights({
    transport: {
      async request({ body }) {
        state.reviews++;
        if (state.failure !== undefined) throw state.failure;
        const text = JSON.stringify(body);
        const right = [...state.missing].find((one) => {
          const [verb, resource] = one.split(' ');
          return text.includes(`"verb":"${verb}"`) && text.includes(`"resource":"${resource}"`);
        });
        assert(text.includes('"namespace":"operator"'));
        return { status: { allowed: right === undefined } };
      },
    },
    namespace: 'operator',
    whenLeading,
    clock,
    log,
  });
  return { clock, lines, state, rights };
}

const unavailable = new KubernetesError('no connection', { reason: 'Unavailable', httpStatus: 503 });

describe('the rights for Jobs', () => {
  test('an operator with all rights may create Jobs, and does not check them again for five minutes', async () => {
    const { clock, lines, state, rights } = apiServer();
    assert.equal(await rights.mayCreate(never), true);
    const { reviews } = state;
    await clock.advance(299_000);
    assert.equal(await rights.mayCreate(never), true);
    assert.deepEqual([state.reviews, lines], [reviews, []]);
    await clock.advance(2_000);
    await rights.mayCreate(never);
    assert.equal(state.reviews, 2 * reviews);
  });

  for (const right of [
    ...['create', 'get', 'list', 'watch', 'delete'].map((verb) => `${verb} jobs`),
    'list pods',
    'watch pods',
    'create secrets',
  ])
    test(`an operator without the right to ${right} says so, and creates no Job`, async () => {
      const { lines, state, rights } = apiServer();
      state.missing.add(right);
      assert.equal(await rights.mayCreate(never), false);
      assert.equal(await rights.mayCreate(never), false);
      assert.deepEqual(
        lines.map(({ msg, missing }) => [msg, missing]),
        [['The operator has no rights for Jobs in its namespace: all transfers run in its own process', right]],
      );
    });

  test('a replica that does not lead asks for no rights, because it may not write', async () => {
    const leading = Promise.withResolvers<void>();
    const { clock, state, rights } = apiServer(() => leading.promise);
    const granted = rights.whenGranted(never);
    await clock.advance(60_000);
    assert.equal(state.reviews, 0);
    leading.resolve();
    await granted;
  });

  test('an operator that gets the rights later creates Jobs from then on', async () => {
    const { clock, state, rights } = apiServer();
    state.missing.add('create jobs');
    let isGranted = false;
    void rights.whenGranted(never).then(() => {
      isGranted = true;
    });
    await settle();
    state.missing.clear();
    await clock.advance(299_000);
    assert.equal(isGranted, false);
    await clock.advance(2_000);
    await settle();
    assert.deepEqual([isGranted, await rights.mayCreate(never)], [true, true]);
  });

  test('while the API server does not respond, new transfers run in the thread, and runs of earlier processes wait to be found', async () => {
    const { clock, lines, state, rights } = apiServer();
    state.failure = unavailable;
    assert.equal(await rights.mayCreate(never), false);
    assert.match(lines.at(-1)?.msg ?? '', /cannot check its rights for Jobs: new transfers run in its own process/);
    let known: boolean | undefined;
    void rights.whenKnown(never).then((answer) => {
      known = answer;
    });
    await clock.advance(60_000);
    assert.deepEqual([known, lines.length], [undefined, 1], 'one problem is logged once');
    state.failure = undefined;
    await clock.advance(6_000);
    await settle();
    assert.equal(known, true);
  });

  test('an operator that may not ask for its rights has none', async () => {
    const { lines, state, rights } = apiServer();
    state.failure = new KubernetesError('no', { reason: 'Forbidden', httpStatus: 403 });
    assert.equal(await rights.whenKnown(never), false);
    assert.equal(lines.at(-1)?.missing, 'create selfsubjectaccessreviews');
  });
});
