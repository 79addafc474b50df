/** The server for metrics with a login, in front of a stub of the API server that decides by the token. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { z } from 'zod';
import { createMetricsAccess } from '../../src/commands/metrics-access.ts';
import { selfSigned } from '../../src/http/self-signed.ts';
import { createLogger } from '../../src/lib/log.ts';
import { createVirtualClock } from '../clock.ts';
import { kubeconfig } from '../env/kubeconfig.ts';

const reviewSchema = z.object({
  kind: z.enum(['TokenReview', 'SubjectAccessReview']),
  spec: z.looseObject({ token: z.string().optional(), user: z.string().optional() }),
});
type AskedReview = z.infer<typeof reviewSchema>;

const user = { username: 'prometheus', uid: '1', groups: ['monitoring'], extra: { scopes: ['a'] } };
const text = 'some_metric 1\n';
const metrics = async () => ({ contentType: 'text/plain; version=0.0.4', text });

/** The response of the stub: the user of a token is its first word, and may get metrics if the second is `may`. */
function decide({ kind, spec }: AskedReview): object {
  const [name, may] = (spec.token ?? spec.user ?? '').split('.');
  if (kind === 'SubjectAccessReview')
    return { status: { allowed: may?.startsWith('m') === true, denied: may === 'must-not' } };
  if (name === 'odd') return { status: 'odd' };
  return { status: name === 'user' ? { authenticated: true, user: { ...user, username: spec.token } } : {} };
}

