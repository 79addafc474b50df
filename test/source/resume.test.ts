import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { generated } from '../env/content.ts';
import { type Source as Server, type SourceFault, type SourceFile, startSource } from '../env/source.ts';
import { assertFailed, assertHungUp, assertWhole, type DownloadOptions, download, loopback } from './download.ts';

const size = 300_000;
const content = generated(size);
const file = content.slice(0, size);
const other = generated(size, 'another version');
const half = size / 2;
const places: [name: string, byte: number][] = [
  ['before its first byte', 0],
  ['after 1 byte', 1],
  ['half-way', half],
  ['at 99 %', Math.floor(size * 0.99)],
  ['before its last byte', size - 1],
];
const longAgo = { 'last-modified': 'Mon, 05 Jan 2026 10:00:00 GMT' };

const transport = loopback();
let server: Server;
before(async () => {
  server = await startSource();
});
after(async () => {
  await assertHungUp([server]);
  await transport.close();
  await server.stop();
});

let count = 0;
/** Downloads a file that the server serves as configured; the requests are those for this file. */
async function get(served: Partial<SourceFile>, options: Partial<DownloadOptions> = {}) {
  const path = `/${++count}.raw`;
  const url = server.add(path, { body: content, ...served });
  const result = await download([url], { servers: [server], transport, ...options });
  return { ...result, requests: server.requests.filter((request) => request.path === path) };
}

/** Serves the file, breaks it once at `byte`, and responds to later requests as in `rest`. */
const brokenAt = (byte: number, rest?: Partial<SourceFile>): Partial<SourceFile> => ({
  faults: [{ kind: 'closeAt', byte }, rest ? { kind: 'instead', file: rest } : null],
});

describe('a download that breaks', () => {
  const breaks: [kind: 'resetAt' | 'closeAt' | 'stallAt', words: string, code: string][] = [
    ['closeAt', 'because the server hangs up', 'SourceTooShort'],
    ['resetAt', 'because the connection is reset', 'SourceTooShort'],
    ['stallAt', 'because nothing more comes', 'SourceStalled'],
  ];
  for (const [kind, words, code] of breaks)
    for (const contentLength of ['right', 'none'] as const)
      for (const [name, byte] of places)
        test(`${words} ${name}, continues at that byte (length ${contentLength})`, async () => {
          const faults: SourceFault[] = [{ kind, byte }];
          const result = await get({ etag: '"one"', contentLength, faults });
          assertWhole(result, file);
          assert.equal(result.requests.length, 2);
          const [, again] = result.requests;
          // The bytes lost by a reset on their way to us are unknown.
          if (kind === 'resetAt') return;
          assert.equal(again?.range, byte === 0 ? undefined : `bytes=${byte}-`);
          assert.equal(again?.headers['if-range'], byte === 0 ? undefined : '"one"');
          assert.equal(again?.headers['accept-encoding'], 'identity');
          assert.deepEqual(result.resumes, [{ code, from: byte }]);
          assert.equal(result.source?.isSpliced, false);
        });

  test('a download that breaks with progress in between continues every time', async () => {
    const faults = Array.from({ length: 10 }, (_, index) => ({ kind: 'closeAt' as const, byte: (index + 1) * 20_000 }));
    const result = await get({ faults });
    assertWhole(result, file);
    assert.equal(result.requests.length, 11);
    assert.deepEqual(result.pauses, Array(10).fill(250));
  });

  test('a download that breaks without progress fails after four attempts with growing pauses', async () => {
    const result = await get({ fault: { kind: 'closeAt', byte: half } });
    assertFailed(result, 'SourceTooShort', /broke after 150000 of 300000 bytes/, file);
    assert.equal(result.bytes.length, half);
    assert.equal(result.requests.length, 4);
    assert.deepEqual(result.pauses, [250, 1000, 4000]);
  });

  test('a download that stalls fails after fewer attempts, because each takes long', async () => {
    const result = await get({ fault: { kind: 'stallAt', byte: half } });
    assertFailed(result, 'SourceStalled', /fewer than 1000 bytes in 60 s, after 150000 of 300000 bytes/, file);
    assert.equal(result.requests.length, 2);
  });

  test('a few bytes do not count as progress', async () => {
    const faults = Array.from({ length: 20 }, (_, index) => ({ kind: 'closeAt' as const, byte: index + 1 }));
    const result = await get({ faults });
    assertFailed(result, 'SourceTooShort', /after 4 of 300000 bytes/, file);
    assert.equal(result.requests.length, 4);
  });

  test('a download that breaks after the last byte is complete', async () => {
    for (const contentLength of ['none', 'right'] as const) {
      const result = await get({ contentLength, faults: [{ kind: 'closeAt', byte: size }] });
      assertWhole(result, file);
      assert.deepEqual(
        result.requests.map(({ status }) => status),
        contentLength === 'none' ? [200, 416] : [200],
      );
    }
  });

  test('a download resumes by Last-Modified without a strong entity tag', async () => {
    for (const etag of [null, 'W/"weak"']) {
      const result = await get({ etag, headers: longAgo, faults: [{ kind: 'closeAt', byte: half }] });
      assertWhole(result, file);
      assert.equal(result.requests[1]?.headers['if-range'], longAgo['last-modified']);
      assert.equal(result.requests[1]?.status, 206);
    }
  });

  test('a download continues for as many pieces as the server sends', async () => {
    const result = await get({ longestRange: 40_000, faults: [{ kind: 'closeAt', byte: half }] });
    assertWhole(result, file);
    assert.equal(result.requests.length, 5);
  });
});

