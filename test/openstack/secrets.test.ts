/** Invariant: no error of this folder shows a secret, for any text that contained it and any server that received it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { systemClock } from '../../src/lib/clock.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { parseCloud } from '../../src/openstack/clouds.ts';
import { ConfigurationError } from '../../src/openstack/errors.ts';
import { jsonOf } from '../../src/openstack/response.ts';
import { createSession } from '../../src/openstack/session.ts';
import { createTransport } from '../../src/openstack/transport.ts';
import { look, signal } from './fake-cloud.ts';
import { bodyOf, serve } from './stub.ts';

const secret = 'hunter2-s3cret';
const seed = 20_260_101;

/** Everything that a log, a status or a person could get to see of an error. */
function shown(error: unknown): string {
  assert.ok(error instanceof Error);
  return [inspect(error, { depth: 20, showHidden: true }), error.stack, String(error), JSON.stringify(error)].join(
    '\n',
  );
}

/** A way to write credentials, with the secret in many places at once. */
const entries = [
  { auth: { auth_url: 'http://k', username: 'alice', user_domain_name: 'D', password: secret, project_id: 'p' } },
  { auth_type: 'v3applicationcredential', auth: { auth_url: 'http://k', application_credential_secret: secret } },
  { auth_type: 'v3token', auth: { auth_url: `http://u:${secret}@k`, token: secret } },
  { auth_type: secret, password: [secret], verify: secret, api_timeout: secret, interface: secret, regions: secret },
  { image_endpoint_override: [`http://u:${secret}@g`, `//g?token=${secret}`], image_catalog_info: secret, auth: {} },
  { auth: { auth_url: 'http://k', password: secret }, service_auth: { password: { deep: secret }, token: [secret] } },
  { auth: [secret], service_auth: secret, cert: secret, key: secret, cacert: secret, profile: secret },
];

/** Edits as a slip of the hand makes them. */
const slip = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  cut: fc.nat(12),
  put: fc.constantFrom(...'{}[]:,"\'|>&*!%#@-? \n\t', ''),
});

test('errors for a damaged clouds.yaml never quote its secrets', async (t) => {
  const warnings: Error[] = [];
  const note = (warning: Error) => void warnings.push(warning);
  process.on('warning', note);
  t.after(() => process.off('warning', note));
  const texts = fc
    .tuple(fc.constantFrom(...entries), fc.boolean(), fc.array(slip, { maxLength: 4 }))
    .map(([entry, flow, slips]) =>
      slips.reduce(
        (text, { at, cut, put }) => {
          const from = Math.floor(at * text.length);
          return text.slice(0, from) + put + text.slice(from + cut);
        },
        flow ? JSON.stringify({ clouds: { demo: entry } }) : stringify({ clouds: { demo: entry } }),
      ),
    );
  let rejected = 0;
  fc.assert(
    fc.property(texts, (cloudsYaml) => {
      try {
        parseCloud({ cloudsYaml, secureYaml: cloudsYaml }, 'demo');
      } catch (error) {
        assert.ok(error instanceof ConfigurationError, String(error));
        assert.ok(!shown(error).includes(secret), error.message);
        rejected++;
      }
    }),
    { seed, numRuns: 2000 },
  );
  assert.ok(rejected > 1000, `only ${rejected} texts were rejected`);
  await setImmediate();
  assert.deepEqual(warnings, []);
});

test('any text results in a cloud or a ConfigurationError', () => {
  const anything = fc.oneof(
    fc.string(),
    fc.anything().map((value) => JSON.stringify({ clouds: { demo: value } }) ?? ''),
  );
  fc.assert(
    fc.property(anything, (cloudsYaml) => {
      try {
        parseCloud({ cloudsYaml }, 'demo');
      } catch (error) {
        assert.ok(error instanceof ConfigurationError);
      }
    }),
    { seed },
  );
});

test('a parsed cloud shows no secret in any printed form', () => {
  const [password, , , , , ,] = entries;
  const cloud = parseCloud(
    { cloudsYaml: stringify({ clouds: { demo: { ...password, service_auth: { ...password?.auth } } } }) },
    'demo',
  );
  assert.ok(!JSON.stringify(cloud).includes(secret));
  assert.ok(!inspect(cloud, { depth: 20, showHidden: true }).includes(secret));
});

