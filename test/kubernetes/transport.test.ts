import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { KubernetesError } from '../../src/kubernetes/errors.ts';
import { type ApiTransport, type CallRecord, createApiTransport } from '../../src/kubernetes/transport.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createVirtualClock } from '../clock.ts';
import {
  type Answer,
  connect,
  createImpatientClock,
  json,
  lines,
  never,
  rejectsWith,
  reset,
  silence,
  startServer,
  status,
  writeKubeconfig,
} from './server.ts';

const path = '/api/v1/things';
/** Of a stream. */
const limits = { deadlineMs: 5000, idleMs: 60_000 };
const long = { deadlineMs: 600_000, idleMs: 600_000 };

test('a request carries credentials, user agent and query, and its response is parsed', async (t) => {
  const server = await startServer(t, json(200, { hello: 'world' }));
  const transport = await connect(t, server);
  const answer = await transport.request({ method: 'GET', path, query: { limit: 500, gone: undefined } }, never);
  assert.deepEqual(answer, { hello: 'world' });
  const [seen] = server.seen;
  assert.equal(seen?.path, path);
  assert.equal(seen?.query.toString(), 'limit=500');
  assert.equal(seen?.headers.authorization, 'Bearer secret-token');
  assert.equal(seen?.headers['user-agent'], 'glance-image-operator/1.2.3');
  assert.equal(transport.namespace, 'images');
  assert.equal(transport.server, server.url);
});

test('requests to a server below a path, as in Rancher, go to that path', async (t) => {
  const server = await startServer(t, json(200, {}));
  const transport = await connect(t, { url: `${server.url}/k8s/clusters/c-1` });
  await transport.request({ method: 'GET', path }, never);
  assert.equal(server.seen[0]?.path, `/k8s/clusters/c-1${path}`);
});

test('the time of the server is that of its last response, and goes on', async (t) => {
  const date = 'Thu, 01 Jan 2026 00:00:00 GMT';
  const server = await startServer(t, json(200, {}, { date }), json(404, {}, { date: 'soon' }));
  const clock = createVirtualClock('2027-01-01T00:00:00.000Z');
  const transport = await connect(t, server, { clock });
  assert.deepEqual(transport.now(), clock.now());
  await transport.request({ method: 'GET', path }, never);
  await assert.rejects(transport.request({ method: 'GET', path }, never));
  await clock.advance(1000);
  assert.equal(transport.now().toISOString(), '2026-01-01T00:00:01.000Z');
});

test('many requests share few connections', async (t) => {
  const server = await startServer(t, json(200, {}));
  const transport = await connect(t, server);
  for (let i = 0; i < 20; i++) await transport.request({ method: 'GET', path }, never);
  assert.ok(server.connections() <= 2);
  await Promise.all(Array.from({ length: 60 }, () => transport.request({ method: 'GET', path }, never)));
  assert.ok(server.connections() <= 16);
});

test('user and password of the kubeconfig become a basic authorization', async (t) => {
  const server = await startServer(t, json(200, {}));
  const transport = await connect(t, server, { user: { username: 'a', password: 'b' } });
  await transport.request({ method: 'GET', path }, never);
  assert.equal(server.seen[0]?.headers.authorization, `Basic ${Buffer.from('a:b').toString('base64')}`);
});

