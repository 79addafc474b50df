import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { DeadlineExceeded } from '../../src/lib/abort.ts';
import { addToContext, withContext } from '../../src/lib/context.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { createLogger } from '../../src/lib/log.ts';
import { cleanText } from '../../src/lib/redact.ts';
import { SecretString } from '../../src/lib/secret.ts';

function recorder() {
  const lines: string[] = [];
  const log = createLogger('trace', { write: (line) => lines.push(line) });
  return { log, lines, last: (): Record<string, unknown> => JSON.parse(lines.at(-1) ?? '{}') };
}

const pass = { reconcileID: '7b0a6d5e-6c1c-4f0e-9d0f-0d7a2b8f7e11', namespace: 'images', name: 'ubuntu' };

test('every line of a reconcile says to which it belongs, and what was learned on the way; others say nothing', async () => {
  const { log, last } = recorder();
  await withContext({ id: pass.reconcileID, fields: pass }, async () => {
    log.info('begun');
    assert.deepEqual({ ...last(), time: 0 }, { level: 'info', time: 0, ...pass, msg: 'begun' });
    await Promise.resolve();
    addToContext({ generation: 4, cloud: 'demo' });
    log.warn({ generation: 3 }, 'its own fields win');
    assert.deepEqual(
      { ...last(), time: 0 },
      { level: 'warn', time: 0, ...pass, generation: 3, cloud: 'demo', msg: 'its own fields win' },
    );
  });
  addToContext({ cloud: 'no listener' });
  log.info('outside');
  assert.deepEqual({ ...last(), time: 0 }, { level: 'info', time: 0, msg: 'outside' });
});

test('two reconciles at once do not take each other for themselves', async () => {
  const { log, lines } = recorder();
  const run = (name: string) =>
    withContext({ id: pass.reconcileID, fields: { ...pass, name } }, async () => {
      for (let i = 0; i < 3; i++) {
        await new Promise(setImmediate);
        log.info(name);
      }
    });
  await Promise.all([run('a'), run('b')]);
  for (const line of lines.map((each) => JSON.parse(each))) assert.equal(line.name, line.msg);
  assert.equal(lines.length, 6);
});

test('an error is logged with message, codes, request id and causes; with its stack only if it is a bug', () => {
  const { log, last } = recorder();
  const cause = new TypeError('x is not a function');
  const error = new OperatorError('Glance returned 413', {
    code: 'QuotaExceeded',
    httpStatus: 413,
    requestId: 'req-1',
    cause,
  });
  log.error({ error }, 'No');
  const told = last()['error'];
  assert.deepEqual(told, {
    name: 'OperatorError',
    message: 'Glance returned 413',
    code: 'QuotaExceeded',
    httpStatus: 413,
    requestId: 'req-1',
    cause: { name: 'TypeError', message: 'x is not a function', stack: cause.stack },
  });
});

test('text without secrets is unchanged', () => {
  for (const text of [
    'there is no Secret "openstack" in namespace images: create it with a key clouds.yaml',
    'Glance returned 413 for the upload: image_size_total is used up (req-5d1c). Tried 3 times, next at 15:04:10',
    'GET https://glance.example.com:9292/v2/images/0c9e5f04 took longer than 60 s',
    'the token of cloud demo is not scoped to a project: set project_name',
    'Keystone rejected the password of user bob, see https://docs.example.com/a/b.',
    'mail to someone@example.com',
    'pulling https://registry.example.com/disks/ubuntu@sha256:0d7a2b8f',
    `https://example.com/a has the digest sha256:${'0a'.repeat(32)}, declared is sha256:${'1b'.repeat(32)}`,
  ])
    assert.equal(cleanText(text), text);
  const { log, last } = recorder();
  log.info({ secretName: 'openstack', count: 3, at: new Date(0), ok: true, none: null }, 'fields');
  const { level: _level, time: _time, ...fields } = last();
  assert.deepEqual(fields, {
    secretName: 'openstack',
    count: 3,
    at: '1970-01-01T00:00:00.000Z',
    ok: true,
    none: null,
    msg: 'fields',
  });
});

test('unusual values are logged, too: circles, depth, getters, numbers beyond JSON, bytes', () => {
  const { log, last } = recorder();
  const circle: Record<string, unknown> = { name: 'circle' };
  circle['self'] = circle;
  let deep: unknown = 'bottom';
  for (let i = 0; i < 100; i++) deep = { deep };
  log.info(
    { circle, deep, big: 1n, bytes: Buffer.from('abc'), set: new Set([1]), map: new Map([['k', 'v']]), f() {} },
    'odd',
  );
  const { circle: told, big, bytes, set, map } = last();
  assert.deepEqual(
    { told, big, bytes, set, map },
    { told: { name: 'circle', self: '…' }, big: '1', bytes: '[3 bytes]', set: [1], map: { k: 'v' } },
  );
});

