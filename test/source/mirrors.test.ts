import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { OperatorError } from '../../src/lib/errors.ts';
import { generated } from '../env/content.ts';
import { type Source as Server, type SourceFile, startSource } from '../env/source.ts';
import { assertFailed, assertHungUp, assertWhole, type DownloadOptions, download, loopback } from './download.ts';

const size = 200_000;
const content = generated(size);
const file = content.slice(0, size);
const half = size / 2;
const longAgo = { 'last-modified': 'Mon, 05 Jan 2026 10:00:00 GMT' };

const transport = loopback();
/** The servers have no public address. */
const nearby = loopback(true);
let servers: [Server, Server, Server];
before(async () => {
  servers = await Promise.all([startSource(), startSource(), startSource()]);
});
after(async () => {
  await assertHungUp(servers);
  await Promise.all([transport.close(), nearby.close()]);
  await Promise.all(servers.map((server) => server.stop()));
});

let count = 0;
/** Downloads from as many servers as there are files, the first being the declared one; `asked` are the requests of each. */
async function get(files: readonly Partial<SourceFile>[], options: Partial<DownloadOptions> = {}) {
  const path = `/${++count}.raw`;
  const [url = '', ...mirrors] = files.map((served, at) => servers[at]?.add(path, { body: content, ...served }) ?? '');
  const result = await download([url, ...mirrors], { servers, transport, ...options });
  const asked = servers.map((server) => server.requests.filter((request) => request.path === path));
  return { ...result, asked, counts: asked.map(({ length }) => length) };
}

const answer = (status: number, headers = {}): Partial<SourceFile> => ({ fault: { kind: 'answer', status, headers } });
const diesAt = (byte: number): Partial<SourceFile> => ({
  faults: [{ kind: 'closeAt', byte }, ...Array(9).fill({ kind: 'answer', status: 503 })],
});

describe('mirrors', () => {
  test('mirrors are not used while the declared URL works', async () => {
    const result = await get([{}, {}]);
    assertWhole(result, file);
    assert.deepEqual(result.counts, [1, 0, 0]);
    assert.equal(result.source?.url, `${servers[0].url}/${count}.raw`);
  });

  for (const status of [404, 410, 403, 401, 400])
    test(`mirrors are used immediately when the declared URL returns ${status}`, async () => {
      const result = await get([answer(status), {}]);
      assertWhole(result, file);
      assert.deepEqual(result.counts, [1, 1, 0]);
      assert.deepEqual(result.pauses, [0]);
      assert.equal(result.source?.url, `${servers[1].url}/${count}.raw`);
      assert.deepEqual(result.resumes, []);
    });

  test('mirrors are used immediately when the declared URL is empty or a redirect loop', async () => {
    assertWhole(await get([{ body: Buffer.alloc(0) }, {}]), file);
    const result = await get([{ fault: { kind: 'redirect', to: `/${count + 1}.raw` } }, {}]);
    assertWhole(result, file);
    assert.deepEqual(result.counts, [1, 1, 0]);
  });

  test('mirrors are used when the declared URL has failed four times', async () => {
    const result = await get([answer(503), {}]);
    assertWhole(result, file);
    assert.deepEqual(result.counts, [4, 1, 0]);
  });

  test('mirrors are used when the declared URL requests a long pause, but not for a short one', async () => {
    const long = await get([answer(503, { 'retry-after': '600' }), {}]);
    assertWhole(long, file);
    assert.deepEqual(long.counts, [1, 1, 0]);
    const short = await get([{ ...answer(429, { 'retry-after': '7' }), times: 1 }, {}]);
    assertWhole(short, file);
    assert.deepEqual(short.pauses, [7000]);
    assert.deepEqual(short.counts, [2, 0, 0]);
  });

  test('mirrors are used when the declared URL never responds', async () => {
    const result = await get([{ fault: { kind: 'never-answers' } }, {}]);
    assertWhole(result, file);
    assert.deepEqual(result.counts, [2, 1, 0]);
  });
});