describe('metrics with a login', () => {
  const asked: AskedReview[] = [];
  let folder: string;
  let api: Server;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'metrics-'));
    api = createServer(async (incoming, response) => {
      const review = reviewSchema.parse(JSON.parse(Buffer.concat(await incoming.toArray()).toString()));
      asked.push(review);
      response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify(decide(review)));
    }).listen(0, '127.0.0.1');
    await once(api, 'listening');
    const address = api.address();
    assert.ok(typeof address === 'object' && address !== null);
    const config = kubeconfig({ server: `http://127.0.0.1:${address.port}`, token: 'own' });
    await writeFile(join(folder, 'kubeconfig'), config);
  });
  after(async () => {
    api.close();
    api.closeAllConnections();
    await rm(folder, { recursive: true });
  });

  async function serving(work: (at: Serving) => Promise<void>, certificates?: string): Promise<void> {
    const lines: string[] = [];
    const clock = createVirtualClock();
    const log = createLogger('info', { write: (line) => void lines.push(line) });
    const connection = { kubeconfig: join(folder, 'kubeconfig'), version: '1', clock, random: () => 0.5 };
    const settings = { metricsAddress: '127.0.0.1:0', metricsCertificate: certificates };
    const access = createMetricsAccess({ settings, metrics, connection, clock, log });
    assert.ok(access !== undefined);
    const stop = new AbortController();
    const ended = access.components.map(({ run }) => run(stop.signal, stop.signal).catch(() => {}));
    const opened = async () => {
      for (;;) {
        const line = lines.find((each) => each.includes('Serving metrics over TLS'));
        if (line !== undefined) return z.looseObject({ port: z.int() }).parse(JSON.parse(line)).port;
        await nextTurn();
      }
    };
    try {
      const port = await opened();
      await work({ get: (options) => get(port, options), lines, advance: clock.advance });
    } finally {
      stop.abort();
      await Promise.all([...ended, access.close()]);
    }
  }

  test('a user with the permission gets the metrics, and the API server reviews exactly that user and path', async () => {
    await serving(async ({ get }) => {
      const before = asked.length;
      const answer = await get({ token: 'user.may' });
      assert.deepEqual([answer.status, answer.text], [200, text]);
      await get({ token: 'user.may' });
      const { username: _, ...rest } = user;
      assert.deepEqual(asked.slice(before), [
        { kind: 'TokenReview', spec: { token: 'user.may' } },
        {
          kind: 'SubjectAccessReview',
          spec: { user: 'user.may', ...rest, nonResourceAttributes: { path: '/metrics', verb: 'get' } },
        },
      ]);
    });
  });

  test('all other clients get no metrics, and learn why', async () => {
    await serving(async ({ get, lines }) => {
      for (const [token, status, message] of [
        [undefined, 401, /Authorization: Bearer TOKEN/],
        ['nobody.may', 401, /Send a token of this cluster/],
        ['user.not', 403, /User user\.not may not get the path \/metrics: bind a ClusterRole/],
        ['user.must-not', 403, /may not get/],
        ['odd', 503, /The API server cannot check the token now/],
      ] as const) {
        const answer = await get({ token });
        assert.equal(answer.status, status, `${token}: ${answer.text}`);
        assert.match(answer.text, message);
        assert.doesNotMatch(answer.text, /some_metric/);
      }
      const codes = await Promise.all(
        Array.from({ length: 20 }, async (_, at) => (await get({ token: `new-${at}` })).status),
      );
      assert.ok(codes.includes(429), codes.join());
      for (const path of ['/livez', '/', '/metrics/x'])
        assert.equal((await get({ token: 'user.may', path })).status, 404);
      assert.match(lines.join('\n'), /it is not a TokenReview.*cannot be checked/);
      assert.doesNotMatch(lines.join('\n'), /user\.may|nobody/);
    });
  });

  test('the operator makes a certificate of its own where none is configured', async () => {
    await serving(async ({ get }) => {
      const { certificate } = await get({ token: 'user.may' });
      assert.equal(certificate.subject, 'CN=glance-image-operator');
    });
  });

  test('a certificate that is replaced counts for the next connection, and an unusable pair changes nothing', async () => {
    const directory = await mkdtemp(join(folder, 'certificates-'));
    const write = async ({ cert, key }: { cert: string; key: string }) => {
      await writeFile(join(directory, 'tls.key'), key);
      await writeFile(join(directory, 'tls.crt'), cert);
    };
    const [first, second, third] = ['first', 'second', 'third'].map((name) => selfSigned(name, new Date()));
    assert.ok(first !== undefined && second !== undefined && third !== undefined);
    await write(first);
    await serving(async ({ get, lines, advance }) => {
      const subject = async () => (await get({ token: 'user.may' })).certificate.subject;
      const looked = async (sign: string) => {
        while (!lines.some((line) => line.includes(sign))) await advance(1_000);
      };
      assert.equal(await subject(), 'CN=first');
      await write({ cert: second.cert, key: third.key });
      await looked('tls.key does not belong to the certificate in tls.crt');
      assert.equal(await subject(), 'CN=first');
      await write({ cert: second.cert, key: 'secret text' });
      await looked('tls.key is not a private key in PEM');
      assert.equal(await subject(), 'CN=first');
      lines.length = 0;
      await write(second);
      await looked('The certificate and key of the metrics have changed');
      assert.equal(await subject(), 'CN=second');
      assert.doesNotMatch(lines.join(''), /secret text|PRIVATE KEY/);
    }, directory);
  });

  test('the operator serves metrics with a certificate of its own while the configured one is missing', async () => {
    await serving(
      async ({ get, lines }) => {
        assert.equal((await get({ token: 'user.may' })).certificate.subject, 'CN=glance-image-operator');
        assert.match(lines.join('\n'), /The file is unusable/);
      },
      join(folder, 'missing'),
    );
  });
});

interface Asked {
  token?: string | undefined;
  path?: string;
}

interface Scraped {
  status: number | undefined;
  text: string;
  certificate: X509Certificate;
}

interface Serving {
  get(options: Asked): Promise<Scraped>;
  lines: string[];
  advance(ms: number): Promise<void>;
}

async function get(port: number, { token, path = '/metrics' }: Asked): Promise<Scraped> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  // A new connection each time, whose certificate the test looks at.
  const options = { host: '127.0.0.1', port, path, headers, agent: false, rejectUnauthorized: false };
  const response = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
    request(options, resolve).on('error', reject).end();
  });
  const { raw } = (response.socket as TLSSocket).getPeerCertificate();
  const body = Buffer.concat(await response.toArray()).toString();
  return { status: response.statusCode, text: body, certificate: new X509Certificate(raw) };
}