describe('a server without ranges', () => {
  for (const [name, byte] of places)
    test(`a source without ranges that breaks ${name} is read again up to that byte`, async () => {
      const result = await get({ ranges: false, faults: [{ kind: 'closeAt', byte }] });
      assertWhole(result, file);
      assert.deepEqual(
        result.requests.map(({ status }) => status),
        [200, 200],
      );
      assert.equal(result.source?.isSpliced, false);
    });

  test('a source without ranges that stalls while it is read again is detected', async () => {
    const faults: SourceFault[] = [
      { kind: 'closeAt', byte: half },
      { kind: 'stallAt', byte: 1000 },
    ];
    const result = await get({ ranges: false, faults });
    assertWhole(result, file);
    assert.equal(result.requests.length, 3);
  });

  test('a source without ranges cannot cause endless reading of known bytes', async () => {
    const step = 2000;
    const faults = Array.from({ length: 150 }, (_, index) => ({ kind: 'closeAt' as const, byte: (index + 1) * step }));
    const result = await get({ ranges: false, faults });
    assertFailed(result, 'SourceTooShort', /broke after/, file);
    const read = result.requests.reduce((sum, { sent }) => sum + sent, 0);
    assert.ok(result.requests.length < 10 && read < size, `${result.requests.length} requests brought ${read} bytes`);
  });
});

