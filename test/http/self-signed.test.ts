import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import { connect, createServer } from 'node:tls';
import { selfSigned } from '../../src/http/self-signed.ts';

const now = new Date('2026-11-28T12:34:56.789Z');

test('a self-made certificate names its host, is valid from now on for ten years, and its key belongs to it', () => {
  for (const name of ['metrics', `${'a'.repeat(60)}.${'b'.repeat(60)}.example.com`]) {
    const { cert, key } = selfSigned(name, now);
    const certificate = new X509Certificate(cert);
    assert.equal(certificate.subject, `CN=${name}`);
    assert.equal(certificate.issuer, `CN=${name}`);
    assert.equal(certificate.subjectAltName, `DNS:${name}`);
    assert.equal(certificate.validFromDate.toISOString(), '2026-11-28T12:34:56.000Z');
    assert.equal(certificate.validToDate.toISOString(), '2036-11-28T12:34:56.000Z');
    assert.ok(certificate.checkPrivateKey(createPrivateKey(key)));
    assert.ok(certificate.verify(certificate.publicKey));
  }
});

test('two self-made certificates have different keys and serial numbers', () => {
  const [first, second] = [selfSigned('a', now), selfSigned('a', now)];
  assert.notEqual(first.key, second.key);
  assert.notEqual(new X509Certificate(first.cert).serialNumber, new X509Certificate(second.cert).serialNumber);
});

test('a client that trusts a self-made certificate connects to its host, and to no other', async (t) => {
  const pair = selfSigned('metrics.example.com', new Date(Date.now() - 1000));
  const server = createServer(pair, (socket) => socket.end()).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const errorFor = async (servername: string) => {
    const socket = connect({ port: address.port, host: '127.0.0.1', servername, ca: pair.cert });
    const [error] = await Promise.race([once(socket, 'secureConnect'), once(socket, 'error').catch((e) => [e])]).catch(
      (problem: unknown) => [problem],
    );
    socket.destroy();
    return error instanceof Error ? error.message : undefined;
  };
  assert.equal(await errorFor('metrics.example.com'), undefined);
  assert.match((await errorFor('other.example.com')) ?? '', /does not match certificate's altnames/);
});
