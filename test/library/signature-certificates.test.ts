import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import { cachedCertificates, fixedCertificates } from '../../src/library/certificates.ts';
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