describe('a file that changes while it is read', () => {
  const changes: [words: string, rest: Partial<SourceFile>, message: RegExp][] = [
    ['to a longer one', { body: generated(size + 1), etag: '"two"' }, /has 300001 bytes, where the file had 300000/],
    ['to a longer one of the same entity tag', { body: generated(size + 1), etag: '"one"' }, /has 300001 bytes/],
  ];
  for (const [words, rest, message] of changes)
    for (const [name, byte] of places.slice(1))
      test(`${words}, ${name}, ends the download, with a digest too`, async () => {
        for (const hasDigest of [false, true]) {
          const result = await get({ etag: '"one"', ...brokenAt(byte, rest) }, { hasDigest });
          assertFailed(result, 'SourceChanged', message, file);
          assert.equal(result.bytes.length, byte);
        }
      });

  const otherTags: [words: string, rest: Partial<SourceFile>][] = [
    ['to another entity tag', { etag: '"two"' }],
    ['to another entity tag, on a server that ignores If-Range', { etag: '"two"', ranges: 'ignoring If-Range' }],
    ['to another entity tag, on a server without ranges', { etag: '"two"', ranges: false }],
  ];
  for (const [words, rest] of otherTags)
    for (const [name, byte] of places.slice(1))
      test(`${words}, ${name}, ends the download without a digest, and leaves the decision to a digest`, async () => {
        const changed = brokenAt(byte, { ...rest, body: other });
        const without = await get({ etag: '"one"', ...changed });
        assertFailed(without, 'SourceChanged', /another version/, file);
        assert.equal(without.bytes.length, byte);
        const joined = await get({ etag: '"one"', ...changed }, { hasDigest: true });
        assert.ok(joined.bytes.equals(Buffer.concat([file.subarray(0, byte), other.slice(byte, size)])));
        assert.equal(joined.source?.isSpliced, true);
        // The nodes of one address can have a tag each for the same bytes.
        assertWhole(await get({ etag: '"one"', ...brokenAt(byte, rest) }, { hasDigest: true }), file);
      });

  test('a file with another entity tag and another date ends the download, with a digest too', async () => {
    const dated = (at: string) => ({ headers: { 'last-modified': at } });
    const [old, recent] = ['Mon, 05 Jan 2026 10:00:00 GMT', 'Mon, 05 Jan 2026 11:00:00 GMT'];
    const changed = brokenAt(half, { etag: '"two"', ...dated(recent) });
    const result = await get({ etag: '"one"', ...dated(old), ...changed }, { hasDigest: true });
    assertFailed(result, 'SourceChanged', /another version/, file);
  });

  test('a file that becomes shorter than the read bytes ends the download', async () => {
    const result = await get({ etag: '"one"', ...brokenAt(half, { body: generated(1000), etag: '"one"' }) });
    assertFailed(result, 'SourceChanged', /now has only 1000 bytes/, file);
  });

  test('a file with a changed Last-Modified ends the download', async () => {
    const later = { 'last-modified': 'Mon, 05 Jan 2026 11:00:00 GMT' };
    const rest: Partial<SourceFile> = { body: other, headers: later };
    const result = await get({ etag: null, headers: longAgo, ...brokenAt(half, rest) });
    assertFailed(result, 'SourceChanged', /another version/, file);
  });

  test('a file of equal length that changes before its first byte is accepted', async () => {
    const result = await get({ etag: '"one"', ...brokenAt(0, { body: other, etag: '"two"' }) });
    assertWhole(result, other.slice(0, size));
    const longer = await get({ etag: '"one"', ...brokenAt(0, { body: generated(size + 1), etag: '"two"' }) });
    assertFailed(longer, 'SourceChanged', /has 300001 bytes, where the file had 300000/);
  });
});

