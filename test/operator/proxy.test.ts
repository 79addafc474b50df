/** The operator behind a real forward proxy: sources and the cloud by http and https, the proxy with and without TLS. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeCertificates } from '../env/certificates.ts';
import { type RealProxy, startRealProxy, startTlsFront, type TlsFront } from '../env/forward-proxy.ts';
import { raw } from '../env/images.ts';
import { type Source, startSource } from '../env/source.ts';
import { claimPort } from './closed-port.ts';
import { digestOf } from './digest.ts';
import { messageOf, World } from './world.ts';

const login = { user: 'images', password: 'pass-of-the-proxy' };
const body = raw(3 * 2 ** 20);
const digest = digestOf(body);

describe('an operator behind a proxy', () => {
  const resources = new AsyncDisposableStack();
  let world: World;
  let proxy: RealProxy;
  /** TLS in front of the proxy, with a certificate of the authority in the bundle. */
  let front: TlsFront;
  let secure: Source;
  /** With an address from which Glance may fetch. */
  let web: Source;
  let credentials: string;
  let apiPort: string;

  before(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'proxy-'));
    resources.defer(() => rm(directory, { recursive: true }));
    const { ca, good } = await makeCertificates();
    credentials = join(directory, 'credentials');
    const bundle = join(directory, 'ca.crt');
    await writeFile(credentials, `${login.user}:${login.password}\n`);
    await writeFile(bundle, ca);
    proxy = resources.use(await startRealProxy({ ...login, rejected: ['127.0.0.9'] }));
    front = resources.use(await startTlsFront(proxy.port, good));
    secure = await startSource({ tls: good });
    resources.defer(() => secure.stop());
    world = resources.use(await World.create({ idle: true }));
    web = await startSource({ ports: world.stack.sourcePorts });
    resources.defer(() => web.stop());
    const { openstack, kubernetes } = world.stack;
    // Keystone by http, Glance by https.
    const glance = resources.use(await startTlsFront(Number(new URL(openstack.imageUrl).port), good));
    const imageUrl = `https://127.0.0.1:${glance.port}`;
    await world.writeSecret('openstack', { 'clouds.yaml': await world.project.cloudsYaml({ imageUrl }) });
    apiPort =
      /server: https:\/\/[^:]+:(\d+)/.exec(await readFile(kubernetes.kubeconfig(world.user), 'utf8'))?.[1] ?? '';
    await world.start([
      `--source-proxy=https://127.0.0.1:${front.port}`,
      `--source-proxy-credentials=${credentials}`,
      `--cloud-proxy=http://127.0.0.1:${proxy.port}`,
      `--cloud-proxy-credentials=${credentials}`,
      `--ca-bundle=${bundle}`,
    ]);
  });
  after(() => resources.disposeAsync());

  const spec = (url: string) => ({ image: { diskFormat: 'raw' }, content: { http: { url, digest } } });

  test('an image from a source behind https becomes Ready through the proxy, and so do all calls to its cloud', async () => {
    const url = secure.add('/secure.raw', { body });
    const before = proxy.requests().length;
    await world.apply('secure', spec(url));
    await world.ready('secure');
    const requests = proxy.requests().slice(before);
    assert.ok(requests.includes(`CONNECT 127.0.0.1:${secure.port} HTTP/1.1`));
    const { origin } = new URL(world.stack.openstack.authUrl);
    assert.ok(requests.some((line) => line.startsWith(`POST ${origin}/`) && line.includes('/v3/auth/tokens ')));
    assert.ok(requests.filter((line) => line.startsWith('CONNECT ')).length > 1, 'Glance is reached by a tunnel');
  });

  test('an image from a source behind http becomes Ready through the proxy, which sees the request', async () => {
    const url = world.source.add('/plain.raw', { body });
    await world.apply('plain', spec(url));
    await world.ready('plain');
    assert.ok(proxy.requests().includes(`GET ${url} HTTP/1.1`));
    const [request = assert.fail()] = world.source.requests.filter(({ path }) => path === '/plain.raw');
    assert.match(request.headers.via ?? '', /tinyproxy/);
    assert.equal(request.headers['proxy-authorization'], undefined);
  });

  test('with WebDownload Glance fetches the file past the proxy, after the operator has requested the URL from it', async () => {
    const url = web.add('/fetched.raw', { body });
    const http = { url, digest: digestOf(body, 'sha512') };
    await world.apply('fetched', { image: { diskFormat: 'raw' }, content: { http, method: 'WebDownload' } });
    await world.ready('fetched');
    assert.ok(proxy.requests().includes(`GET ${url} HTTP/1.1`));
    const seen = web.requests.map(({ headers }) => [headers.range, /tinyproxy/.test(headers.via ?? '')]);
    assert.deepEqual(
      [seen[0], seen.at(-1)],
      [
        ['bytes=0-0', true],
        [undefined, false],
      ],
    );
    await world.apply('unfetched', {
      image: { diskFormat: 'raw' },
      content: { http: { ...http, url: 'https://127.0.0.9/a.raw' }, method: 'WebDownload' },
    });
    const rejected = await world.reason('unfetched', 'ProxyRefused');
    assert.match(messageOf(rejected), /responded with 403 Forbidden to CONNECT 127\.0\.0\.9:443/);
  });

  test('a server that the proxy rejects, and one that it does not reach, are reported with the proxy and its status', async () => {
    const name = `https://127.0.0.1:${front.port}`;
    await world.apply('rejected', spec('https://127.0.0.9/a.raw'));
    const rejected = await world.reason('rejected', 'ProxyRefused');
    assert.ok(
      messageOf(rejected).includes(
        `the proxy ${name} responded with 403 Forbidden to CONNECT 127.0.0.9:443; have its administrator allow`,
      ),
    );
    const port = await claimPort();
    await world.apply('closed', spec(`https://127.0.0.1:${port}/a.raw`));
    const closed = await world.reason('closed', 'SourceUnreachable');
    assert.match(
      messageOf(closed),
      new RegExp(
        `: the proxy ${name} responded with 50\\d [A-Za-z ]+ to CONNECT 127\\.0\\.0\\.1:${port}: it does not reach`,
      ),
    );
    await world.apply('hidden', spec('http://127.0.0.9/a.raw'));
    const hidden = await world.reason('hidden', 'SourceForbidden');
    assert.ok(messageOf(hidden).includes(`responded with 403 Forbidden (or the proxy ${name} responded`));
  });

  test('a wrong password of the proxy is reported with its flag, and the right one is used without a restart', async () => {
    const url = secure.add('/later.raw', { body });
    await writeFile(credentials, `${login.user}:another-password`);
    await world.apply('later', spec(url));
    const failed = await world.reason('later', 'ProxyRefused');
    assert.match(
      messageOf(failed),
      /the proxy \S+ responded with 401 Unauthorized .*correct the user and password in --\w+-proxy-credentials/,
    );
    await writeFile(credentials, `${login.user}:${login.password}`);
    await world.annotate('later', 'glance-image-operator.dev/reconcile-at', 'now');
    await world.ready('later');
  });

  test('the API server is never reached through the proxy, and no log line has the password of the proxy', () => {
    assert.notEqual(apiPort, '');
    assert.deepEqual(
      proxy.requests().filter((line) => line.includes(`:${apiPort}`)),
      [],
    );
    const log = world.operator.log.join('\n');
    for (const secret of [
      login.password,
      'another-password',
      Buffer.from(`${login.user}:${login.password}`).toString('base64'),
    ])
      assert.ok(!log.includes(secret));
  });
});
