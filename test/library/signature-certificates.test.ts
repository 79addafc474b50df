import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import { barbicanCertificates, cachedCertificates, fixedCertificates } from '../../src/library/certificates.ts';
import { CertificateUnavailable } from '../../src/library/signature-errors.ts';
import { createVirtualClock } from '../clock.ts';
import { vectors } from './signature-vectors.ts';

const { signal } = new AbortController();
const pem = vectors.certificates['SECT409K1'] ?? '';

describe('fixed certificates', () => {
  test('certificates are found by their ids, and others are not', async () => {
    const store = fixedCertificates(new Map([['mine', pem]]));
    assert.equal((await store.get('mine', signal)).fingerprint256, new X509Certificate(pem).fingerprint256);
    await assert.rejects(store.get('yours', signal), CertificateUnavailable);
  });

  test('unreadable certificates are rejected immediately, by id', () => {
    assert.throws(
      () => fixedCertificates(new Map([['mine', 'PEM']])),
      (error) =>
        error instanceof CertificateUnavailable && error.message.startsWith('mine is not an X.509 certificate'),
    );
  });
});

describe('cached certificates', () => {
  /** A cache of two entries, and its requests to its store. */
  function cacheOfTwo() {
    const clock = createVirtualClock();
    const asked: string[] = [];
    const certificate = new X509Certificate(pem);
    let failure: Error | undefined;
    const store = {
      async get(id: string) {
        asked.push(id);
        if (failure !== undefined) throw failure;
        return certificate;
      },
    };
    const cache = cachedCertificates(store, { clock, maxEntries: 2, maxAgeMs: 1000 });
    return {
      clock,
      asked,
      fail: (error: Error | undefined) => {
        failure = error;
      },
      get: async (...ids: string[]) => {
        for (const id of ids) assert.equal(await cache.get(id, signal), certificate);
      },
    };
  }

  test('certificates are requested once, until they are too old', async () => {
    const { clock, asked, get } = cacheOfTwo();
    await get('a', 'a');
    await clock.advance(999);
    await get('a');
    assert.deepEqual(asked, ['a']);
    // Being used does not make it younger.
    await clock.advance(1);
    await get('a', 'a');
    assert.deepEqual(asked, ['a', 'a']);
  });

  test('the number of cached certificates is bounded, and the least recently used one is dropped', async () => {
    const { asked, get } = cacheOfTwo();
    await get('a', 'b', 'a', 'c', 'a');
    assert.deepEqual(asked, ['a', 'b', 'c']);
    await get('b');
    assert.deepEqual(asked, ['a', 'b', 'c', 'b']);
  });

  test('the cache of certificates keeps no failure, and no certificate beyond its age because of one', async () => {
    const { clock, asked, get, fail } = cacheOfTwo();
    const failure = new CertificateUnavailable('busy');
    fail(failure);
    await assert.rejects(get('a'), failure);
    fail(undefined);
    await get('a');
    await clock.advance(1000);
    fail(failure);
    await assert.rejects(get('a'), failure);
    assert.deepEqual(asked, ['a', 'a', 'a']);
  });
});

async function* bodyOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

describe('certificates of the key manager', () => {
  const id = '6b1fd7a2-0000-4000-8000-000000000001';

  test('a key manager that sends a certificate byte by byte is given up after a minute', async () => {
    const clock = createVirtualClock();
    async function* drip(until: AbortSignal) {
      for (;;) {
        await clock.sleep(30_000, until);
        yield Buffer.from('x');
      }
    }
    const session = {
      async download(_: string, request: { signal: AbortSignal }) {
        return { status: 200, headers: {}, requestId: undefined, body: drip(request.signal) };
      },
    };
    let error: unknown;
    void barbicanCertificates(session, clock)
      .get(id, signal)
      .catch((thrown: unknown) => {
        error = thrown;
      });
    for (let seconds = 0; seconds < 90; seconds += 30) await clock.advance(30_000);
    await clock.advance(0);
    assert.ok(error instanceof CertificateUnavailable && error.code === 'KeyManagerUnavailable', String(error));
    assert.match(error.message, /certificate 6b1fd7a2-.* took longer than 60 s/);
    assert.equal(clock.pending, 0);
  });

  test('only the UUID of a reference gets into the path of a request for a certificate', async () => {
    const paths: string[] = [];
    const session = {
      async download(_: string, { path }: { path: string }) {
        paths.push(path);
        return { status: 200, headers: {}, requestId: undefined, body: bodyOf(pem) };
      },
    };
    const store = barbicanCertificates(session);
    for (const ref of [id, `https://elsewhere.example.com/v1/secrets/${id}`, `/../../x/${id}/`])
      assert.equal((await store.get(ref, signal)).fingerprint256, new X509Certificate(pem).fingerprint256);
    assert.deepEqual(new Set(paths), new Set([`/secrets/${id}/payload`]));
    for (const ref of ['', '..', `${id}/../x`, `${id}x`, `x${id}`, `${id}?y`, 'x'.repeat(255)])
      await assert.rejects(store.get(ref, signal), /not the id of a secret, which is a UUID/);
    assert.equal(paths.length, 3);
  });

  test('a certificate without end is rejected at 64 KiB', async () => {
    let sent = 0;
    async function* endless() {
      for (; sent < 2 ** 24; sent += 4096) yield Buffer.alloc(4096);
    }
    const session = {
      download: async () => ({ status: 200, headers: {}, requestId: undefined, body: endless() }),
    };
    await assert.rejects(barbicanCertificates(session).get(id, signal), /is larger than 65536 bytes/);
    assert.ok(sent <= 2 ** 17, String(sent));
  });

  test('a caller that aborts the request for a certificate gets the reason', async () => {
    const clock = createVirtualClock();
    const controller = new AbortController();
    const reason = new Error('enough');
    const session = {
      async download(_: string, request: { signal: AbortSignal }): Promise<never> {
        controller.abort(reason);
        throw request.signal.reason;
      },
    };
    await assert.rejects(barbicanCertificates(session, clock).get(id, controller.signal), reason);
  });
});