describe('a server with wrong range responses', () => {
  const wrong: [words: string, headers: Record<string, string>][] = [
    ['another beginning', { 'content-range': `bytes ${half - 1}-${size - 1}/${size}` }],
    ['an end before the beginning', { 'content-range': `bytes ${half}-10/${size}` }],
    ['an end beyond the file', { 'content-range': `bytes ${half}-${size}/${size}` }],
    ['no numbers', { 'content-range': 'bytes half-end' }],
    ['another unit', { 'content-range': `lines ${half}-${size - 1}/${size}` }],
  ];
  for (const [words, headers] of wrong)
    test(`a range response with ${words} is rejected`, async () => {
      const result = await get(brokenAt(half, { headers }));
      assertFailed(result, 'SourceInvalid', /was asked for the bytes from 150000 on and sent the range/, file);
      assert.equal(result.bytes.length, half);
    });

  test('a range response with another total length is another file', async () => {
    const headers = { 'content-range': `bytes ${half}-${size - 1}/${size + 1}` };
    assertFailed(await get(brokenAt(half, { headers })), 'SourceChanged', /has 300001 bytes/, file);
  });

  test('ranges without a total length are requested until the end', async () => {
    const headers = { 'content-range': `bytes ${half}-${size - 1}/*` };
    assertWhole(await get(brokenAt(half, { headers })), file);
    const chunked = await get({ contentLength: 'none', ...brokenAt(half, { headers }) });
    assertWhole(chunked, file);
    assert.deepEqual(
      chunked.requests.map(({ status }) => status),
      [200, 206, 416],
    );
  });

  test('a range response with missing bytes is continued', async () => {
    const result = await get({
      faults: [{ kind: 'closeAt', byte: half }, { kind: 'closeAt', byte: half + 5000 }, null],
    });
    assertWhole(result, file);
    assert.deepEqual(
      result.resumes.map(({ from }) => from),
      [half, half + 5000],
    );
  });

  test('a file that ends before its announced length is too short', async () => {
    const result = await get({ contentLength: size + 1000 });
    assertFailed(result, 'SourceTooShort', /ended after 300000 of 301000 bytes: it has no more/, file);
  });
});

describe('a server that names no version of its file', () => {
  const nameless: Partial<SourceFile>[] = [
    { etag: null },
    { etag: 'W/"weak"' },
    { etag: null, headers: { 'last-modified': new Date(Date.now() + 86_400_000).toUTCString() } },
    { etag: 'unquoted' },
  ];
  for (const served of nameless)
    test(`a file without a validator (${JSON.stringify(served)}) is resumed only with a declared digest`, async () => {
      const failed = await get({ ...served, ...brokenAt(half) });
      assertFailed(failed, 'SourceTooShort', /broke after 150000 of 300000 bytes.*no digest is declared/, file);
      assert.equal(failed.requests.length, 1);

      const whole = await get({ ...served, ...brokenAt(half) }, { hasDigest: true });
      assertWhole(whole, file);
      assert.equal(whole.source?.isSpliced, true);
    });

  test('a file without a validator starts again from the beginning while nothing was read', async () => {
    const result = await get({ etag: null, ...brokenAt(0) });
    assertWhole(result, file);
    assert.equal(result.source?.isSpliced, false);
  });

  test('a file without a validator and without a known end needs a digest', async () => {
    const close: Partial<SourceFile> = { contentLength: 'close' };
    const failed = await get({ etag: null, contentLength: 'none', ...brokenAt(0, close) });
    assertFailed(failed, 'SourceChanged', /no longer announces where the file ends/);
    assertWhole(await get({ etag: null, contentLength: 'none', ...brokenAt(0, close) }, { hasDigest: true }), file);
    // A length that was announced earlier defines the end as well.
    assertWhole(await get({ etag: null, ...brokenAt(0, close) }), file);
  });
});

describe('the end of a download', () => {
  test('an abort ends a download at any byte, in waits and pauses', async () => {
    for (const [, byte] of places) {
      const controller = new AbortController();
      const reason = new Error('not wanted any more');
      const onBytes = (bytes: number) => bytes >= byte && controller.abort(reason);
      const result = await get({}, { signal: controller.signal, onBytes });
      assert.equal(result.error, reason);
    }
    await assertHungUp([server]);
  });

  test('a limit on the whole time ends a download with its own reason', async () => {
    const result = await get({ fault: { kind: 'stallAt', byte: half } }, { limits: { totalMs: 50_000 } });
    assertFailed(result, 'SourceTooSlow', /had sent 150000 of 300000 bytes when its time limit of 50 s/, file);
    assertWhole(await get({}, { limits: { totalMs: 50_000 } }), file);
    const unopened = await get({ fault: { kind: 'never-answers' } }, { limits: { totalMs: 20_000 } });
    assertFailed(unopened, 'SourceTooSlow', /had sent 0 bytes when its time limit of 20 s/);
  });
});
