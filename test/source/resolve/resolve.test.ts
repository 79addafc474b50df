/** The requests that a question costs, from responses that a test scripts. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { neverAborted } from '../../../src/lib/abort.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { OperatorError } from '../../../src/lib/errors.ts';
import { SecretString } from '../../../src/lib/secret.ts';
import type { Question } from '../../../src/source/resolve/question.ts';
import { type Known, type ResolveContext, resolve } from '../../../src/source/resolve/resolve.ts';
import type { SourceTransport } from '../../../src/source/transport.ts';
import { defaultLimits } from '../../../src/transfer/plan.ts';

const list = 'https://images.example.com/9/SHA256SUMS';
const hex = '8e35c2cd3bf6641bdb0e2050b76932cbb2e6034a0ddacc1d9bea82a6ba57f7cf';
const signed = material('SHA256SUMS');

function material(name: string): Buffer {
  return readFileSync(join(import.meta.dirname, '../openpgp/material', name));
}

interface Scripted {
  status?: number;
  headers?: Record<string, string>;
  body?: string | Buffer;
}

/** By URL: the responses in turn, of which the last one repeats. */
function scripted(script: Record<string, readonly Scripted[]>) {
  const requests: { url: string; headers: Record<string, string> }[] = [];
  let unread = 0;
  const transport: SourceTransport = {
    async get({ href }, headers) {
      const turn = requests.filter(({ url }) => url === href).length;
      requests.push({ url: href, headers });
      const responses = script[href] ?? [{ status: 404 }];
      const { status = 200, headers: sent = {}, body = '' } = responses[turn] ?? responses.at(-1) ?? {};
      unread++;
      const stream = Readable.from([Buffer.from(body)]);
      stream.on('close', () => unread--);
      return { status, header: (name) => sent[name], body: stream, isPublic: true };
    },
    close: async () => undefined,
  };
  return { transport, requests, unread: () => unread };
}

function question(fields: Partial<Question> = {}): Question {
  return {
    url: list,
    isSigned: false,
    looksFor: { kind: 'checksums', file: 'https://images.example.com/9/disk-20240601.qcow2', name: undefined },
    ...fields,
  };
}

function contextOf(transport: SourceTransport, fields: Partial<ResolveContext> = {}): ResolveContext {
  return {
    keys: [],
    declared: {},
    declaredFor: undefined,
    transport,
    limits: defaultLimits,
    random: () => 0.5,
    clock: { ...systemClock, now: () => new Date('2024-09-01T00:00:00Z') },
    signal: neverAborted(),
    ...fields,
  };
}

const fails = (code: string) => (error: unknown) => {
  assert.ok(error instanceof OperatorError);
  assert.equal(error.code, code, error.message);
  return true;
};

describe('questions to publishers', () => {
  for (const [validator, condition] of [
    ['etag', 'if-none-match'],
    ['last-modified', 'if-modified-since'],
  ] as const)
    test(`an unchanged list costs one request with ${condition}, and no body`, async () => {
      const value = validator === 'etag' ? 'W/"1"' : 'Sat, 01 Jun 2024 12:00:00 GMT';
      const { transport, requests } = scripted({
        [list]: [{ body: signed, headers: { [validator]: value } }, { status: 304 }],
      });
      const first = await resolve(question(), undefined, contextOf(transport));
      assert.deepEqual(first.resolution, {
        url: 'https://images.example.com/9/disk-20240601.qcow2',
        digest: `sha256:${hex}`,
      });
      const second = await resolve(question(), first, contextOf(transport));
      assert.equal(second, first);
      assert.equal(requests.length, 2);
      assert.equal(requests[1]?.headers[condition], value);
      assert.equal(requests[0]?.headers[condition], undefined);
    });

  test('a signed list is fetched with its signature, and an unchanged one without', async () => {
    const signatureURL = `${list}.gpg`;
    const { transport, requests } = scripted({
      [list]: [{ body: signed, headers: { etag: '"1"' } }, { status: 304 }],
      [signatureURL]: [{ body: material('SHA256SUMS.gpg') }],
    });
    const context = contextOf(transport, { keys: [material('release.key.asc')] });
    const asked = question({ isSigned: true, signatureURL });
    const first = await resolve(asked, undefined, context);
    assert.equal(first.resolution.signedAt, '2024-06-01T12:00:00Z');
    await resolve(asked, first, context);
    assert.deepEqual(
      requests.map(({ url }) => url),
      [list, signatureURL, list],
    );
  });

  test('a list that was replaced between it and its signature is fetched again, once', async () => {
    const signatureURL = `${list}.gpg`;
    const script = (second: Buffer | string) =>
      scripted({
        [list]: [{ body: `${hex}  disk-20240601.qcow2\n` }, { body: second }],
        [signatureURL]: [{ body: material('SHA256SUMS.gpg') }],
      });
    const asked = question({ isSigned: true, signatureURL });
    const keys = [material('release.key.asc')];
    const replaced = script(signed);
    const given = await resolve(asked, undefined, contextOf(replaced.transport, { keys }));
    assert.equal(given.resolution.digest, `sha256:${hex}`);
    const wrong = script('x');
    await assert.rejects(resolve(asked, undefined, contextOf(wrong.transport, { keys })), fails('SignatureInvalid'));
    assert.equal(wrong.requests.length, 4);
  });

  test('a signature that does not exist is SignatureMissing, and one that cannot be fetched is not', async () => {
    const signatureURL = `${list}.gpg`;
    const asked = question({ isSigned: true, signatureURL });
    const keys = [material('release.key.asc')];
    const missing = scripted({ [list]: [{ body: signed }] });
    await assert.rejects(resolve(asked, undefined, contextOf(missing.transport, { keys })), fails('SignatureMissing'));
    const down = scripted({ [list]: [{ body: signed }], [signatureURL]: [{ status: 503 }] });
    await assert.rejects(resolve(asked, undefined, contextOf(down.transport, { keys })), fails('SourceUnavailable'));
  });

  const failures: Record<string, Scripted> = {
    SourceNotFound: { status: 404 },
    SourceForbidden: { status: 403 },
    SourceUnavailable: { status: 503 },
    SourceRefused: { status: 304 },
    SourceTooLong: { body: Buffer.alloc(2 ** 20 + 1, 0x20) },
    SourceInvalid: { body: 'x', headers: { 'content-encoding': 'gzip' } },
    DigestNotFound: { body: '<html>' },
  };
  for (const [code, response] of Object.entries(failures))
    test(`a server that sends ${JSON.stringify({ ...response, body: typeof response.body })} is ${code}`, async () => {
      const { transport } = scripted({ [list]: [response] });
      await assert.rejects(resolve(question(), undefined, contextOf(transport)), fails(code));
    });

  test('declared headers go to the server of the image only', async () => {
    const { transport, requests } = scripted({ [list]: [{ body: signed }] });
    const declared = { authorization: new SecretString('Bearer secret') };
    const ask = (declaredFor: string) =>
      resolve(question(), undefined, contextOf(transport, { declared, declaredFor }));
    await ask('https://images.example.com');
    await ask('https://other.example.com');
    assert.deepEqual(
      requests.map(({ headers }) => headers['authorization']),
      ['Bearer secret', undefined],
    );
  });

  test('no body is left open, also after a failure', async () => {
    const script = scripted({ [list]: [{ status: 503, body: 'x' }, { body: signed }] });
    await assert.rejects(resolve(question(), undefined, contextOf(script.transport)));
    const known: Known = await resolve(question(), undefined, contextOf(script.transport));
    assert.ok(known.resolution.digest.startsWith('sha256:'));
    await new Promise<void>((done) => setImmediate(done));
    assert.equal(script.unread(), 0);
  });
});

