import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createEndpoints } from '../../src/openstack/endpoints.ts';
import { ConnectionFailed, HttpFailure } from '../../src/openstack/errors.ts';
import { cloudOf, look, type Reply, reset } from './fake-cloud.ts';
import { ManualClock } from './manual-clock.ts';

const three = ['http://a', 'http://b', 'http://c'];

test('consecutive calls and attempts use the endpoints in rotation', () => {
  const endpoints = createEndpoints(new ManualClock(), () => 0);
  const walk = (tries: number) => {
    const route = endpoints.route();
    return Array.from({ length: tries }, () => route.next(three).at(-1)).join('');
  };
  assert.deepEqual([walk(4), walk(3), walk(2), walk(1)], ['abca', 'bca', 'ca', 'a']);
});

test('the order of endpoints is shuffled once, with the injected random numbers', () => {
  const first = (random: () => number) => {
    const route = createEndpoints(new ManualClock(), random).route();
    return three.map(() => route.next(three)).join(' ');
  };
  assert.equal(
    first(() => 0.99),
    'http://c http://b http://a',
  );
  const orders = new Set(Array.from({ length: 200 }, (_, at) => first(() => (at * 0.6180339) % 1)));
  assert.ok(orders.size > 1);
});

test('concurrent calls each use every endpoint before they use one twice', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.webUrl(), { minLength: 1, maxLength: 5 }),
      fc.array(fc.record({ call: fc.nat(5), fails: fc.boolean() }), { maxLength: 60 }),
      (urls, steps) => {
        const endpoints = createEndpoints(new ManualClock(), () => 0.37);
        const calls = Array.from({ length: 6 }, () => ({ route: endpoints.route(), met: [] as string[] }));
        for (const { call, fails } of steps) {
          const { route, met } = calls[call] ?? assert.fail();
          assert.equal(route.hasUntried(), met.length > 0 && met.length < urls.length);
          met.push(route.next(urls));
          if (fails) route.failed();
          assert.equal(new Set(met).size, Math.min(met.length, urls.length));
        }
      },
    ),
    { seed: 1, numRuns: 200 },
  );
});

test('an endpoint that failed comes last for half a minute', () => {
  const clock = new ManualClock();
  const endpoints = createEndpoints(clock, () => 0);
  const begins = () => endpoints.route().next(three);
  const failing = endpoints.route();
  failing.next(three);
  failing.failed();
  assert.deepEqual([begins(), begins(), begins(), begins()].includes('http://a'), false);
  clock.advance(30_000);
  assert.ok([begins(), begins(), begins()].includes('http://a'));
});

test('a catalog in another order keeps the rotation, and another list starts a new one', () => {
  const endpoints = createEndpoints(new ManualClock(), () => 0);
  const begins = (urls: string[]) => endpoints.route().next(urls);
  assert.deepEqual([begins(three), begins([...three].reverse())], ['http://a', 'http://b']);
  assert.equal(begins(['http://new']), 'http://new');
});

/** Two endpoints, one of which does not work in some way. */
const deaths: [name: string, reply: () => Reply][] = [
  ['refuses connections', () => new ConnectionFailed('http://dead', coded('ECONNREFUSED'))],
  ['cannot be resolved', () => new ConnectionFailed('http://dead', coded('ENOTFOUND'))],
  ['resets connections', () => reset('dead')],
  ['has a certificate that is not trusted', () => new ConnectionFailed('http://dead', coded('CERT_HAS_EXPIRED'))],
  ['returns 503', () => ({ status: 503 })],
];
const coded = (code: string) => Object.assign(new Error(code), { code });

for (const [name, reply] of deaths) {
  for (const atOnce of [false, true]) {
    test(`one endpoint of two that ${name} makes none of 200 calls fail, ${atOnce ? 'all at once' : 'one by one'}`, async (t) => {
      const { session, asked } = cloudOf(t, {
        endpoints: ['http://dead', 'http://glance'],
        at: (url) => (url.startsWith('http://dead') ? reply() : undefined),
      });
      const call = () => session.call('image', look());
      if (atOnce) await Promise.all(Array.from({ length: 200 }, call));
      else for (let calls = 0; calls < 200; calls++) await call();
      assert.equal(asked('http://glance').length, 200);
      assert.ok(asked('http://dead').length > 0);
      if (!atOnce) assert.ok(asked('http://dead').length < 20, 'a dead endpoint is tried only now and then');
    });
  }
}

test('uploads and downloads also go to the other endpoint as long as nothing was sent', async (t) => {
  const { session, asked } = cloudOf(t, {
    endpoints: ['http://dead', 'http://glance'],
    at: (url) =>
      url.startsWith('http://dead') ? new ConnectionFailed('http://dead', coded('ECONNREFUSED')) : undefined,
  });
  async function* body() {
    yield Buffer.from('x');
  }
  const { signal } = new AbortController();
  for (let round = 0; round < 2; round++) {
    await session.upload('image', { operation: 'upload', path: '/images/1/file', body: body(), size: 1, signal });
    await session.download('image', { operation: 'download', path: '/images/1/file', signal });
  }
  assert.equal(asked('http://glance').length, 4);
});

test('the last failure names its endpoint and its cause', async (t) => {
  const { session, asked } = cloudOf(t, {
    endpoints: ['http://one', 'http://two'],
    at: (url) =>
      url.startsWith('http://one')
        ? { status: 503, text: 'busy', requestId: 'req-1' }
        : url.startsWith('http://two')
          ? new ConnectionFailed('http://two', coded('ECONNREFUSED'))
          : undefined,
  });
  const failures = [
    await session.call('image', look()).catch(String),
    await session.call('image', look()).catch(String),
  ];
  assert.equal(asked('http://one').length + asked('http://two').length, 8);
  assert.deepEqual(failures.sort(), [
    'ConnectionFailed: no response from http://two: ECONNREFUSED',
    'HttpFailure: GET http://one/v2/images/1: 503: busy (req-1)',
  ]);
});

test('a cloud that no longer responds gets one request per call', async (t) => {
  const { session, asked } = cloudOf(t, {
    at: (url) => (url.startsWith('http://glance') ? { status: 503 } : undefined),
  });
  const requests = async () => {
    const before = asked('http://glance').length;
    await assert.rejects(session.call('image', look()), HttpFailure);
    return asked('http://glance').length - before;
  };
  const counts = [];
  for (let calls = 0; calls < 30; calls++) counts.push(await requests());
  assert.deepEqual(
    counts.slice(0, 10),
    Array.from({ length: 10 }, () => 4),
  );
  assert.deepEqual(
    counts.slice(-15),
    Array.from({ length: 15 }, () => 1),
  );
});
