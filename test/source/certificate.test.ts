import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createEgressPolicy } from '../../src/http/egress.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { certificateProblem, readCertificates } from '../../src/source/certificate.ts';
import { createSourceTransport } from '../../src/source/transport.ts';
import { type Certificates, makeCertificates } from '../env/certificates.ts';
import { generated } from '../env/content.ts';
import { type Source as Server, startSource } from '../env/source.ts';
import { assertFailed, assertWhole, type Download, download } from './download.ts';

const content = generated(50_000);
const file = content.slice(0, content.size);
const policy = createEgressPolicy({ allow: ['127.0.0.1', 'localhost'], deny: [] });
type Kind = 'good' | 'misnamed' | 'expired' | 'early' | 'selfSigned';

let made: Certificates;
const servers = new Map<Kind, Server>();
before(async () => {
  made = await makeCertificates();
  for (const kind of ['good', 'misnamed', 'expired', 'early', 'selfSigned'] as const)
    servers.set(kind, await startSource({ tls: made[kind] }));
});
after(async () => {
  for (const server of servers.values()) await server.stop();
});

let count = 0;
/** Downloads by https from servers with these certificates, trusting `ca` in addition to the usual authorities. */
async function get(kinds: readonly Kind[], ca: string | undefined, host = '127.0.0.1'): Promise<Download> {
  const transport = createSourceTransport(policy, ca === undefined ? {} : { ca });
  const path = `/${++count}.raw`;
  const [url = '', ...mirrors] = kinds.map((kind) => servers.get(kind)?.add(path, { body: content }) ?? '');
  const named = (address: string) => address.replace('127.0.0.1', host);
  try {
    return await download([named(url), ...mirrors.map(named)], { servers: [...servers.values()], transport });
  } finally {
    await transport.close();
  }
}

describe('a source behind https', () => {
  test('a source with a certificate of a private authority is read when that authority is given', async () => {
    assertWhole(await get(['good'], made.ca), file);
    assertWhole(await get(['good'], made.ca, 'localhost'), file);
    assertWhole(await get(['good'], `a comment\n${made.otherCa}\n${made.ca}`), file);
  });

  const refusals: [words: string, kind: Kind, trusts: 'ca' | 'otherCa' | 'nothing', message: RegExp][] = [
    ['of an authority that is not given', 'good', 'nothing', /authority is not known here.*caSecretRef/],
    ['of another authority than the one given', 'good', 'otherCa', /authority is not known here.*caSecretRef/],
    ['that is signed by itself', 'selfSigned', 'ca', /signed by itself.*caSecretRef/],
    ['for another name', 'misnamed', 'ca', /made for another name.*use the name that the certificate is made for/],
    ['that has expired', 'expired', 'ca', /has expired \(CERT_HAS_EXPIRED\); the publisher has to renew it/],
    ['that is not valid yet', 'early', 'ca', /not valid yet.*clocks/],
  ];
  for (const [words, kind, trusts, message] of refusals)
    test(`a source with a certificate ${words} is not trusted, with the cause, and not retried`, async () => {
      const before = servers.get(kind)?.requests.length;
      const result = await get([kind], trusts === 'nothing' ? undefined : made[trusts]);
      assertFailed(result, 'SourceUntrusted', message);
      assertFailed(result, 'SourceUntrusted', /^the certificate of 127\.0\.0\.1:\d+ is not trusted/);
      assert.deepEqual(result.pauses, []);
      assert.ok(result.error instanceof OperatorError);
      assert.deepEqual(result.error.retry, { kind: 'change', lookAgainMs: 600_000 });
      assert.equal(servers.get(kind)?.requests.length, before);
    });

  test('an untrusted source is left for a trusted mirror', async () => {
    assertWhole(await get(['expired', 'good'], made.ca), file);
  });

  test('a source without TLS on its port is not retried', async () => {
    const plain = await startSource();
    const transport = createSourceTransport(policy);
    const result = await download([plain.url.replace('http:', 'https:')], { servers: [plain], transport });
    assertFailed(result, 'SourceUnreachable', /no connection to the source https:/);
    await transport.close();
    await plain.stop();
  });
});

describe('the authorities of caSecretRef', () => {
  test('one or several authorities are read from surrounding text', () => {
    assert.equal(readCertificates(`# ours\n${made.ca}\n# theirs\n${made.otherCa}`).length, 2);
  });

  const broken: [words: string, pem: (ca: string) => string, message: RegExp][] = [
    ['nothing', () => '', /holds no certificate in PEM form/],
    ['a key', () => made.good.key, /holds no certificate in PEM form/],
    ['a path', () => '/etc/ssl/ca.pem', /holds no certificate in PEM form/],
    ['a damaged certificate', (ca) => ca.replace(/\n(.{20})/, '\nAAAA'), /certificate 1 of 1 cannot be read/],
    [
      'a damaged certificate behind a good one',
      (ca) => `${ca}${ca.replace(/\n(.{20})/, '\nAAAA')}`,
      /certificate 2 of 2/,
    ],
  ];
  for (const [words, pem, message] of broken)
    test(`caSecretRef rejects ${words} immediately, without showing it`, () => {
      const text = pem(made.ca);
      assert.throws(
        () => createSourceTransport(policy, { ca: text }),
        (error) => {
          assert.ok(error instanceof OperatorError && error.code === 'SecretInvalid');
          assert.match(error.message, message);
          assert.ok(text === '' || !error.message.includes(text));
          return true;
        },
      );
    });
});

test('certificate errors are distinguished from other TLS errors', () => {
  for (const code of [
    'CERT_HAS_EXPIRED',
    'UNABLE_TO_GET_CRL',
    'CRL_HAS_EXPIRED',
    'CERT_REVOKED',
    'UNABLE_TO_GET_ISSUER_CERT',
  ])
    assert.ok(certificateProblem(code), code);
  for (const code of [
    'ERR_SSL_WRONG_VERSION_NUMBER',
    'ERR_TLS_HANDSHAKE_TIMEOUT',
    'EPROTO',
    'ECONNRESET',
    'ERR_SSL_TLSV1_ALERT_CERTIFICATE_REQUIRED',
  ])
    assert.equal(certificateProblem(code), undefined, code);
});
