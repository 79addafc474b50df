import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:https';
import { after, before, test } from 'node:test';
import { getCACertificates, type SecureContext, setDefaultCACertificates } from 'node:tls';
import { createEgressPolicy } from '../../src/http/egress.ts';
import { createTrust, type OwnTls, readBundle, type Trust, trustingConnector } from '../../src/http/trust.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { SecretString } from '../../src/lib/secret.ts';
import { createTransport } from '../../src/openstack/transport.ts';
import { createSourceTransport } from '../../src/source/transport.ts';
import { type Certificates, makeCertificates } from '../env/certificates.ts';

type Kind = 'good' | 'misnamed' | 'expired' | 'selfSigned' | 'chained' | 'dotted';

let made: Certificates;
const urls = new Map<Kind, string>();
const closers: (() => void)[] = [];

before(async () => {
  made = await makeCertificates();
  for (const kind of ['good', 'misnamed', 'expired', 'selfSigned', 'chained'] as const) {
    const server = createServer(made[kind], (_request, response) =>
      response.setHeader('connection', 'close').end('{}'),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    urls.set(kind, `https://127.0.0.1:${address.port}/`);
    closers.push(() => server.close());
  }
});
after(() => {
  for (const close of closers) close();
});

interface Peer {
  /** Undefined, or the code of the error of TLS. */
  get(kind: Kind): Promise<string | undefined>;
  close(): Promise<void>;
}

const policy = createEgressPolicy({ allow: ['127.0.0.1', 'localhost'], deny: [] });
const signal = new AbortController().signal;

/** All transports that carry bytes of users. */
const transports = {
  source(trust: Trust | undefined, ca: string | undefined): Peer {
    const transport = createSourceTransport(policy, { ...(ca && { ca }), ...(trust && { trust }) });
    return {
      get: (kind) =>
        failure(async () => {
          const { body } = await transport.get(new URL(urls.get(kind) ?? ''), {}, signal);
          body.resume();
          await once(body, 'end');
        }),
      close: () => transport.close(),
    };
  },
  cloud(trust: Trust | undefined, ca: string | undefined): Peer {
    const transport = createTransport({
      tls: { ca, verify: true, client: undefined },
      ...(trust && { trust }),
      egress: policy,
      userAgent: 'test',
      clock: systemClock,
    });
    const limit = { bytes: 1000, values: 1000 };
    const purpose = { service: 'image', operation: 'read' } as const;
    const common = { purpose, method: 'GET', headers: {}, requestId: 'req-1', deadlineMs: 30_000, limit, signal };
    return {
      get: (kind) => failure(() => transport.request({ ...common, url: urls.get(kind) ?? '' })),
      close: () => transport.close(),
    };
  },
};

async function failure(call: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await call();
    return undefined;
  } catch (error) {
    for (let at: unknown = error; at instanceof Error; at = at.cause) {
      if ('code' in at && typeof at.code === 'string' && /CERT|LEAF|ISSUER|PURPOSE/.test(at.code)) return at.code;
    }
    throw error;
  }
}

/** What `openssl x509 -trustout` writes behind a certificate with -addtrust serverAuth and with -addreject serverAuth. */
const trustedForServers = '300c300a06082b06010505070301';
const rejectedForServers = '300ca00a06082b06010505070301';