test('errors show no secret even if the server echoes the whole request', async (t) => {
  const token = 'gAAAA-t0ken';
  let reply: { keystone: Reply; glance: Reply };
  type Reply = { status: number; type: string; cut: boolean };
  const url = await serve(t, async (request, response) => {
    const told = JSON.stringify({ headers: request.headers, body: (await bodyOf(request)).toString() });
    const isKeystone = request.url?.startsWith('/v3') === true;
    if (isKeystone && request.method === 'GET') return void response.writeHead(404).end();
    const { status, type, cut } = isKeystone ? reply.keystone : reply.glance;
    if (isKeystone && status === 201) {
      response.writeHead(201, { 'x-subject-token': token });
      const life = { issued_at: '2030-01-01T00:00:00Z', expires_at: '2030-01-01T01:00:00Z' };
      const user = { id: 'u', name: 'alice' };
      return void response.end(JSON.stringify({ token: { ...life, user, project: user, catalog: [] } }));
    }
    response.writeHead(status, { 'content-type': type, 'x-openstack-request-id': 'req-1' });
    if (!cut) return void response.end(told);
    response.write(told, () => response.destroy());
  });
  const entry = { auth: { auth_url: `${url}/v3`, user_id: 'u', password: secret }, image_endpoint_override: url };
  const cloudsYaml = stringify({ clouds: { demo: { ...entry, connect_retries: 0 } } });
  const types = fc.constantFrom('application/json', 'text/html', 'text/plain');
  const refusal = fc.record({
    status: fc.constantFrom(200, 300, 302, 400, 401, 403, 404, 409, 413, 429, 500, 503),
    type: types,
    cut: fc.boolean(),
  });
  const granted = fc.constant({ status: 201, type: 'application/json', cut: false });
  let seen = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(refusal, granted),
      refusal,
      fc.constantFrom('call', 'upload', 'download'),
      async (keystone, glance, way) => {
        reply = { keystone, glance };
        const cloud = parseCloud({ cloudsYaml }, 'demo');
        const transport = createTransport({
          tls: cloud.tls,
          userAgent: 'glance-image-operator/test',
          clock: systemClock,
        });
        const session = createSession({ cloud, transport, clock: systemClock, random: () => 0.5 });
        async function* body() {
          yield Buffer.from('x');
        }
        const file = { operation: 'download', path: '/images/1/file', signal: signal() } as const;
        try {
          if (way === 'call') await session.call('image', look({ limit: { bytes: 100_000, values: 1000 } }));
          if (way === 'upload') await session.upload('image', { ...file, operation: 'upload', body: body(), size: 1 });
          if (way === 'download') {
            const answer = await session.download('image', file);
            for await (const _ of answer.body);
          }
        } catch (error) {
          assert.ok(error instanceof OperatorError, String(error));
          const text = shown(error);
          assert.ok(!text.includes(secret) && !text.includes(token), text);
          seen++;
        } finally {
          await session.close();
        }
      },
    ),
    { seed, numRuns: 150 },
  );
  assert.ok(seen > 80, `only ${seen} errors were seen`);
});

const withEntities = (text: string) => text.replaceAll('&', '&amp;').replaceAll("'", '&#39;').replaceAll('<', '&lt;');
/** Ways in which a page shows a text that it was sent. */
const echoes: [way: string, echo: (text: string) => string][] = [
  ['as it is', (text) => text],
  ['with entities', withEntities],
  ['encoded for a URL', encodeURIComponent],
  ['in base64', (text) => Buffer.from(text).toString('base64')],
  ['at the end of a short quote', (text) => `${'x'.repeat(105)} ${text}`],
  ['at the end of a long quote, with entities', (text) => `${'x'.repeat(585)} ${withEntities(text)}`],
];

for (const [way, echo] of echoes) {
  test(`a page in place of a token, of an image or of an error is quoted without the credentials that it has ${way}`, async (t) => {
    const password = "r0ck&r0ll'<1>";
    const token = "gAAAA&t0k'en<1>";
    let [isPage, status] = [true, 200];
    const url = await serve(t, async (request, response) => {
      const isKeystone = request.url?.startsWith('/v3') === true;
      if (isKeystone && request.method === 'GET') return void response.writeHead(404).end();
      if (isKeystone && !isPage) {
        const life = { issued_at: '2030-01-01T00:00:00Z', expires_at: '2030-01-01T01:00:00Z' };
        const user = { id: 'u', name: 'alice' };
        response.writeHead(201, { 'x-subject-token': token });
        return void response.end(JSON.stringify({ token: { ...life, user, project: user, catalog: [] } }));
      }
      response.writeHead(status, { 'content-type': 'text/html' });
      response.end(`<html>Welcome ${echo(isKeystone ? password : token)}`);
    });
    const auth = { auth_url: `${url}/v3`, user_id: 'u', password };
    const cloudsYaml = stringify({ clouds: { demo: { auth, image_endpoint_override: url, connect_retries: 0 } } });
    const cloud = parseCloud({ cloudsYaml }, 'demo');
    const transport = createTransport({ tls: cloud.tls, userAgent: 'glance-image-operator/test', clock: systemClock });
    const session = createSession({ cloud, transport, clock: systemClock, random: () => 0.5 });
    t.after(() => session.close());
    const isClean = (error: unknown) => {
      assert.match(String(error), /(?:is not JSON|502): Welcome/);
      assert.doesNotMatch(shown(error), /r0c|t0k|cjBj|dDBr/);
      return true;
    };
    await assert.rejects(session.identity(signal()), isClean);
    status = 502;
    await assert.rejects(session.identity(signal()), isClean);
    [isPage, status] = [false, 200];
    const response = await session.call('image', look({ limit: { bytes: 100_000, values: 1000 } }));
    assert.throws(() => jsonOf(response), isClean);
    status = 502;
    await assert.rejects(session.call('image', look()), isClean);
  });
}