/** A secret that cannot occur by chance, in letters that passwords and tokens may have. */
const secret = fc.stringMatching(/^[A-Za-z0-9~+_-]{12,40}$/).map((text) => `CANARY${text}`);
const fieldName = fc.constantFrom(
  'password',
  'adminPassword',
  'user_password',
  'passwd',
  'secret',
  'clientSecret',
  'application_credential_secret',
  'token',
  'accessToken',
  'Authorization',
  'authorization',
  'x-auth-token',
  'X-Subject-Token',
  'cookie',
  'set-cookie',
  'clouds.yaml',
  'apiKey',
  'private_key',
);
const scheme = fc.constantFrom('https', 'http', 'swift+https');

const base64url = (text: string) => text.replace(/[~+]/g, '-');

/** Texts in which a secret can hide. */
const text = (hidden: string): fc.Arbitrary<string> =>
  fc
    .oneof(
      scheme.map((each) => `cannot read ${each}://user:${hidden}@example.com/image.raw: 404`),
      scheme.map((each) => `GET ${each}://example.com/a.raw?sig=${hidden}&x=1 failed`),
      scheme.map((each) => `${each}://example.com/#access_token=${hidden}`),
      fieldName.map((name) => `the server saw ${name}: ${hidden}`),
      fieldName.filter((name) => name !== 'clouds.yaml').map((name) => `{"${name}":"${hidden}","other":1}`),
      fieldName
        .filter((name) => name !== 'clouds.yaml')
        .map((name) => JSON.stringify(JSON.stringify({ [name]: hidden }))),
      fc.constantFrom('Bearer', 'Basic', 'bearer').map((each) => `sent ${each} ${hidden}`),
      fc.constant(`auth:\n  username: bob\n  password: ${hidden}\n`),
      fc.constant(`auth:\n  username: bob\n  password: correct ${hidden} staple\n`),
      fc.constant(`redirected to /login?next=%2Fx%3Ftoken%3D${hidden}%26y%3D1`),
      fc.constant(`OS_PASSWORD=${hidden} openstack image list`),
      fc.constant(`-----BEGIN RSA PRIVATE KEY-----\n${hidden}\n-----END RSA PRIVATE KEY-----`),
      fc.constant(`the token gAAAAAB${base64url(hidden)} is not known`),
      fc.constant(`eyJhbGciOi${base64url(hidden)}.eyJzdWIi.${base64url(hidden)} was rejected`),
    )
    .filter((each) => !each.startsWith('the server saw clouds.yaml'));

/** Things that can be logged in which it hides: as text, under a name, in lists of headers, in errors, at any depth. */
function hiding(hidden: string): fc.Arbitrary<unknown> {
  return fc.letrec<{ thing: unknown }>((tie) => ({
    thing: fc.oneof(
      { maxDepth: 4 },
      text(hidden),
      fieldName.map((name) => ({ [name]: hidden })),
      fieldName.map((name) => ({ [name]: { nested: [hidden] } })),
      fieldName.map((name) => ['content-type', 'text/plain', name, hidden]),
      fieldName.map((name) => new Map([[name, hidden]])),
      fc.constant(new SecretString(hidden)),
      fc.constant(new URL(`https://u:${hidden}@example.com/?k=${hidden}#${hidden}`)),
      fc.constant(Buffer.from(hidden)),
      text(hidden).map((words) => new Error(words)),
      text(hidden).map((words) => new TypeError(words)),
      text(hidden).map((words) => new DeadlineExceeded(words, 1000)),
      text(hidden).map((words) => new OperatorError(words, { code: 'SourceRefused', requestId: words })),
      fc
        .tuple(text(hidden), tie('thing'))
        .map(([words, cause]) => new Error('outer', { cause: new Error(words, { cause }) })),
      tie('thing').map((inner) => new AggregateError([inner, new Error('plain')], 'many')),
      fc.tuple(text(hidden), tie('thing')).map(([key, inner]) => ({ [key]: inner, list: [inner] })),
      tie('thing').map((inner) => ({ response: { headers: inner } })),
    ),
  })).thing;
}

test('no secret that is planted in errors, URLs, headers or nested objects comes out in a line', () => {
  const planted = secret.chain((hidden) => fc.tuple(fc.constant(hidden), hiding(hidden), text(hidden)));
  fc.assert(
    fc.property(planted, fc.boolean(), ([hidden, thing, words], inChild) => {
      const { log, lines } = recorder();
      const target = inChild ? log.child({ thing }) : log;
      target.info(words);
      target.error({ error: thing, thing }, words);
      if (thing instanceof Error) target.warn(thing);
      if (thing instanceof Error) target.warn(thing, words);
      for (const line of lines) {
        JSON.parse(line);
        assert.ok(!line.includes('CANARY'), `${hidden} of ${inspect(thing)} came out in ${line}`);
      }
    }),
    { seed: 21, numRuns: 1500 },
  );
});
