/** What real publishers and mirror networks serve, each from responses that a test scripts. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { systemClock } from '../../src/lib/clock.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { SecretString } from '../../src/lib/secret.ts';
import { type HttpSourceOptions, openHttpSource } from '../../src/source/http.ts';
import type { SourceTransport } from '../../src/source/transport.ts';
import { failsWith, limits, read } from './server.ts';

interface Scripted {
  status?: number;
  headers?: Record<string, string>;
  body?: string | Buffer;
  /** Default: true. */
  isPublic?: boolean;
  peer?: string;
  isNamed?: boolean;
  /** The connection breaks after so many bytes of the body. */
  breaksAfter?: number;
}

/** By URL: the responses in turn, of which the last one repeats. */
type Script = Record<string, readonly [Scripted, ...Scripted[]]>;

function scripted(script: Script) {
  const requests: { url: string; headers: Record<string, string> }[] = [];
  const transport: SourceTransport = {
    async get({ href }, headers) {
      const turn = requests.filter(({ url }) => url === href).length;
      requests.push({ url: href, headers });
      const responses = script[href] ?? assert.fail(`no response is scripted for ${href}`);
      const {
        status = 200,
        headers: sent = {},
        body = '',
        isPublic = true,
        peer,
        isNamed = false,
        breaksAfter,
      } = responses[turn] ?? responses.at(-1) ?? {};
      const bytes = Buffer.from(body);
      async function* chunks() {
        yield bytes.subarray(0, breaksAfter);
        if (breaksAfter !== undefined) throw new Error('the connection broke');
      }
      const all: Record<string, string> = { 'content-length': String(bytes.length), ...sent };
      return { status, header: (name) => all[name], body: Readable.from(chunks()), isPublic, peer, isNamed };
    },
    close: async () => undefined,
  };
  return { transport, requests };
}

function open(script: Script, options: Partial<HttpSourceOptions> = {}) {
  const { transport, requests } = scripted(script);
  const [url] = Object.keys(script);
  const source = openHttpSource({
    urls: [url ?? assert.fail('an empty script')],
    transport,
    clock: { ...systemClock, sleep: async () => undefined },
    random: () => 0.5,
    limits,
    hasDigest: true,
    signal: new AbortController().signal,
    ...options,
  });
  return { source, requests };
}

const to = (location: string): Scripted => ({ status: 302, headers: { location } });
const secure = 'https://download.example.org/f';
const plain = 'http://mirror.example.net/f';

describe('a redirect from https to http', () => {
  test('a redirect from https to http is followed if a digest protects the data, with a warning', async () => {
    const opened = await open({ [secure]: [to(plain)], [plain]: [{ body: 'bytes' }] }).source;
    assert.equal((await read(opened)).toString(), 'bytes');
    assert.deepEqual(opened.warnings, [
      `${secure} redirected to ${plain}: the digest protects the data, but not from being watched on its way`,
    ]);
  });

  test('a redirect from https to http of a request for a part is a warning too', async () => {
    const etag = '"1"';
    const part = { status: 206, body: 'by', headers: { 'content-range': 'bytes 0-1/5', etag } };
    const opened = await open({ [secure]: [{ body: 'bytes', headers: { etag } }, to(plain)], [plain]: [part] }).source;
    assert.deepEqual(opened.warnings, []);
    for await (const _ of opened.ranges?.read(0, 2) ?? assert.fail());
    assert.match(opened.warnings?.[0] ?? '', /^https:.* redirected to http:/);
    await read(opened);
  });

  test('a redirect from https to http is not followed without a digest', async () => {
    const { source } = open({ [secure]: [to(plain)] }, { hasDigest: false });
    await assert.rejects(source, failsWith('SourceInvalid', /redirects from https to plain http .*declare a digest/));
  });

  test('a redirect from https to http is not followed if headers are declared, which may be credentials', async () => {
    const { source, requests } = open({ [secure]: [to(plain)] }, { headers: { authorization: new SecretString('x') } });
    await assert.rejects(source, failsWith('SourceInvalid', /headersSecretRef/));
    assert.deepEqual(new Set(requests.map(({ url }) => url)), new Set([secure]));
  });

  test('a source without a redirect to http has no warning', async () => {
    const other = 'https://other.example.org/f';
    const opened = await open({ [secure]: [to(other)], [other]: [{ body: 'bytes' }] }).source;
    await read(opened);
    assert.deepEqual(opened.warnings, []);
  });
});

