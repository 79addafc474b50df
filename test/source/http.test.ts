import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { createEgressPolicy, EgressRefused } from '../../src/http/egress.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { createSourceTransport, type SourceTransport } from '../../src/source/transport.ts';
import { failsWith, type Handler, listen, read, useServer } from './server.ts';

const { at, open } = useServer();

describe('an HTTP source', () => {
  test('an HTTP source gives the bytes as served, with length and address, and requests no coding', async () => {
    let asked: IncomingMessage | undefined;
    const source = await open((request, response) => {
      asked = request;
      response.writeHead(200, { 'content-length': 5 }).end('bytes');
    });
    assert.equal(source.size, 5);
    assert.equal(source.url, `${at.origin}/image.raw`);
    assert.equal(source.endIsCertain, true);
    assert.equal((await read(source)).toString(), 'bytes');
    assert.equal(asked?.headers['accept-encoding'], 'identity');
  });

  test('an HTTP source knows the end of a chunked body, but not its length', async () => {
    const source = await open((_request, response) => {
      response.write('some ');
      response.end('bytes');
    });
    assert.equal(source.size, undefined);
    assert.equal(source.endIsCertain, true);
    assert.equal((await read(source)).toString(), 'some bytes');
  });

  test('an HTTP source reports when only the connection ends a body', async () => {
    const source = await open((_request, response) => {
      response.socket?.end('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nbytes');
    });
    assert.equal(source.size, undefined);
    assert.equal(source.endIsCertain, false);
    assert.equal((await read(source)).toString(), 'bytes');
  });

  const answers: [status: number, code: string, retryKind: string][] = [
    [404, 'SourceNotFound', 'after'],
    [410, 'SourceNotFound', 'after'],
    [401, 'SourceForbidden', 'after'],
    [403, 'SourceForbidden', 'after'],
    [400, 'SourceRefused', 'after'],
    [451, 'SourceRefused', 'after'],
    [304, 'SourceRefused', 'after'],
    [206, 'SourceRefused', 'after'],
    [204, 'EmptySource', 'after'],
    [429, 'SourceUnavailable', 'backoff'],
    [500, 'SourceUnavailable', 'backoff'],
    [503, 'SourceUnavailable', 'backoff'],
  ];
  for (const [status, code, retryKind] of answers)
    test(`a response with ${status} becomes ${code}, with URL and status but no secrets`, async () => {
      await assert.rejects(
        open((_request, response) => response.writeHead(status).end(), { path: '/image.raw?token=hunter2' }),
        (error) => {
          failsWith(
            code,
            new RegExp(`127\\.0\\.0\\.1:\\d+/image\\.raw\\?… responded with ${status}`),
            retryKind,
          )(error);
          assert(error instanceof OperatorError && error.httpStatus === status);
          assert(!error.message.includes('hunter2'));
          return true;
        },
      );
    });

  test('an HTTP source respects Retry-After up to an hour', async () => {
    const asking = (seconds: string) =>
      open((_request, response) => response.writeHead(503, { 'retry-after': seconds }).end());
    await assert.rejects(asking('120'), { retry: { kind: 'backoff', leastMs: 120_000 } });
    await assert.rejects(asking('999999'), { retry: { kind: 'backoff', leastMs: 3_600_000 } });
    await assert.rejects(asking('soon'), { retry: { kind: 'backoff' } });
  });

  test('an empty file and one announced beyond the limit are rejected before reading', async () => {
    await assert.rejects(
      open((_request, response) => response.writeHead(200, { 'content-length': 0 }).end()),
      failsWith('EmptySource', /empty/),
    );
    await assert.rejects(
      open((_request, response) => response.writeHead(200, { 'content-length': 1_000_001 }).write('x')),
      failsWith('SourceTooLong', /1000001 bytes; the limit is 1000000 bytes/, 'change'),
    );
  });

  test('a file that grows beyond the limit is rejected', async () => {
    const grow: Handler = (_request, response) => {
      response.write('x'.repeat(9_000));
      response.end('x'.repeat(9_000));
    };
    const source = await open(grow, { limits: { maxBytes: 10_000 } });
    await assert.rejects(read(source), failsWith('SourceTooLong', /the limit is 10000 bytes/));
  });

  for (const url of ['image.raw', 'file:///etc/passwd', 'ftp://127.0.0.1/x', 'http://user:pass@127.0.0.1/x'])
    test(`the URL ${url} is rejected as a source`, async () => {
      await assert.rejects(
        open(() => {}, { url }),
        (error) => {
          failsWith('SourceURLInvalid', /./, 'change')(error);
          return error instanceof Error && !error.message.includes('pass@');
        },
      );
    });
});

