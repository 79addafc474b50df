/** The requests to publishers: when, how often, and for which resources. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { SourceSecrets } from '../../../src/source/kind.ts';
import { type Asked, createPublishers, type Demand, nextTick } from '../../../src/source/resolve/publishers.ts';
import { resolve } from '../../../src/source/resolve/resolve.ts';
import type { SourceTransport } from '../../../src/source/transport.ts';
import { defaultLimits } from '../../../src/transfer/plan.ts';
import { createVirtualClock } from '../../clock.ts';

const hex = 'a'.repeat(64);
const minute = 60_000;
const day = 24 * 60 * minute;

interface Response {
  status?: number;
  body?: string;
  headers?: Record<string, string>;
}

/** Publishers whose servers send what `respond` says; `undefined`: nothing, until the request is aborted. */
function publishersOf(
  respond: (url: URL, headers: Record<string, string>) => Response | undefined,
  secrets: (namespace: string) => SourceSecrets = () => ({}),
) {
  const clock = createVirtualClock();
  const requests: { url: string; atMs: number }[] = [];
  const changes: string[] = [];
  const onChange: (() => void)[] = [];
  const transport: SourceTransport = {
    async get(url, headers, signal) {
      requests.push({ url: url.href, atMs: clock.monotonic() });
      const response = respond(url, headers);
      if (response === undefined)
        return new Promise((_, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
        );
      const { status = 200, body = '', headers: sent = {} } = response;
      return { status, header: (name) => sent[name], body: Readable.from([Buffer.from(body)]), isPublic: true };
    },
    close: async () => undefined,
  };
  const publishers = createPublishers({
    secretsOf: async (namespace) => secrets(namespace),
    ask: ({ question, known, secrets: { keys = [] }, declaredFor }, signal) =>
      resolve(question, known, {
        ...{ keys, declared: {}, declaredFor, transport, limits: defaultLimits, clock, random: () => 0.5, signal },
      }),
    onChange: (key) => {
      changes.push(key);
      for (const listener of onChange) listener();
    },
    clock,
    random: () => 0.5,
  });
  return { publishers, clock, requests, changes, onChange };
}

function asked(host = 'images.example.com', fields: Partial<Asked> = {}): Asked {
  return {
    question: {
      url: `https://${host}/SHA256SUMS`,
      isSigned: false,
      looksFor: { kind: 'checksums', file: `https://${host}/disk.qcow2`, name: undefined },
    },
    secrets: [],
    declaredFor: `https://${host}`,
    ...fields,
  };
}

const list = { body: `${hex}  disk.qcow2\n`, headers: { etag: '"1"' } };
const once: Demand = { intervalMs: undefined, isPinned: false };
const daily: Demand = { intervalMs: day, isPinned: true };

describe('questions of many resources', () => {
  test('equal questions of a thousand resources are one request', async () => {
    const { publishers, clock, requests, changes } = publishersOf(() => list);
    const keys = Array.from({ length: 1000 }, (_, at) => `team-${at % 7}/image-${at}`);
    for (const key of keys) assert.equal(publishers.read(key, asked(), once).reading.kind, 'pending');
    await clock.advance(0);
    assert.equal(requests.length, 1);
    assert.deepEqual(changes, keys);
    for (const key of keys) assert.equal(publishers.read(key, asked(), once).reading.kind, 'resolved');
    assert.equal(requests.length, 1);
  });

  test('files that are read themselves, one for each namespace, delay no list', async () => {
    const fileOf = (name: string): Asked => {
      const url = `https://slow.example.com/${name}`;
      return {
        question: { url, isSigned: false, looksFor: { kind: 'firstUse', file: url } },
        secrets: [],
        declaredFor: undefined,
      };
    };
    const { publishers, clock, requests } = publishersOf(({ host }) =>
      host === 'slow.example.com' ? undefined : list,
    );
    for (let at = 0; at < 30; at++) publishers.read(`a/${at}`, fileOf(`a-${at}`), once);
    for (let at = 0; at < 30; at++) publishers.read(`${at}/file`, fileOf(`${at}`), once);
    await clock.advance(0);
    assert.equal(requests.length, 8);
    assert.equal(requests.filter(({ url }) => url.includes('/a-')).length, 1);
    publishers.read('b/list', asked(), once);
    await clock.advance(0);
    assert.equal(publishers.read('b/list', asked(), once).reading.kind, 'resolved');
    await publishers.close();
  });

  test('questions with a Secret are not those of another namespace', async () => {
    const need = { use: 'headers' as const, ref: { name: 'token' }, field: 'x' };
    const secret = asked('images.example.com', { secrets: [need] });
    const { publishers, clock, requests } = publishersOf(() => list);
    for (const key of ['a/1', 'a/2', 'b/1']) publishers.read(key, secret, once);
    await clock.advance(0);
    assert.equal(requests.length, 2);
  });

  test('an unchanged list is one request for each interval, and wakes no resource', async () => {
    const { publishers, clock, requests, changes } = publishersOf((_, headers) =>
      headers['if-none-match'] === '"1"' ? { status: 304 } : list,
    );
    publishers.read('a/1', asked(), once);
    await clock.advance(0);
    changes.length = 0;
    for (let days = 0; days < 5; days++) {
      const { reading, nextMs = assert.fail() } = publishers.read('a/1', asked(), daily);
      assert.equal(reading.kind, 'resolved');
      await clock.advance(nextMs);
      publishers.read('a/1', asked(), daily);
      await clock.advance(0);
    }
    assert.equal(requests.length, 6);
    assert.deepEqual(changes, []);
  });

  test('a resource with a resolution from before a restart does not ask at once', async () => {
    const { publishers, clock, requests } = publishersOf(() => list);
    publishers.read('a/0', asked('zero.example.com'), daily);
    const { reading, nextMs = assert.fail() } = publishers.read('a/1', asked(), daily);
    assert.equal(reading.kind, 'pending');
    assert.ok(nextMs > 0 && nextMs <= 60 * minute);
    await clock.advance(nextMs);
    publishers.read('a/1', asked(), daily);
    await clock.advance(0);
    assert.ok(requests.some(({ url }) => url.includes('images')));
  });

  test('a new list wakes all its resources', async () => {
    let body = list.body;
    const { publishers, clock, changes } = publishersOf(() => ({ body }));
    for (const key of ['a/1', 'b/1']) publishers.read(key, asked(), once);
    await clock.advance(0);
    changes.length = 0;
    body = `${'b'.repeat(64)}  disk.qcow2\n`;
    const { nextMs = 0 } = publishers.read('a/1', asked(), daily);
    await clock.advance(nextMs);
    publishers.read('a/1', asked(), daily);
    await clock.advance(0);
    assert.deepEqual(changes, ['a/1', 'b/1']);
    const { reading } = publishers.read('b/1', asked(), daily);
    assert.ok(reading.kind === 'resolved' && reading.resolution.digest.endsWith('bbb'));
  });

  test('a reading from before a time that is asked for does not count', async () => {
    const { publishers, clock, requests, changes, onChange } = publishersOf(() => list);
    publishers.read('a/1', asked(), once);
    await clock.advance(1000);
    changes.length = 0;
    const seen: string[] = [];
    onChange.push(() => seen.push(publishers.read('a/1', asked(), again).reading.kind));
    const again = { ...once, sinceMs: clock.monotonic() };
    assert.equal(publishers.read('a/1', asked(), again).reading.kind, 'pending');
    seen.length = 0;
    await clock.advance(0);
    assert.deepEqual(seen, ['resolved'], 'the result is there when the resource is woken');
    assert.equal(publishers.read('a/1', asked(), again).reading.kind, 'resolved');
    assert.equal(requests.length, 2);
    assert.deepEqual(changes, ['a/1'], 'the resource is woken, although the result is the same');
  });

  test('a failure is retried with growing delays, also by a thousand resources, and forgotten when the server responds', async () => {
    let isDown = true;
    const { publishers, clock, requests } = publishersOf(() => (isDown ? { status: 503 } : list));
    const keys = Array.from({ length: 1000 }, (_, at) => `a/${at}`);
    for (let at = 0; at < 10 * 60; at++) {
      for (const key of keys.slice(0, 20)) publishers.read(key, asked(), once);
      await clock.advance(1000);
    }
    assert.ok(requests.length >= 5 && requests.length <= 12, `${requests.length} requests in 10 minutes`);
    const { reading, nextMs = assert.fail() } = publishers.read('a/1', asked(), once);
    assert.ok(reading.kind === 'failed' && reading.error.code === 'SourceUnavailable');
    isDown = false;
    await clock.advance(nextMs);
    publishers.read('a/1', asked(), once);
    await clock.advance(0);
    assert.equal(publishers.read('a/1', asked(), once).reading.kind, 'resolved');
  });

  test('servers that stall delay no other, and each ends by its deadline', async () => {
    const { publishers, clock } = publishersOf(({ host }) => (host.startsWith('stalls') ? undefined : list));
    for (let at = 0; at < 30; at++)
      publishers.read(`bad/${at}`, asked('stalls.example.com', { declaredFor: `${at}` }), once);
    await clock.advance(0);
    publishers.read('good/1', asked(), once);
    await clock.advance(0);
    assert.equal(publishers.read('good/1', asked(), once).reading.kind, 'resolved');
    await clock.advance(2 * minute);
    const { reading } = publishers.read('bad/0', asked('stalls.example.com', { declaredFor: '0' }), once);
    assert.ok(reading.kind === 'failed' && reading.error.code === 'SourceSilent');
  });

  test('a resource that is gone is not woken by changes, and another question of one replaces the first', async () => {
    const { publishers, clock, changes, requests } = publishersOf(() => list);
    publishers.read('a/1', asked(), once);
    publishers.read('a/2', asked(), once);
    publishers.read('a/2', asked('other.example.com'), once);
    publishers.forget('a/1');
    await clock.advance(0);
    assert.deepEqual(changes, ['a/2']);
    assert.equal(requests.length, 2);
  });

  test('closing aborts what is running, and nothing starts afterwards', async () => {
    const { publishers, clock, requests, changes } = publishersOf(() => undefined);
    publishers.read('a/1', asked(), once);
    await clock.advance(0);
    await publishers.close();
    publishers.read('a/2', asked('other.example.com'), once);
    await clock.advance(minute);
    assert.equal(requests.length, 1);
    assert.deepEqual(changes, []);
  });
});

describe('the spread of questions', () => {
  for (const [name, intervalMs] of [
    ['ten minutes', 10 * minute],
    ['an hour', 60 * minute],
    ['a day', day],
  ] as const)
    test(`no second has more than three times the mean of a thousand questions with an interval of ${name}`, () => {
      const mean = 1000 / (Math.min(intervalMs, 60 * minute) / 1000);
      const most = Math.max(1, 3 * mean);
      for (const round of [0, 1, 7]) {
        const bySecond = new Map<number, number>();
        for (let number = 0; number < 1000; number++) {
          const tick = nextTick({ number, beganMs: 500 }, intervalMs, round * intervalMs);
          const second = Math.floor(tick / 1000);
          bySecond.set(second, (bySecond.get(second) ?? 0) + 1);
        }
        assert.ok(Math.max(...bySecond.values()) <= most);
      }
    });

  test('the next time is later, by no more than the interval', () => {
    const ms = fc.integer({ min: 0, max: 10 * day });
    fc.assert(
      fc.property(
        fc.nat(5000),
        ms,
        fc.integer({ min: minute, max: day }),
        ms,
        (number, beganMs, intervalMs, laterMs) => {
          const after = beganMs + laterMs;
          const tick = nextTick({ number, beganMs }, intervalMs, after);
          assert.ok(tick > after - 1e-3 && tick <= after + intervalMs + 1e-3);
          assert.ok(Math.abs(nextTick({ number, beganMs }, intervalMs, tick) - tick - intervalMs) < 1e-2);
        },
      ),
    );
  });
});
