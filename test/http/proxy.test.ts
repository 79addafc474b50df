/** Sources and clouds behind a forward proxy. Names are resolved by the test, and connections go to loopback only. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { isIPv4 } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { createEgressPolicy, EgressRefused, type EgressRules } from '../../src/http/egress.ts';
import { ProxyDenied, type ProxyRules } from '../../src/http/proxy.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { errorCode } from '../../src/lib/errors.ts';
import { ConnectionFailed } from '../../src/openstack/errors.ts';
import { failureOf as failureOfResponse } from '../../src/openstack/response.ts';
import { createTransport } from '../../src/openstack/transport.ts';
import { createSourceTransport } from '../../src/source/transport.ts';
import { type Certificates, makeCertificates } from '../env/certificates.ts';
import { failureOf, peers } from './peers.ts';
import { type StubOptions, type StubProxy, startStubProxy } from './stub-proxy.ts';

const password = 'pass:wörd';
const credentials = `user:${password}`;
const authorization = `Basic ${Buffer.from(credentials).toString('base64')}`;
const signal = new AbortController().signal;

let certificates: Certificates;
let directory: string;
let credentialsFile: string;
/** What the servers received. */
const received: { scheme: string; path: string; headers: IncomingHttpHeaders }[] = [];
const ports = { http: 0, https: 0 };
const closers: (() => unknown)[] = [];