describe('redirects', () => {
  const redirect = (response: ServerResponse, location: string, status = 302) =>
    response.writeHead(status, { location }).end('moved');

  test('redirects are followed, relative and absolute, and the last address is reported', async () => {
    const source = await open((request, response) => {
      if (request.url === '/image.raw') redirect(response, 'there#part', 301);
      else if (request.url === '/there') redirect(response, `${at.origin}/end?x=1`, 307);
      else response.end('bytes');
    });
    assert.equal(source.url, `${at.origin}/end?x=1`);
    assert.equal((await read(source)).toString(), 'bytes');
  });

  test('redirects are followed five times, not six', async () => {
    let asked = 0;
    const chain = (hops: number) =>
      open((_request, response) => {
        if (asked++ < hops) redirect(response, `/hop${asked}`);
        else response.end('bytes');
      });
    assert.equal((await read(await chain(5))).toString(), 'bytes');
    asked = 0;
    await assert.rejects(chain(6), failsWith('SourceInvalid', /more than 5 redirects/, 'after'));
    assert.equal(asked, 6);
  });

  test('a redirect loop is detected', async () => {
    let asked = 0;
    await assert.rejects(
      open((request, response) => {
        asked++;
        redirect(response, request.url === '/a' ? '/b' : '/a');
      }),
      failsWith('SourceInvalid', /circle/),
    );
    assert.equal(asked, 3);
  });

  test('redirects to addresses that the egress policy blocks are not followed', async () => {
    await assert.rejects(
      open((_request, response) => redirect(response, 'http://127.0.0.2:1/latest/meta-data')),
      failsWith('EgressRefused', /127\.0\.0\.2.*\/image\.raw redirected there/),
    );
  });

  test('redirects without a target, to another scheme or with a password are rejected', async () => {
    await assert.rejects(
      open((_request, response) => response.writeHead(302).end()),
      failsWith('SourceInvalid', /302 .*without a usable location/),
    );
    await assert.rejects(
      open((_request, response) => redirect(response, 'file:///etc/passwd')),
      failsWith('SourceURLInvalid', /only https and http/),
    );
    await assert.rejects(
      open((_request, response) => redirect(response, 'http://user:secret@127.0.0.1/x')),
      failsWith('SourceURLInvalid', /user and password/),
    );
  });

  test('redirects from https to plain http are rejected', async () => {
    const asked: string[] = [];
    const secure: SourceTransport = {
      async get(url) {
        asked.push(url.href);
        const header = (name: string) => (name === 'location' ? 'http://example.com/image.raw' : undefined);
        return { status: 302, header, isPublic: true, body: Readable.from([]) };
      },
      close: async () => {},
    };
    await assert.rejects(
      open(() => {}, { url: 'https://example.com/image.raw', transport: secure }),
      failsWith('SourceInvalid', /from https to plain http/),
    );
    assert.deepEqual(asked, ['https://example.com/image.raw']);
  });
});

describe('a source that cannot be reached', () => {
  test('a port without a listener is SourceUnreachable', async () => {
    const closed = createTcpServer();
    const port = await listen(closed);
    await new Promise((done) => closed.close(done));
    await assert.rejects(
      open(() => {}, { url: `http://127.0.0.1:${port}/x` }),
      failsWith('SourceUnreachable', /ECONNREFUSED/, 'backoff'),
    );
  });

  test('a failed TLS handshake is SourceUnreachable', async () => {
    await assert.rejects(
      open(() => {}, { url: `${at.origin.replace('http:', 'https:')}/x` }),
      failsWith('SourceUnreachable', /no connection to the source https:/, 'backoff'),
    );
  });

  test('a connection closed without a response is SourceUnreachable', async () => {
    await assert.rejects(
      open((request) => request.socket.destroy()),
      failsWith('SourceUnreachable', /./, 'backoff'),
    );
  });

  test('a server that does not speak HTTP is SourceInvalid', async () => {
    await assert.rejects(
      open((request) => request.socket.end('SSH-2.0-OpenSSH_9.6\r\n')),
      failsWith('SourceInvalid', /sent an invalid HTTP response/),
    );
  });

  test('the egress policy rejects a source before a connection is made', async () => {
    const strict = createSourceTransport(createEgressPolicy({ allow: [], deny: [] }));
    let asked = 0;
    const count: Handler = (_request, response) => response.end(String(asked++));
    for (const host of ['127.0.0.1', 'localhost', '2130706433', '[::ffff:127.0.0.1]', '0x7f.1'])
      await assert.rejects(
        open(count, { url: `http://${host}:${new URL(at.origin).port}/x`, transport: strict }),
        EgressRefused,
      );
    await strict.close();
    assert.equal(asked, 0);
  });
});