test('a 401 makes the transport read the credentials again, once', async (t) => {
  const server = await startServer(t, json(200, {}), status(401, 'Unauthorized', 'no'), json(200, { ok: true }));
  const kubeconfig = await writeKubeconfig(t, server.url, { token: 'old' });
  const clock = createImpatientClock();
  const transport = createApiTransport({ kubeconfig, version: '0', clock, random: () => 0.5 });
  t.after(() => transport.close());
  await transport.request({ method: 'GET', path }, never);
  await writeFile(
    kubeconfig,
    JSON.stringify({
      clusters: [{ name: 'c', cluster: { server: server.url } }],
      users: [{ name: 'u', user: { token: 'new' } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }),
  );
  assert.deepEqual(await transport.request({ method: 'POST', path, body: {} }, never), { ok: true });
  assert.deepEqual(
    server.seen.map((each) => each.headers.authorization),
    ['Bearer old', 'Bearer old', 'Bearer new'],
  );
});

test('a second 401 in a row is returned', async (t) => {
  const server = await startServer(t, status(401, 'Unauthorized', 'no'));
  const transport = await connect(t, server);
  await assert.rejects(transport.request({ method: 'GET', path }, never), rejectsWith('Unauthorized'));
  assert.equal(server.seen.length, 2);
});

test('a Status response becomes an error with reason, message, status and audit id', async (t) => {
  const body = { kind: 'Status', reason: 'Forbidden', code: 403, message: 'things is forbidden: User "x" cannot list' };
  const server = await startServer(t, json(403, body, { 'audit-id': 'req-1' }));
  const transport = await connect(t, server);
  await assert.rejects(transport.request({ method: 'GET', path }, never), (error) => {
    assert.ok(error instanceof KubernetesError);
    assert.deepEqual([error.code, error.reason], ['KubernetesFailed', 'Forbidden']);
    assert.equal(error.httpStatus, 403);
    assert.equal(error.requestId, 'req-1');
    assert.match(error.message, /403 Forbidden for GET \/api\/v1\/things: things is forbidden.*RBAC/);
    return true;
  });
});

test('an unknown kind is distinguished from a missing object', async (t) => {
  const notFound = status(404, 'NotFound', 'things "x" not found');
  const server = await startServer(t, (response) => void response.writeHead(404).end('404 page not found'), notFound);
  const transport = await connect(t, server);
  await assert.rejects(transport.request({ method: 'GET', path }, never), rejectsWith('UnknownResource'));
  await assert.rejects(transport.request({ method: 'GET', path }, never), rejectsWith('NotFound'));
});

test('429 is repeated after the time that the server asks for, whatever the method', async (t) => {
  const busy = json(429, { kind: 'Status', code: 429 }, { 'retry-after': '2' });
  const server = await startServer(t, busy, json(201, { ok: true }));
  const clock = createImpatientClock();
  const transport = await connect(t, server, { clock });
  assert.deepEqual(await transport.request({ method: 'POST', path, body: {} }, never), { ok: true });
  assert.deepEqual(clock.slept, [2200]);
});

test('a wait beyond the deadline is not begun: the error says how long', async (t) => {
  const server = await startServer(t, json(429, { kind: 'Status', code: 429 }, { 'retry-after': '60' }));
  const clock = createImpatientClock();
  const transport = await connect(t, server, { clock });
  await assert.rejects(transport.request({ method: 'GET', path }, never), (error) => {
    assert.ok(error instanceof KubernetesError);
    assert.deepEqual(error.retry, { kind: 'backoff', leastMs: 60_000 });
    return true;
  });
  assert.deepEqual(clock.slept, []);
});

test('a broken connection is tried again for what is idempotent, three times with longer waits', async (t) => {
  const server = await startServer(t, reset);
  const clock = createImpatientClock();
  const transport = await connect(t, server, { clock });
  await assert.rejects(transport.request({ method: 'GET', path }, never), rejectsWith('Unreachable'));
  assert.equal(server.seen.length, 4);
  assert.deepEqual(clock.slept, [200, 400, 800]);
});

test('a request that may have been processed is not sent again', async (t) => {
  const server = await startServer(t, reset, json(503, {}), json(201, {}));
  const transport = await connect(t, server);
  await assert.rejects(transport.request({ method: 'POST', path, body: {} }, never), rejectsWith('Unreachable'));
  await assert.rejects(transport.request({ method: 'POST', path, body: {} }, never), rejectsWith('ServiceUnavailable'));
  assert.equal(server.seen.length, 2);
  await transport.request({ method: 'PATCH', path, body: {}, idempotent: true }, never);
});

test('a refused connection names the server and the cause', async (t) => {
  const transport = await connect(t, { url: 'http://127.0.0.1:1' });
  await assert.rejects(transport.request({ method: 'GET', path }, never), /http:\/\/127\.0\.0\.1:1.*ECONNREFUSED/);
});

test('a request without a response ends at the deadline', async (t) => {
  const server = await startServer(t, silence);
  const clock = createVirtualClock();
  const transport = await connect(t, server, { clock });
  const answer = transport.request({ method: 'GET', path, deadlineMs: 5000 }, never);
  const expected = assert.rejects(answer, rejectsWith('DeadlineExceeded'));
  while (server.seen.length === 0) await clock.advance(0);
  await clock.advance(5000);
  await expected;
  assert.equal(clock.pending, 0);
});

test('an abort by the caller is thrown as its reason', async (t) => {
  const server = await startServer(t, silence);
  const transport = await connect(t, server);
  const controller = new AbortController();
  const answer = transport.request({ method: 'GET', path }, controller.signal);
  controller.abort(new Error('the lease is lost'));
  await assert.rejects(answer, /the lease is lost/);
});

test('a success that is not JSON is an error of its own', async (t) => {
  const server = await startServer(t, (response) => void response.writeHead(200).end('<html>Log in'));
  const transport = await connect(t, server);
  await assert.rejects(transport.request({ method: 'GET', path }, never), /not JSON: <html>Log in/);
});

test('each try is observed with method, host, code and duration', async (t) => {
  const server = await startServer(t, reset, json(200, {}));
  const records: CallRecord[] = [];
  const transport = await connect(t, server, { observe: (record) => records.push(record) });
  await transport.request({ method: 'GET', path }, never);
  const { host } = new URL(server.url);
  assert.deepEqual(
    records.map((record) => [record.method, record.host, record.code]),
    [
      ['GET', host, '<error>'],
      ['GET', host, '200'],
    ],
  );
  assert.ok(records.every((record) => record.durationMs >= 0));
});

test('a missing kubeconfig is reported as KubeconfigInvalid', () => {
  const common = { version: '0', clock: systemClock, random: () => 0 };
  assert.throws(
    () => createApiTransport({ kubeconfig: '/does/not/exist', ...common }),
    rejectsWith('KubeconfigInvalid'),
  );
});

test('a stream yields each line and reports when the server has accepted', async (t) => {
  const server = await startServer(t, lines({ a: 1 }, { b: 2 }));
  const transport = await connect(t, server);
  const seen: string[] = [];
  const onOpen = () => seen.push('open');
  for await (const line of transport.stream({ path, query: { watch: true }, ...limits, onOpen }, never))
    seen.push(line);
  assert.deepEqual(seen, ['open', '{"a":1}', '{"b":2}']);
});

test('a rejected stream throws the error of the server', async (t) => {
  const server = await startServer(t, status(410, 'Expired', 'too old resource version'));
  const transport = await connect(t, server);
  const stream = transport.stream({ path, query: {}, ...limits }, never);
  await assert.rejects(stream.next(), rejectsWith('Expired'));
});

test('a stream without a response ends at its deadline, or with its signal', async (t) => {
  const server = await startServer(t, silence);
  const clock = createVirtualClock();
  const transport = await connect(t, server, { clock });
  const first = transport.stream({ path, query: {}, ...limits }, never).next();
  const expected = assert.rejects(first, rejectsWith('DeadlineExceeded'));
  while (server.seen.length === 0) await clock.advance(0);
  await clock.advance(5000);
  await expected;
  const controller = new AbortController();
  const second = transport.stream({ path, query: {}, ...limits }, controller.signal).next();
  while (server.seen.length === 1) await clock.advance(0);
  controller.abort(new Error('over'));
  await assert.rejects(second, /over/);
  assert.equal(clock.pending, 0);
});

test('a stream on which nothing comes any more is taken for dead, however long its deadline', async (t) => {
  const more = Promise.withResolvers<void>();
  const server = await startServer(t, async (response) => {
    response.writeHead(200).write('{"a":1}\n');
    await more.promise;
    response.write('{"b":2}\n');
  });
  const clock = createVirtualClock();
  const transport = await connect(t, server, { clock });
  const stream = transport.stream({ path, query: {}, deadlineMs: 300_000, idleMs: 1000 }, never);
  assert.equal((await stream.next()).value, '{"a":1}');
  const second = stream.next();
  await clock.advance(900);
  more.resolve();
  assert.equal((await second).value, '{"b":2}');
  const third = stream.next();
  third.catch(() => {});
  await clock.advance(900);
  assert.equal(await Promise.race([third, 'still open']), 'still open');
  await clock.advance(100);
  await assert.rejects(third, rejectsWith('IdleTimeout'));
  assert.equal(clock.pending, 0);
});

test('a stream that breaks off gives all complete lines and then fails', async (t) => {
  const server = await startServer(t, (response) => {
    response.writeHead(200);
    response.write('{"a":1}\n{"b"');
    setImmediate(() => response.destroy());
  });
  const transport = await connect(t, server);
  const stream = transport.stream({ path, query: {}, ...limits }, never);
  assert.equal((await stream.next()).value, '{"a":1}');
  await assert.rejects(stream.next(), rejectsWith('Unreachable'));
});

test('a reader that stops ends the request of the stream', async (t) => {
  const closed = Promise.withResolvers<void>();
  const server = await startServer(t, (response) => {
    response.on('close', () => closed.resolve());
    response.writeHead(200);
    response.write('{"a":1}\n');
  });
  const transport = await connect(t, server);
  for await (const _ of transport.stream({ path, query: {}, ...limits }, never)) break;
  await closed.promise;
});

test('a kubeconfig that does not parse is reported by its position, without the token next to it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kubeconfig-'));
  const kubeconfig = join(folder, 'config');
  writeFileSync(kubeconfig, 'users:\n- name: a\n  user:\n    token: eyJhbGciOi-SECRET\n   password: hunter2\n');
  try {
    assert.throws(
      () => createApiTransport({ kubeconfig, version: 'test', clock: systemClock, random: Math.random }),
      ({ message }: Error) => /cannot be used: .* at line \d+/.test(message) && !/SECRET|hunter2/.test(message),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a call that runs when its transport is closed fails, and makes no other connection', async (t) => {
  const server = await startServer(t, () => void transport.close());
  const transport = await connect(t, server, { clock: createImpatientClock() });
  await assert.rejects(transport.request({ method: 'GET', path }, never), rejectsWith('Closed'));
  await assert.rejects(transport.request({ method: 'GET', path }, never), rejectsWith('Closed'));
  assert.equal(server.connections(), 1);
});

for (const [what, answer, start] of [
  ['a read', () => {}, (transport) => transport.request({ method: 'GET', path }, never)],
  ['a write', () => {}, (transport) => transport.request({ method: 'POST', path, body: {} }, never)],
  [
    'a call that waits for its repetition',
    status(429, 'TooManyRequests', 'later', { details: { retryAfterSeconds: 20 } }),
    (transport) => transport.request({ method: 'GET', path }, never),
  ],
  ['a stream', silence, (transport) => transport.stream({ path, query: {}, ...long }, never).next()],
] satisfies [string, Answer, (transport: ApiTransport) => Promise<unknown>][])
  test(`${what} that is in progress ends with Closed when its transport is closed`, async (t) => {
    const reached = Promise.withResolvers<void>();
    const server = await startServer(t, (response, request) => {
      answer(response, request);
      reached.resolve();
    });
    const waits = Promise.withResolvers<void>();
    const clock = {
      ...systemClock,
      sleep(ms: number, signal?: AbortSignal) {
        waits.resolve();
        return systemClock.sleep(ms, signal);
      },
    };
    const transport = await connect(t, server, { clock });
    const ended = assert.rejects(start(transport), rejectsWith('Closed'));
    await reached.promise;
    if (what.includes('waits')) await waits.promise;
    await transport.close();
    await ended;
  });

test('a stream that was opened before the certificate was rotated ends when its transport is closed', async (t) => {
  const first: Answer = (response) => void response.writeHead(200).write('{"a":1}\n');
  const server = await startServer(t, first, status(401, 'Unauthorized', 'no'), json(200, {}));
  const kubeconfig = await writeKubeconfig(t, server.url, { token: 't' });
  const transport = createApiTransport({ kubeconfig, version: '0', clock: systemClock, random: () => 0.5 });
  const stream = transport.stream({ path, query: {}, ...long }, never);
  await stream.next();
  const text = await readFile(kubeconfig, 'utf8');
  await writeFile(kubeconfig, text.replace('"server"', '"tls-server-name":"other","server"'));
  await transport.request({ method: 'GET', path }, never);
  const ended = assert.rejects(stream.next(), rejectsWith('Closed'));
  await transport.close();
  await ended;
});

test('a proxy-url that cannot be used is an error of the kubeconfig', async (t) => {
  const kubeconfig = await writeKubeconfig(t, 'http://127.0.0.1:1', { token: 't' }, 'http://user:%zz@127.0.0.1:1');
  for (const isUnattended of [true, false]) {
    const transport = createApiTransport({
      ...{ kubeconfig, isUnattended, version: '0', clock: createImpatientClock(), random: () => 0.5 },
    });
    t.after(() => transport.close());
    await assert.rejects(transport.request({ method: 'GET', path }, never), rejectsWith('KubeconfigInvalid'));
  }
});