describe('files that are trusted at their first use', () => {
  const url = 'https://images.example.com/disk.raw';
  const file = question({ url, looksFor: { kind: 'firstUse', file: url } });
  const body = Buffer.alloc(300_000, 7);
  const digest = `sha512:${createHash('sha512').update(body).digest('hex')}`;
  const headers = { etag: '"1"', 'content-length': String(body.length) };
  const [served, unchanged] = [{ headers, body }, { status: 304 }];

  test('the digest is that of the whole file, with its validators', async () => {
    const { transport, unread } = scripted({ [url]: [served] });
    const { resolution } = await resolve(file, undefined, contextOf(transport));
    assert.deepEqual(resolution, { url, digest, validators: { etag: '"1"' } });
    assert.equal(unread(), 0);
  });

  test('a file that is unchanged by its headers costs one request and is not read, also where conditions are ignored', async () => {
    for (const response of [unchanged, { headers, body }]) {
      const { transport, requests, unread } = scripted({ [url]: [served, response] });
      const known = await resolve(file, undefined, contextOf(transport));
      assert.equal(await resolve(file, known, contextOf(transport)), known);
      assert.equal(requests.length, 2);
      assert.equal(requests[1]?.headers['if-none-match'], '"1"');
      await new Promise((resolved) => setImmediate(resolved));
      assert.equal(unread(), 0);
    }
  });

  test('another file has another digest, and a server without validators is read again each time', async () => {
    const other = { headers: { etag: '"2"', 'content-length': '1' }, body: 'x' };
    const changed = scripted({ [url]: [served, other] });
    const known = await resolve(file, undefined, contextOf(changed.transport));
    const { resolution } = await resolve(file, known, contextOf(changed.transport));
    assert.notEqual(resolution.digest, digest);
    const plain = scripted({ [url]: [{ headers: { 'content-length': '1' }, body: 'x' }] });
    const first = await resolve(file, undefined, contextOf(plain.transport));
    assert.equal((await resolve(file, first, contextOf(plain.transport))).resolution.digest, first.resolution.digest);
    assert.equal(plain.requests.length, 2);
  });

  test('a file of this network is rejected before it is hashed, unless the installation names its host', async () => {
    const ask = async (isNamed: boolean) => {
      const { transport } = scripted({ [url]: [served] });
      const get: SourceTransport['get'] = async (...request) => ({
        ...(await transport.get(...request)),
        isPublic: false,
        isNamed,
      });
      return resolve(file, undefined, contextOf({ ...transport, get }));
    };
    await assert.rejects(ask(false), fails('EgressRefused'));
    assert.equal((await ask(true)).resolution.digest, digest);
  });

  test('a file that may be cut off, or that is longer than the limit, has no digest', async () => {
    const cut = scripted({ [url]: [{ body }] });
    await assert.rejects(resolve(file, undefined, contextOf(cut.transport)), fails('SourceInvalid'));
    const long = scripted({ [url]: [served] });
    const limits = { ...defaultLimits, maxBytes: 1000 };
    await assert.rejects(resolve(file, undefined, contextOf(long.transport, { limits })), fails('SourceTooLong'));
  });
});