describe('a redirector of a mirror network', () => {
  const bad = 'https://bad.example.net/f';
  const good = 'https://good.example.net/f';

  for (const [what, response, code] of [
    ['without the file', { status: 404 }, 'SourceNotFound'],
    ['that forbids it', { status: 403 }, 'SourceForbidden'],
    ['whose file is empty', { body: '' }, 'EmptySource'],
  ] as const) {
    test(`a redirector that leads to a mirror ${what} is requested again, and leads to another mirror`, async () => {
      const { source } = open({ [secure]: [to(bad), to(good)], [bad]: [response], [good]: [{ body: 'bytes' }] });
      assert.equal((await read(await source)).toString(), 'bytes');
    });

    test(`a redirector that always leads to a mirror ${what} is requested a few times, and the error names both`, async () => {
      const { source, requests } = open({ [secure]: [to(bad)], [bad]: [response] });
      await assert.rejects(
        source,
        failsWith(code, /bad\.example\.net.*https:\/\/download\.example\.org\/f redirected there/, 'after'),
      );
      assert.equal(requests.filter(({ url }) => url === bad).length, 4);
    });
  }

  test('an address that is missing by itself is requested once', async () => {
    const { source, requests } = open({ [secure]: [{ status: 404 }] });
    await assert.rejects(source, failsWith('SourceNotFound', /correct the URL/));
    assert.equal(requests.length, 1);
  });

  test('the error of a hop names the hop', async () => {
    const { transport } = scripted({});
    const failing: SourceTransport = {
      ...transport,
      get: async (url) => {
        if (url.href === bad) throw new Error('connect ECONNREFUSED');
        return {
          status: 302,
          header: (name) => (name === 'location' ? bad : undefined),
          body: Readable.from([]),
          isPublic: true,
        };
      },
    };
    const { source } = open({ [secure]: [to(bad)] }, { transport: failing });
    await assert.rejects(
      source,
      failsWith('SourceUnreachable', /bad\.example\.net\/f.*download\.example\.org\/f redirected there/),
    );
  });
});

test('a location in raw UTF-8 leads to the path whose bytes it has', async () => {
  // Header values arrive as one character a byte.
  const raw = Buffer.from('/образ.raw', 'utf8').toString('latin1');
  const target = new URL('/образ.raw', secure).href;
  assert.equal(
    (await read(await open({ [secure]: [to(raw)], [target]: [{ body: 'bytes' }] }).source)).toString(),
    'bytes',
  );
});

describe('a content coding', () => {
  const stored = gzipSync('an image');
  for (const coding of [
    'gzip',
    'x-gzip',
    'aws-chunked',
    'none',
    'binary',
    'utf-8',
    '8bit',
    'zstd',
    'gzip, aws-chunked',
  ])
    test(`a file that is announced with content-encoding ${coding} is read as it is, and the digest decides`, async () => {
      const headers = { 'content-encoding': coding };
      const opened = await open({ [secure]: [to(plain)], [plain]: [{ body: stored, headers }] }).source;
      assert.deepEqual(await read(opened), stored);
    });

  test('a coding that servers apply on the way and that nothing here decodes is rejected at once', async () => {
    for (const coding of ['br', 'deflate', 'gzip, br']) {
      const { source } = open({ [secure]: [{ body: 'x', headers: { 'content-encoding': coding } }] });
      await assert.rejects(source, failsWith('SourceInvalid', new RegExp(`content-encoding ${coding}`)));
    }
  });

  test('a coding without a digest is accepted only if the name of the file has its extension', async () => {
    const script = (url: string): Script => ({ [url]: [{ body: stored, headers: { 'content-encoding': 'gzip' } }] });
    await assert.rejects(open(script(secure), { hasDigest: false }).source, failsWith('SourceInvalid', /gzip/));
    await read(await open(script('https://a.example/x.raw.gz'), { hasDigest: false }).source);
  });
});

test('a file that comes as a range without a request for one is read, in as many ranges as the server sends', async () => {
  const body = 'the bytes of the file';
  const range = (from: number, to: number): Scripted => ({
    status: 206,
    headers: { 'content-range': `bytes ${from}-${to - 1}/${body.length}`, etag: '"a"' },
    body: body.slice(from, to),
  });
  for (const ranges of [[range(0, body.length)], [range(0, 9), range(9, body.length)]] as const)
    assert.equal((await read(await open({ [secure]: ranges }).source)).toString(), body);
  await assert.rejects(
    open({ [secure]: [range(9, body.length)] }).source,
    failsWith('SourceInvalid', /bytes from 0 on/),
  );
});

