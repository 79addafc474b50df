/** The egress policy around whole downloads. Names are resolved by the test; connections go to loopback addresses only. */
import assert from 'node:assert/strict';
import { isIPv4 } from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';
import { createEgressPolicy, type EgressRules } from '../../src/http/egress.ts';
import { createSourceTransport, type SourceTransport } from '../../src/source/transport.ts';
import { generated } from '../env/content.ts';
import { type Source as Server, startSource } from '../env/source.ts';
import { assertFailed, assertWhole, download } from './download.ts';

const content = generated(50_000);
const file = content.slice(0, content.size);
const half = content.size / 2;

/** One that may be connected to, and one on the same port of another address that must not be. */
let good: Server;
let bad: Server;
const transports: SourceTransport[] = [];
before(async () => {
  good = await startSource({ host: '127.0.0.2' });
  bad = await startSource({ host: '127.0.0.3', port: good.port });
  bad.add('/image.raw', { body: content });
});
afterEach(async () => {
  await Promise.all(transports.splice(0).map((transport) => transport.close()));
  assert.deepEqual([bad.requests.length, await bad.connections()], [0, 0]);
});
after(() => Promise.all([good.stop(), bad.stop()]));

/** Downloads where only `good` may be connected to. `answers` are what DNS says to each question in turn, then the last again. */
async function get(urls: [string, ...string[]], answers: string[][], rules: Partial<EgressRules> = {}) {
  let asked = 0;
  const policy = createEgressPolicy({ allow: ['127.0.0.2'], deny: [], ...rules }, (_host, _options, callback) => {
    const addresses = answers[Math.min(asked++, answers.length - 1)] ?? [];
    callback(
      null,
      addresses.map((address) => ({ address, family: isIPv4(address) ? 4 : 6 })),
    );
  });
  const transport = createSourceTransport(policy);
  transports.push(transport);
  const result = await download(urls, { servers: [good, bad], transport });
  return { ...result, asked };
}

const named = (path: string, name = 'images.example.com') => `http://${name}:${good.port}${path}`;

describe('the egress policy of a download', () => {
  test('a download connects to the checked address, although DNS returns another one later', async () => {
    good.add('/a.raw', { body: content });
    const result = await get([named('/a.raw')], [['127.0.0.2'], ['127.0.0.3']]);
    assertWhole(result, file);
    assert.equal(result.asked, 1);
  });

  test('the egress policy is checked again when a download resumes', async () => {
    good.add('/b.raw', { body: content, faults: [{ kind: 'closeAt', byte: half }] });
    const result = await get([named('/b.raw')], [['127.0.0.2'], ['127.0.0.3']]);
    assertFailed(result, 'EgressRefused', /images\.example\.com \(127\.0\.0\.3\) is a loopback address/, file);
    assert.equal(result.bytes.length, half);
    assert.equal(result.asked, 2);
  });

  test('the egress policy rejects a name with one bad address among good ones', async () => {
    for (const answer of [
      ['127.0.0.2', '127.0.0.3'],
      ['127.0.0.3', '127.0.0.2'],
      ['127.0.0.2', '169.254.169.254'],
    ])
      assertFailed(
        await get([named('/a.raw')], [answer]),
        'EgressRefused',
        /is a (?:loopback address|metadata service)/,
      );
  });

  const disguises = [
    '::ffff:127.0.0.3',
    '::127.0.0.3',
    '64:ff9b::7f00:3',
    '64:ff9b::127.0.0.3',
    '2002:7f00:3::',
    '::1',
  ];
  for (const address of disguises)
    test(`the egress policy rejects a name that resolves to ${address}`, async () => {
      assertFailed(await get([named('/a.raw')], [[address]]), 'EgressRefused', /images\.example\.com \(/);
    });

  test('a deny rule rejects an address in every notation', async () => {
    for (const address of ['127.0.0.3', '::ffff:127.0.0.3', '64:ff9b::127.0.0.3'])
      assertFailed(
        await get([named('/a.raw')], [[address]], { allow: ['127.0.0.0/8', '64:ff9b::/96'], deny: ['127.0.0.3'] }),
        'EgressRefused',
        /is denied/,
      );
  });

  test('the egress policy applies to every redirect, for names and unusual notations of addresses', async () => {
    const targets = [
      '127.0.0.3',
      '2130706435',
      '0x7f.3',
      '0177.0.0.3',
      '127.3',
      '[::ffff:127.0.0.3]',
      '[::ffff:7f00:3]',
    ];
    for (const [index, target] of targets.entries()) {
      const to = `http://${target}:${good.port}/image.raw`;
      good.add(`/to-${index}`, { body: content, fault: { kind: 'redirect', to } });
      assertFailed(await get([named(`/to-${index}`)], [['127.0.0.2']]), 'EgressRefused', /is a loopback address/);
    }
    good.add('/to-name', { body: content, fault: { kind: 'redirect', to: named('/image.raw', 'other.example.com') } });
    const answers = [['127.0.0.2'], ['127.0.0.3']];
    assertFailed(await get([named('/to-name')], answers), 'EgressRefused', /other\.example\.com \(127\.0\.0\.3\)/);
  });

  test('the egress policy applies to mirrors, and an allowed one still serves', async () => {
    good.add('/c.raw', { body: content });
    const missing = named('/missing.raw');
    const [refused, allowed] = [`http://127.0.0.3:${good.port}/image.raw`, named('/c.raw')];
    assertWhole(await get([missing, refused, allowed], [['127.0.0.2']]), file);
    assertFailed(
      await get([missing, refused], [['127.0.0.2']]),
      'SourceNotFound',
      /responded with 404.*127\.0\.0\.3 is a loopback address/,
    );
    assertFailed(await get([refused], [['127.0.0.2']]), 'EgressRefused', /127\.0\.0\.3 is a loopback address/);
  });

  test('the egress policy covers IPv6 addresses', async (t) => {
    const sixth = await startSource({ host: '::1' });
    t.after(() => sixth.stop());
    const url = sixth.add('/image.raw', { body: content });
    assertFailed(await get([url], [['::1']]), 'EgressRefused', /::1 is a loopback address/);
    assert.equal(sixth.requests.length, 0);
    assertWhole(await get([url], [['::1']], { allow: ['::1'] }), file);
  });
});