/** The certificate as `openssl x509 -trustout` and old programs write it. */
function labelled(pem: string, label: string, settings: string): string {
  const { raw } = new X509Certificate(pem);
  const lines = Buffer.concat([raw, Buffer.from(settings, 'hex')])
    .toString('base64')
    .replace(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN ${label} CERTIFICATE-----\n${lines}\n-----END ${label} CERTIFICATE-----\n`;
}

const unknown = /^(?:UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO)/;

for (const [name, open] of Object.entries(transports)) {
  async function attempt(kind: Kind, ca: string | undefined, ...installed: string[]): Promise<string | undefined> {
    const trust = createTrust();
    trust.set(installed);
    const peer = open(trust, ca);
    try {
      return await peer.get(kind);
    } finally {
      await peer.close();
    }
  }

  test(`a certificate that is given to a ${name} is trusted as a root, as an intermediate authority, and as the server's own`, async () => {
    for (const anchor of [made.ca, made.issuer, made.chained.cert, `${made.otherCa}${made.issuer}`]) {
      assert.equal(await attempt('chained', anchor), undefined);
      assert.equal(await attempt('chained', undefined, ...readBundle(anchor)), undefined);
    }
    assert.equal(await attempt('good', made.good.cert), undefined);
    assert.equal(await attempt('selfSigned', made.selfSigned.cert), undefined);
    assert.match((await attempt('chained', made.otherCa)) ?? '', unknown);
    assert.match((await attempt('good', made.issuer)) ?? '', unknown);
  });

  test(`a certificate under another name of OpenSSL is trusted by a ${name}, unless it says that it is not to be`, async () => {
    for (const [label, settings, isTrusted] of [
      ['X509', '', true],
      ['TRUSTED', '', true],
      ['TRUSTED', trustedForServers, true],
      ['TRUSTED', rejectedForServers, false],
    ] as const) {
      const ca = labelled(made.ca, label, settings);
      const expected = isTrusted ? undefined : 'INVALID_PURPOSE';
      assert.equal(await attempt('good', ca), expected, `${label} ${settings}`);
      assert.equal(
        await attempt('good', undefined, ...readBundle(`${made.otherCa}${ca}`)),
        expected,
        `${label} ${settings}`,
      );
    }
  });

  test(`a host that is written with a final dot is named to a server of a ${name} without it`, async (t) => {
    const names: string[] = [];
    const server = createServer(
      { ...made.good, SNICallback: (asked, done) => done(null, void names.push(asked)) },
      (_request, response) => response.setHeader('connection', 'close').end('{}'),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    urls.set('dotted', `https://localhost.:${address.port}/`);
    assert.equal(await attempt('dotted', made.ca), undefined);
    assert.deepEqual(names, ['localhost']);
  });

  test(`a certificate that is given to a ${name} is checked for name and date even if it is the server's own`, async () => {
    assert.equal(await attempt('misnamed', made.misnamed.cert), 'ERR_TLS_CERT_ALTNAME_INVALID');
    assert.equal(await attempt('expired', made.expired.cert), 'CERT_HAS_EXPIRED');
    assert.equal(await attempt('misnamed', undefined, made.ca), 'ERR_TLS_CERT_ALTNAME_INVALID');
  });

  test(`the certificates of the installation are trusted by a ${name} in addition to its own`, async () => {
    assert.match((await attempt('good', undefined)) ?? '', unknown);
    assert.equal(await attempt('good', undefined, made.ca), undefined);
    assert.equal(await attempt('good', undefined, made.otherCa, made.ca), undefined);
    assert.equal(await attempt('good', made.otherCa, made.ca), undefined);
    assert.equal(await attempt('good', made.ca, made.otherCa), undefined);
  });

  test(`the new and the old authority of one name are both trusted by a ${name}, in any order`, async () => {
    const { ca: renewed } = await makeCertificates();
    for (const installed of [
      [made.ca, renewed],
      [renewed, made.ca],
    ]) {
      assert.equal(await attempt('good', undefined, ...installed), undefined);
      assert.equal(await attempt('good', installed.join('')), undefined);
    }
    assert.match((await attempt('good', renewed)) ?? '', unknown);
  });

  test(`a change of the certificates of the installation applies to the next connection of a ${name}`, async () => {
    const trust = createTrust();
    const peer = open(trust, undefined);
    try {
      assert.match((await peer.get('good')) ?? '', unknown);
      trust.set([made.ca]);
      assert.equal(await peer.get('good'), undefined);
      trust.set([made.otherCa]);
      assert.match((await peer.get('good')) ?? '', unknown);
    } finally {
      await peer.close();
    }
  });

  test(`the authorities of the system are trusted by a ${name} ${name === 'cloud' ? 'unless it has its own' : 'in addition to its own'}`, async (t) => {
    const system = getCACertificates('default');
    t.after(() => setDefaultCACertificates(system));
    setDefaultCACertificates([made.ca]);
    assert.equal(await attempt('good', undefined), undefined);
    assert.equal(await attempt('good', undefined, made.otherCa), undefined);
    const withOwn = await attempt('good', made.otherCa, made.selfSigned.cert);
    if (name === 'cloud') assert.match(withOwn ?? '', unknown);
    else assert.equal(withOwn, undefined);
  });
}

test('connectors with the same certificates share their memory, and no other connectors do', () => {
  const trust = createTrust();
  const contextWith = (own: OwnTls): SecureContext | undefined => {
    const contexts: (SecureContext | undefined)[] = [];
    const make = (context: SecureContext | undefined) => {
      contexts.push(context);
      return () => assert.fail('it connects to nothing');
    };
    trustingConnector(trust, own, make, signal);
    return contexts[0];
  };
  const own = { ca: made.ca, replacesSystem: false };
  const first = contextWith(own);
  assert.ok(first !== undefined);
  assert.equal(contextWith({ ...own }), first);
  const client = { cert: made.good.cert, key: new SecretString(made.good.key) };
  const others = [
    contextWith({ ...own, ca: made.otherCa }),
    contextWith({ ...own, replacesSystem: true }),
    contextWith({ ...own, client }),
    contextWith({ ...own, client }),
    contextWith({ replacesSystem: false }),
  ];
  trust.set([made.otherCa]);
  others.push(contextWith(own), contextWith({ replacesSystem: false }));
  assert.equal(new Set([first, ...others]).size, 1 + others.length);
  assert.equal(contextWith(own), others.at(-2));
});

test('a bundle is read with text around its certificates, and a damaged one is rejected without being quoted', () => {
  assert.equal(readBundle(`# ours\n${made.ca}\n# theirs\n${made.otherCa}`).length, 2);
  const damaged = made.otherCa.replace(/\n(.{20})/, '\nAAAA');
  for (const [text, message] of [
    ['', 'it contains no certificate in PEM form'],
    [made.good.key, 'it contains no certificate in PEM form'],
    [`${made.ca}${damaged}`, 'certificate 2 of 2 cannot be read'],
  ] as const) {
    assert.throws(() => readBundle(text), { message });
  }
});
