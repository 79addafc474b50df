import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { connect as connectSocket, createServer, isIPv4, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { buildConnector } from 'undici';
import {
  createEgressPolicy,
  type EgressPolicy,
  EgressRefused,
  type EgressRules,
  type GuardOptions,
  guardConnector,
} from '../../src/http/egress.ts';
import { createTrust } from '../../src/http/trust.ts';
import { neverAborted } from '../../src/lib/abort.ts';

const none: EgressRules = { allow: [], deny: [] };

/** A policy whose names resolve to `address`, without DNS. */
function policyResolving(rules: Partial<EgressRules>, address: string) {
  const answer = { address, family: isIPv4(address) ? 4 : 6 };
  return createEgressPolicy({ ...none, ...rules }, (_host, _options, callback) => callback(null, [answer]));
}

describe('a guarded connector', () => {
  test('every connection that a source or a cloud can cause is made by a guarded connector', async () => {
    const src = join(import.meta.dirname, '../../src');
    const files = (await readdir(src, { recursive: true })).filter((file) => file.endsWith('.ts'));
    const made: Record<string, boolean> = {};
    for (const file of files) {
      const text = await readFile(join(src, file), 'utf8');
      // undici's connectors, and what else in Node opens a connection.
      if (
        /\b(?:buildConnector|createConnection)\(|\bnew (?:Agent|Client|Pool|ProxyAgent|Socket)\(|\bhttps?\.(?:get|request)\(/.test(
          text,
        )
      )
        made[file] = text.includes('guardConnector(');
    }
    assert.deepEqual(made, {
      'source/transport.ts': true,
      'openstack/transport.ts': true,
      // The proxy that the installation names. What is behind it, guardConnector checks.
      'http/proxy.ts': false,
      // The API server of the cluster, by the kubeconfig.
      'kubernetes/transport.ts': false,
    });
  });

  let server: Server;
  let port = '';
  const accepted = new Set<Socket>();
  before(async () => {
    server = createServer((socket) => accepted.add(socket));
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const address = server.address();
    assert(address !== null && typeof address === 'object');
    port = String(address.port);
  });
  after(() => {
    for (const socket of accepted) socket.destroy();
    server.close();
  });

  function open(connector: ReturnType<typeof guardConnector>, hostname: string): Promise<string> {
    return new Promise((done, fail) => {
      connector({ hostname, protocol: 'http:', port }, (...result) => {
        const [error, socket] = result;
        if (error !== null) return fail(error);
        socket.destroy();
        done(socket.remoteAddress ?? 'closed');
      });
    });
  }

  const guard = (policy: EgressPolicy, make: GuardOptions['make']) =>
    guardConnector(policy, { make, trust: createTrust(), connectTimeoutMs: 10_000, closing: neverAborted() });

  test('a connection to a blocked literal is rejected before connecting', async () => {
    let made = 0;
    const connector = guard(createEgressPolicy(none), () => () => made++);
    await assert.rejects(open(connector, '127.0.0.1'), EgressRefused);
    assert.equal(made, 0);
  });

  test('a connection to a name with a blocked address is rejected before connecting', async () => {
    const before = accepted.size;
    const policy = policyResolving({}, '127.0.0.1');
    const connector = guard(policy, ({ lookup }) => buildConnector({ lookup }));
    await assert.rejects(open(connector, 'rebound.example.com'), EgressRefused);
    assert.equal(accepted.size, before);
  });

  test('a connection to a blocked peer address is rejected and closed', async () => {
    let socket: Socket | undefined;
    const connector = guard(policyResolving({}, '203.0.113.7'), () => (_options, callback) => {
      const made = connectSocket(Number(port), '127.0.0.1', () => callback(null, made));
      socket = made;
    });
    await assert.rejects(open(connector, 'liar.example.com'), EgressRefused);
    assert.equal(socket?.destroyed, true);
  });

  test('connects to what is allowed', async () => {
    const policy = policyResolving({ allow: ['127.0.0.0/8'] }, '127.0.0.1');
    const connector = guard(policy, ({ lookup }) => buildConnector({ lookup }));
    await open(connector, '127.0.0.1');
    await open(connector, 'mirror.example.com');
  });
});