test('after a server has rejected a request for the rest of a file, the whole file is requested once', async () => {
  const body = 'the bytes of the file';
  const file = (breaksAfter?: number): Scripted => ({
    body,
    headers: { etag: '"a"' },
    ...(breaksAfter === undefined ? {} : { breaksAfter }),
  });
  for (const status of [400, 403, 405, 406, 412, 416, 501]) {
    const { source, requests } = open({ [secure]: [file(5), { status }, file(9), file()] });
    assert.equal((await read(await source)).toString(), body, `${status}`);
    assert.deepEqual(
      requests.map(({ headers }) => headers['range']),
      [undefined, 'bytes=5-', undefined, undefined],
    );
    const gone = await open({ [secure]: [file(5), { status }, { status: 403 }] }).source;
    await assert.rejects(read(gone), failsWith('SourceForbidden', /403/));
  }
});

test('redirects in a circle that set a cookie are rejected with the way to declare it', async () => {
  const circle: Scripted = { ...to(secure), headers: { location: secure, 'set-cookie': 'a=1' } };
  await assert.rejects(
    open({ [secure]: [circle] }).source,
    failsWith('SourceInvalid', /circle, and set a cookie .* headersSecretRef/),
  );
  await assert.rejects(open({ [secure]: [to(secure)] }).source, failsWith('SourceInvalid', /circle$/));
});

describe('another entity tag from each node of one address', () => {
  const body = 'the bytes of the file';
  const node = (etag: string, breaksAfter?: number): Scripted => ({
    body,
    headers: { etag },
    ...(breaksAfter === undefined ? {} : { breaksAfter }),
  });

  test('a download continues at a node with another tag if the length is the same and a digest is declared', async () => {
    const script: Script = { [secure]: [node('"a"', 5), node('"b"', 9), node('"c"')] };
    const opened = await open(script).source;
    assert.equal((await read(opened)).toString(), body);
    assert.equal(opened.isSpliced, true);
  });

  test('a download does not continue with another tag without a digest, or with another length', async () => {
    const changed = failsWith('SourceChanged', /another version|bytes, where|does not prove by a strong entity tag/);
    const hidden: Scripted = { ...node('"b"'), isPublic: false };
    const other: Scripted = { body: `${body}!`, headers: { etag: '"b"' } };
    for (const [second, hasDigest] of [
      [node('"b"'), false],
      [other, true],
      [hidden, true],
    ] as const) {
      const opened = await open({ [secure]: [node('"a"', 5), second] }, { hasDigest }).source;
      await assert.rejects(read(opened), changed);
    }
  });
});

describe('another entity tag from each node of one address of a private network', () => {
  const body = 'the bytes of the file';
  const node = (etag: string, peer: string, more: Partial<Scripted> = {}): Scripted => ({
    body,
    headers: { etag },
    isPublic: false,
    peer,
    ...more,
  });
  const first = node('"a"', '10.0.0.1', { breaksAfter: 5 });
  const kept: [what: string, second: Scripted, first?: Scripted][] = [
    ['behind one address', node('"b"', '10.0.0.1')],
    [
      'at addresses of a host that the installation names',
      node('"b"', '10.0.0.2', { isNamed: true }),
      { ...first, isNamed: true },
    ],
  ];
  for (const [what, second, before = first] of kept)
    test(`a download continues at another node ${what} if the length is the same and a digest is declared`, async () => {
      const opened = await open({ [secure]: [before, second] }).source;
      assert.equal((await read(opened)).toString(), body);
      assert.equal(opened.isSpliced, true);
      const without = await open({ [secure]: [before, second] }, { hasDigest: false }).source;
      await assert.rejects(read(without), failsWith('SourceChanged', /another version/));
    });

  const ended: [what: string, script: Script][] = [
    ['at another address of a name', { [secure]: [first, node('"b"', '10.0.0.2')] }],
    [
      'at another URL of the server',
      { [secure]: [first, to(`${secure}-of-others`)], [`${secure}-of-others`]: [node('"b"', '10.0.0.1')] },
    ],
    [
      'at another URL of a server without validators',
      {
        [secure]: [{ ...first, headers: {} }, to(`${secure}-of-others`)],
        [`${secure}-of-others`]: [{ ...node('', '10.0.0.1'), headers: {} }],
      },
    ],
  ];
  for (const [what, script] of ended)
    test(`a download does not continue ${what} in a private network, so that no file there is read byte by byte`, async () => {
      const opened = await open(script).source;
      await assert.rejects(read(opened), failsWith('SourceChanged', /another version|does not prove by a strong/));
    });
});

test('an error that a redirect led to keeps its class of failure for programs', async () => {
  const { source } = open({ [secure]: [to(plain)], [plain]: [{ status: 503, headers: { 'retry-after': '3600' } }] });
  await assert.rejects(source, (error) => {
    assert.ok(error instanceof OperatorError);
    assert.deepEqual(
      [error.code, error.httpStatus, error.retry],
      ['SourceUnavailable', 503, { kind: 'backoff', leastMs: 3_600_000 }],
    );
    return true;
  });
});