before(async () => {
  certificates = await makeCertificates();
  directory = await mkdtemp(join(tmpdir(), 'proxy-'));
  credentialsFile = join(directory, 'credentials');
  await writeFile(credentialsFile, `${credentials}\n`);
  for (const scheme of ['http', 'https'] as const) {
    const server = scheme === 'http' ? createServer() : createTlsServer(certificates.good);
    server.on('request', ({ url = '', headers }, response) => {
      received.push({ scheme, path: url, headers });
      const target = new URL(url, 'http://x').searchParams.get('to');
      if (target === null) response.end('{"the":"file"}');
      else response.writeHead(302, { location: target }).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    ports[scheme] = address.port;
    closers.push(
      () => server.closeAllConnections(),
      () => server.close(),
    );
  }
});
after(async () => {
  for (const close of closers) close();
  await rm(directory, { recursive: true });
});

/** The names that this process resolves; others only the proxy does. */
const names: Record<string, string> = {
  'public.example.com': '93.184.215.14',
  'internal.example.com': '10.1.2.3',
  'rebound.example.com': '169.254.169.254',
  localhost: '127.0.0.1',
};

function policyWith(proxy: Partial<ProxyRules> & { url: string }, rules: Partial<EgressRules> = {}) {
  const all = { allow: ['localhost'], deny: [], ...rules, proxy: { except: [], credentialsFile, ...proxy } };
  return createEgressPolicy(all, (host, _options, callback) => {
    const address = names[host];
    if (address === undefined) callback(Object.assign(new Error('not found'), { code: 'ENOTFOUND' }), []);
    else callback(null, [{ address, family: isIPv4(address) ? 4 : 6 }]);
  });
}

const startProxy = (scheme: 'http' | 'https', options: Partial<StubOptions> = {}) =>
  startStubProxy({ port: ports[scheme], ...options });

for (const [kind, open] of Object.entries(peers))
  describe(`a ${kind} behind a proxy`, () => {
    test(`a ${kind} behind http is requested from the proxy in absolute form, with the credentials of the proxy`, async () => {
      await using proxy = await startProxy('http');
      await using peer = open(policyWith(proxy));
      assert.equal(await peer.get('http://public.example.com/a?b=c'), '200 {"the":"file"}');
      const [{ line, headers } = assert.fail()] = proxy.requests;
      assert.equal(line, 'GET http://public.example.com/a?b=c');
      assert.equal(headers['proxy-authorization'], authorization);
      assert.equal(headers.host, 'public.example.com');
    });

    test(`a ${kind} behind https is reached through a tunnel that the proxy opens, and only the proxy gets its credentials`, async () => {
      await using proxy = await startProxy('https');
      await using peer = open(policyWith(proxy), certificates.ca);
      const before = received.length;
      assert.equal(await peer.get('https://localhost/a'), '200 {"the":"file"}');
      const [{ line, headers } = assert.fail()] = proxy.requests;
      assert.equal(line, 'CONNECT localhost:443');
      assert.equal(headers['proxy-authorization'], authorization);
      assert.deepEqual([headers['x-auth-token'], headers['user-agent']], [undefined, undefined]);
      const [request = assert.fail()] = received.slice(before);
      assert.deepEqual([request.scheme, request.path], ['https', '/a']);
      assert.equal(request.headers['proxy-authorization'], undefined);
    });

    test(`a ${kind} is reached through a proxy behind https whose authority the installation trusts`, async () => {
      for (const scheme of ['http', 'https'] as const) {
        await using proxy = await startProxy(scheme, { tls: certificates.good });
        await using peer = open(policyWith(proxy), certificates.ca);
        assert.equal(await peer.get(`${scheme}://localhost/a`), '200 {"the":"file"}');
        assert.equal(proxy.requests[0]?.headers['proxy-authorization'], authorization);
      }
    });

    test(`a proxy with an untrusted certificate gets no request for a ${kind}, and the error names it`, async () => {
      for (const [scheme, tls] of [
        ['http', certificates.good],
        ['https', certificates.selfSigned],
        ['https', certificates.misnamed],
      ] as const) {
        await using proxy = await startProxy(scheme, { tls });
        const trusted = tls === certificates.misnamed ? [certificates.ca] : [];
        const advice = { certificate: 'add its authority' };
        await using peer = open(policyWith({ ...proxy, advice }), ...trusted);
        const error = await failureOf(peer.get(`${scheme}://localhost/a`));
        assert.ok(error instanceof ProxyDenied && error.code === 'ProxyDenied');
        assert.match(
          error.message,
          new RegExp(`^the certificate of the proxy ${proxy.url} is not trusted: .*; add its authority$`),
        );
        assert.equal(proxy.requests.length, 0);
      }
    });

    test(`a ${kind} that NO_PROXY lists is reached directly`, async () => {
      await using proxy = await startProxy('http');
      await using peer = open(policyWith({ ...proxy, except: ['localhost', '.example.org'] }), certificates.ca);
      assert.equal(await peer.get(`https://localhost:${ports.https}/a`), '200 {"the":"file"}');
      const before = received.length;
      assert.equal(await peer.get(`http://localhost:${ports.http}/a`), '200 {"the":"file"}');
      assert.equal(proxy.connections, 0);
      const [request = assert.fail()] = received.slice(before);
      assert.deepEqual([request.path, request.headers['proxy-authorization']], ['/a', undefined]);
    });

    test(`a ${kind} whose name only the proxy can resolve is reached through it`, async () => {
      await using proxy = await startProxy('http');
      await using peer = open(policyWith(proxy));
      assert.equal(await peer.get('http://only-there.example.com/a'), '200 {"the":"file"}');
    });

    test(`an address that the policy rejects for a ${kind} is rejected before a byte goes to the proxy`, async () => {
      await using proxy = await startProxy('http');
      await using peer = open(policyWith(proxy, { deny: ['denied.example.com', '198.51.100.0/24'] }));
      for (const host of [
        '169.254.169.254',
        '[fd00:ec2::254]',
        '0xa9fea9fe',
        '127.0.0.1',
        'rebound.example.com',
        'internal.example.com',
        '10.1.2.3',
        'keystone.openstack.svc',
        'denied.example.com',
        '198.51.100.7',
      ])
        for (const scheme of ['http', 'https']) {
          const error = await failureOf(peer.get(`${scheme}://${host}/latest/meta-data`));
          assert.equal(errorCode(error), 'EgressRefused', `${scheme}://${host}: ${error.message}`);
          assert.ok(error instanceof EgressRefused);
        }
      assert.equal(proxy.connections, 0);
    });

    test(`the proxy of a ${kind} is allowed where the policy rejects its address`, async () => {
      await using proxy = await startProxy('http');
      await using peer = open(policyWith(proxy, { deny: ['127.0.0.0/8'], allow: [] }));
      assert.equal(await peer.get('http://public.example.com/a'), '200 {"the":"file"}');
    });

    const advice = { credentials: 'correct its password', server: 'list the server as an exception' };
    for (const status of [400, 401, 403, 407]) {
      const next = status === 407 || status === 401 ? advice.credentials : advice.server;
      test(`the response ${status} of a proxy to CONNECT for a ${kind} is an error that names the proxy, the status and the remedy`, async () => {
        await using proxy = await startProxy('https', { status });
        await using peer = open(policyWith({ ...proxy, advice }), certificates.ca);
        const error = await failureOf(peer.get('https://localhost/a'));
        assert.ok(error instanceof ProxyDenied);
        assert.equal(error.httpStatus, status);
        assert.deepEqual(error.retry, { kind: 'after', ms: 5 * 60_000 });
        assert.match(
          error.message,
          new RegExp(`^the proxy ${proxy.url} responded with ${status} [A-Za-z ]+ to CONNECT localhost:443; ${next}$`),
        );
        assert.equal(proxy.requests.length, 1);
      });
    }

    test(`the response 407 of a proxy to a request for a ${kind} behind http is the error of the proxy`, async () => {
      await using proxy = await startProxy('http', { status: 407 });
      await using peer = open(policyWith({ ...proxy, advice }));
      const error = await failureOf(peer.get('http://public.example.com/a'));
      assert.ok(error instanceof ProxyDenied);
      assert.equal(
        error.message,
        `the proxy ${proxy.url} responded with 407 Proxy Authentication Required to GET http://public.example.com; correct its password`,
      );
    });

    test(`a proxy that does not reach a ${kind}, has too much to do, closes the connection or does not listen is an outage that names the proxy`, async () => {
      await using failing = await startProxy('https', { status: 502 });
      await using busy = await startProxy('https', { status: 429 });
      await using closing = await startProxy('https', { status: -1 });
      const gone = await startProxy('https');
      await gone[Symbol.asyncDispose]();
      for (const [proxy, problem] of [
        [failing, 'responded with 502 Bad Gateway to CONNECT localhost:443: it does not reach that server'],
        [busy, 'responded with 429 Too Many Requests to CONNECT localhost:443'],
        [closing, 'does not respond: '],
        [gone, 'does not respond: connect ECONNREFUSED'],
      ] satisfies [StubProxy, string][]) {
        await using peer = open(policyWith(proxy), certificates.ca);
        const error = await failureOf(peer.get('https://localhost/a'));
        assert.ok(errorCode(error) === 'SourceUnreachable' || error instanceof ConnectionFailed);
        assert.ok(
          error.message.includes(`localhost`) && error.message.includes(`: the proxy ${proxy.url} ${problem}`),
          error.message,
        );
      }
    });

    test(`a failure of TLS in the tunnel to a ${kind} names the proxy, and keeps its code`, async () => {
      await using captive = await startProxy('http');
      await using peer = open(policyWith(captive), certificates.ca);
      const garbage = await failureOf(peer.get('https://localhost/a'));
      assert.ok(garbage.message.endsWith(` (in the tunnel that the proxy ${captive.url} opened)`), garbage.message);
      assert.match(garbage.message, /TLS failed: wrong version number/);
      await using intercepting = await startProxy('https');
      await using strict = open(policyWith(intercepting), certificates.otherCa);
      const untrusted = await failureOf(strict.get('https://localhost/a'));
      assert.match(String(errorCode(untrusted.cause)), /UNABLE_TO|CERT/);
    });

    test(`changed credentials of a proxy are used for the next connection to a ${kind}, and unusable ones name their file`, async () => {
      const file = join(directory, `${kind}-credentials`);
      await using proxy = await startProxy('https');
      await using peer = open(policyWith({ ...proxy, credentialsFile: file }), certificates.ca);
      const get = () => peer.get('https://localhost/a');
      for (const text of [undefined, 'only-user-wörd', 'user:wörd\nmore', ':wörd']) {
        if (text !== undefined) await writeFile(file, text);
        const error = await failureOf(get());
        assert.ok(error instanceof ProxyDenied);
        assert.match(
          error.message,
          new RegExp(`^the user and password of the proxy ${proxy.url} cannot be read from ${file}: `),
        );
      }
      assert.equal(proxy.requests.length, 0);
      await writeFile(file, 'other:secret');
      assert.equal(await get(), '200 {"the":"file"}');
      assert.equal(
        proxy.requests[0]?.headers['proxy-authorization'],
        `Basic ${Buffer.from('other:secret').toString('base64')}`,
      );
    });
  });

test('a redirect of a source behind a proxy to a blocked address is rejected before a byte of it goes to the proxy', async () => {
  await using proxy = await startProxy('http');
  await using peer = peers.source(policyWith(proxy));
  for (const target of [
    'http://169.254.169.254/',
    'http://10.0.0.1/',
    'http://internal.example.com/',
    'https://rebound.example.com/',
  ]) {
    const before = proxy.requests.length;
    const error = await failureOf(peer.get(`http://public.example.com/?to=${encodeURIComponent(target)}`));
    assert.equal(errorCode(error), 'EgressRefused');
    assert.deepEqual(
      proxy.requests.slice(before).map(({ line }) => line.slice(0, 30)),
      ['GET http://public.example.com/'],
    );
  }
});

test('an IPv6 address and a port of its own are named to the proxy as in a URL', async () => {
  await using proxy = await startProxy('https', { status: 403 });
  await using peer = peers.source(policyWith(proxy));
  await failureOf(peer.get('https://[2001:db8::1]/'));
  await failureOf(peer.get('https://public.example.com:8443/'));
  await peer.get('http://[2001:db8::1]:8080/');
  assert.deepEqual(
    proxy.requests.map(({ line }) => line),
    ['CONNECT [2001:db8::1]:443', 'CONNECT public.example.com:8443', 'GET http://[2001:db8::1]:8080/'],
  );
});

test('a proxy that accepts a connection and never responds is an outage that names the proxy', async () => {
  await using proxy = await startProxy('https', { status: 0 });
  const transport = createSourceTransport(policyWith(proxy), { connectTimeoutMs: 500 });
  const error = await failureOf(transport.get(new URL('https://localhost/a'), {}, signal));
  assert.equal(errorCode(error), 'ProxyUnreachable');
  assert.ok(error.message.startsWith(`the proxy ${proxy.url} does not respond: `));
  await transport.close();
});

test('the certificate of a proxy is checked for the name of the proxy, not for that of the server behind it', async () => {
  await using proxy = await startProxy('https', { tls: certificates.good, status: 403 });
  await using peer = peers.source(policyWith(proxy), certificates.ca);
  assert.match((await failureOf(peer.get('https://public.example.com/'))).message, / responded with 403 Forbidden/);
});

test('a host behind a proxy is not taken for a public one, although it was one when it was reached directly', async () => {
  await using proxy = await startProxy('http');
  const policy = { ...policyWith({ ...proxy, except: [`localhost:${ports.http}`] }), isPublic: () => true };
  const transport = createSourceTransport(policy);
  const isPublic = async (url: string) => {
    const response = await transport.get(new URL(url), {}, signal);
    response.body.destroy();
    return response.isPublic;
  };
  assert.equal(await isPublic(`http://localhost:${ports.http}/`), true);
  assert.equal(await isPublic('http://localhost/'), false);
  await transport.close();
});

test('a failure status for a cloud behind http names the proxy, which could have sent it', async () => {
  await using proxy = await startProxy('http', { status: 401 });
  const tls = { ca: undefined, verify: true, client: undefined };
  const transport = createTransport({ tls, egress: policyWith(proxy), userAgent: 'test', clock: systemClock });
  const url = 'http://public.example.com/v3';
  const purpose = { service: 'image', operation: 'read' } as const;
  const common = { url, headers: {}, requestId: 'req-1', signal, purpose };
  const body = Readable.from([Buffer.from('image')]);
  const limit = { bytes: 1000, values: 1000 };
  const responses = [
    await transport.request({ ...common, method: 'GET', deadlineMs: 30_000, limit }),
    await transport.upload({ ...common, method: 'PUT', body, size: 5, responseDeadlineMs: 30_000 }, () => {}),
    await transport.download({ ...common, responseDeadlineMs: 30_000, idleMs: 30_000 }),
  ].map((response) => ('rejected' in response ? response.rejected : response));
  for (const response of responses) {
    assert.ok('text' in response);
    assert.match(
      failureOfResponse('GET', url, response, { clock: systemClock }).message,
      new RegExp(`: 401: .*\\(or the proxy ${proxy.url} responded, through which the request went\\)$`),
    );
  }
  await transport.close();
});

test('a failure status for a source behind http names the proxy, which could have sent it', async () => {
  await using proxy = await startProxy('http', { status: 403 });
  const transport = createSourceTransport(policyWith(proxy));
  const response = await transport.get(new URL('http://public.example.com/a'), {}, signal);
  response.body.destroy();
  assert.equal(response.forwarder, proxy.url);
  assert.equal(response.isPublic, false);
  await transport.close();
});