describe('a mirror in the middle of a download', () => {
  for (const byte of [1, half, size - 1])
    test(`a mirror continues at byte ${byte} when it has the same entity tag`, async () => {
      const result = await get([diesAt(byte), {}]);
      assertWhole(result, file);
      assert.equal(result.asked[1]?.[0]?.range, `bytes=${byte}-`);
      assert.deepEqual(result.resumes, [{ code: 'SourceTooShort', from: byte }]);
      assert.equal(result.source?.isSpliced, false);
      assert.equal(result.source?.url, `${servers[1].url}/${count}.raw`);
    });

  test('a mirror continues when it has the same Last-Modified and length', async () => {
    const result = await get([
      { etag: null, headers: longAgo, ...diesAt(half) },
      { etag: '"its own"', headers: longAgo },
    ]);
    assertWhole(result, file);
    assert.equal(result.source?.isSpliced, false);
  });

  test('a mirror with another entity tag continues only with a declared digest', async () => {
    const files = [diesAt(half), { etag: '"its own"' }];
    const failed = await get(files);
    assertFailed(failed, 'SourceUnavailable', /responded with 503.*does not prove that it has the same version/, file);
    assert.equal(failed.bytes.length, half);
    const whole = await get(files, { hasDigest: true });
    assertWhole(whole, file);
    assert.equal(whole.source?.isSpliced, true);
  });

  test('a mirror without a public address continues only with an equal strong entity tag, whatever the digest', async () => {
    const options = { hasDigest: true, transport: nearby };
    const whole = await get([diesAt(half), {}], options);
    assertWhole(whole, file);
    assert.equal(whole.source?.isPublic, false);
    const others: Partial<SourceFile>[][] = [
      [diesAt(half), { etag: '"its own"' }],
      [
        { etag: null, headers: longAgo, ...diesAt(half) },
        { etag: null, headers: longAgo },
      ],
      [{ etag: null, ...diesAt(half) }, { etag: null }],
    ];
    for (const files of others) {
      assertWhole(await get(files, { hasDigest: true }), file);
      const failed = await get(files, options);
      assertFailed(failed, 'SourceUnavailable', /does not prove by a strong entity tag/, file);
      assert.equal(failed.bytes.length, half);
    }
  });

  test('the length of a file without a public address is in no message', async () => {
    const result = await get([diesAt(half), { body: generated(size + 1) }], { hasDigest: true, transport: nearby });
    assertFailed(result, 'SourceUnavailable', /has a file of another length/, file);
    assert(result.error instanceof Error && !result.error.message.includes(String(size + 1)));
  });

  test('a mirror with another length does not continue, even with a digest', async () => {
    const result = await get([diesAt(half), { body: generated(size + 1) }], { hasDigest: true });
    assertFailed(result, 'SourceUnavailable', /has 200001 bytes, where the file had 200000/, file);
    assert.equal(result.bytes.length, half);
  });

  test('a mirror without a length does not continue a file of known length, even with a digest', async () => {
    const chunked: Partial<SourceFile> = { etag: '"its own"', contentLength: 'none', ranges: false };
    const result = await get([diesAt(half), chunked], { hasDigest: true });
    assertFailed(result, 'SourceUnavailable', /does not prove that its file has the same length/, file);
  });

  test('a mirror that has continued is held to its own validator', async () => {
    const mirror: Partial<SourceFile> = {
      etag: '"its own"',
      faults: [{ kind: 'closeAt', byte: half + 50_000 }, null],
    };
    const whole = await get([diesAt(half), mirror], { hasDigest: true });
    assertWhole(whole, file);
    assert.equal(whole.asked[1]?.[1]?.headers['if-range'], '"its own"');
    const changed = {
      ...mirror,
      faults: [
        mirror.faults?.[0] ?? null,
        { kind: 'instead', file: { etag: '"new"', body: generated(1000) } } as const,
      ],
    };
    const failed = await get([diesAt(half), changed], { hasDigest: true });
    assertFailed(failed, 'SourceUnavailable', /has 1000 bytes, where the file had/, file);
  });

  test('a mirror that was tried before the first byte can take over later', async () => {
    const declared: Partial<SourceFile> = { etag: '"one"', faults: Array(4).fill({ kind: 'closeAt', byte: 0 }) };
    const mirror: Partial<SourceFile> = { etag: '"two"', ...diesAt(half) };
    const result = await get([declared, mirror]);
    assertFailed(result, 'SourceChanged', /does not prove that it has the same version.*responded with 503/, file);
    assert.equal(result.bytes.length, half);
    assert.deepEqual(result.counts, [5, 4, 0]);
  });

  test('a mirror hands over to the next, and takes over again after progress', async () => {
    const down = { kind: 'answer', status: 503 } as const;
    const result = await get([
      { faults: [{ kind: 'closeAt', byte: 50_000 }, down, down, down, null] },
      { faults: [{ kind: 'closeAt', byte: 120_000 }, down, down, down, null] },
    ]);
    assertWhole(result, file);
    assert.deepEqual(
      result.resumes.map(({ from }) => from),
      [50_000, 120_000],
    );
    assert.equal(result.source?.url, `${servers[0].url}/${count}.raw`);
  });

  test('a mirror without the file is not tried a second time', async () => {
    const result = await get([diesAt(50_000), answer(404), { faults: [{ kind: 'closeAt', byte: 120_000 }, null] }]);
    assertWhole(result, file);
    assert.deepEqual(result.counts, [4, 1, 2]);
  });
});

describe('when all addresses have failed', () => {
  test('the most transient failure is reported, with the others listed', async () => {
    const result = await get([answer(404), answer(503), answer(403)]);
    assertFailed(
      result,
      'SourceUnavailable',
      /responded with 503.*The other addresses.*responded with 404.*responded with 403/,
    );
    assert.ok(result.error instanceof OperatorError);
    assert.deepEqual(result.error.retry, { kind: 'backoff' });
    assert.equal(result.error.httpStatus, 503);
    assert.deepEqual(result.counts, [1, 4, 1]);
  });

  test('for equal kinds of failure, the declared URL is reported first', async () => {
    const result = await get([answer(404), answer(403), answer(410)]);
    assertFailed(result, 'SourceNotFound', /responded with 404.*responded with 403.*responded with 410/);
  });

  test('no message contains a secret part of a URL', async () => {
    const path = '/secret.raw?token=hunter2';
    const urls = servers.map((server) => `${server.url}${path}`);
    const result = await download([urls[0] ?? '', ...urls.slice(1)], { servers, transport });
    assertFailed(result, 'SourceNotFound', /secret\.raw\?…/);
    assert.ok(!String(result.error).includes('hunter2'));
  });

  test('a file beyond the limit ends the download immediately, without mirrors', async () => {
    const result = await get([{}, {}], { limits: { maxBytes: 1000 } });
    assertFailed(result, 'SourceTooLong', /announces 200000 bytes; the limit is 1000 bytes/);
    assert.deepEqual(result.counts, [1, 0, 0]);
  });
});
