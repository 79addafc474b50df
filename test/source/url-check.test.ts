/** Where sources have a proxy: Glance downloads past it, so the operator requests the URL from the proxy before it requests an import. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { after, before, describe, test } from 'node:test';
import { createEgressPolicy } from '../../src/http/egress.ts';
import { createTrust } from '../../src/http/trust.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { createURLCheck } from '../../src/source/url-check.ts';
import { makeCertificates } from '../env/certificates.ts';
import { startStubProxy } from '../http/stub-proxy.ts';
import { listen } from './server.ts';

const signal = new AbortController().signal;
/** The source: it has no file, and an address that only the proxy knows. */
const source = createServer((_request, response) => response.writeHead(404).end());
let port: number;
before(async () => {
  port = await listen(source);
});
after(() => source.close());

/** With the names that this process resolves. */
async function checked(url: string, status?: number, except: string[] = [], to = port) {
  await using proxy = await startStubProxy({ port: to, ...(status === undefined ? {} : { status }) });
  const policy = createEgressPolicy(
    { allow: [], deny: ['denied.example.com'], proxy: { url: proxy.url, except } },
    (host, _options, callback) => {
      if (host.startsWith('internal.')) callback(null, [{ address: '10.1.2.3', family: 4 }]);
      else callback(Object.assign(new Error('not found'), { code: 'ENOTFOUND' }), []);
    },
  );
  const error = await createURLCheck(
    policy,
    createTrust(),
    systemClock,
  )(new URL(url), signal).then(
    () => undefined,
    (failure: unknown) => failure,
  );
  return { error, lines: proxy.requests.map(({ line, headers }) => [line, headers.range]) };
}

const codeOf = (error: unknown) => (error instanceof OperatorError ? error.code : undefined);

describe('a URL of WebDownload where sources have a proxy', () => {
  test('a name that only the proxy resolves may be imported from, whatever the server responds', async () => {
    const { error, lines } = await checked('http://mirror.example.com/a.qcow2?sig=x');
    assert.equal(error, undefined);
    assert.deepEqual(lines, [['GET http://mirror.example.com/a.qcow2?sig=x', 'bytes=0-0']]);
  });

  for (const url of ['http://mirror.example.com/a.qcow2', 'https://mirror.example.com/a.qcow2'])
    test(`nothing is imported from ${url} if the proxy rejects it`, async () => {
      const { error } = await checked(url, 403);
      assert.match(codeOf(error) ?? '', url.startsWith('https') ? /^ProxyDenied$/ : /^SourceForbidden$/);
      assert.match(String(error), /the proxy http:\/\/127\.0\.0\.1/);
    });

  test('nothing is imported from a host that the egress rules block, and no request goes to the proxy', async () => {
    for (const host of ['internal.example.com', 'denied.example.com', '169.254.169.254']) {
      const { error, lines } = await checked(`http://${host}/a.qcow2`);
      assert.deepEqual([codeOf(error), lines], ['EgressRefused', []], host);
    }
  });

  test('an exception of the proxy is checked by its name and addresses alone, as without a proxy', async () => {
    const { error, lines } = await checked('http://internal.example.com/a.qcow2', undefined, ['internal.example.com']);
    assert.deepEqual([codeOf(error), lines], ['EgressRefused', []]);
  });

  test('a server whose certificate only Glance trusts may be imported from', async () => {
    const { good } = await makeCertificates();
    const secure = createTlsServer(good);
    const { error, lines } = await checked('https://mirror.example.com/a.qcow2', undefined, [], await listen(secure));
    secure.close();
    assert.equal(error, undefined);
    assert.deepEqual(lines, [['CONNECT mirror.example.com:443', undefined]]);
  });

  test('nothing is imported while the proxy does not respond', async () => {
    const { error } = await checked('http://mirror.example.com/a.qcow2', -1);
    assert.equal(codeOf(error), 'SourceUnreachable');
  });
});
