import assert from 'node:assert/strict';
import type { LookupAddress } from 'node:dns';
import { connect as connectSocket, createServer, isIPv4, type Server, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { buildConnector } from 'undici';
import { createEgressPolicy, EgressRefused, type EgressRules, guardConnector } from '../../src/http/egress.ts';

const none: EgressRules = { allow: [], deny: [] };

/** A policy whose names resolve to `addresses`, without DNS. */
function policyResolving(rules: Partial<EgressRules>, ...addresses: string[]) {
  const answers: LookupAddress[] = addresses.map((address) => ({ address, family: isIPv4(address) ? 4 : 6 }));
  return createEgressPolicy({ ...none, ...rules }, (_host, _options, callback) => callback(null, answers));
}

function resolve(policy: ReturnType<typeof policyResolving>, host: string, all = true): Promise<unknown> {
  return new Promise((done, fail) => {
    policy.lookup(host, { all }, (error, address) => (error === null ? done(address) : fail(error)));
  });
}

describe('the egress policy', () => {
  const refusedSpellings = [
    '127.0.0.1',
    '127.1',
    '127.255.255.254',
    '2130706433',
    '0x7f000001',
    '0x7f.1',
    '0177.0.0.1',
    '017700000001',
    '127.0.0.1.',
    '１２７.0.0.1',
    '0',
    '0.0.0.0',
    '0.1.2.3',
    '[::1]',
    '::1',
    '0:0:0:0:0:0:0:1',
    '::',
    '::ffff:127.0.0.1',
    '[::ffff:7f00:1]',
    '0:0:0:0:0:ffff:7f00:1',
    '::ffff:0:127.0.0.1',
    '::127.0.0.1',
    '64:ff9b::127.0.0.1',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b::1',
    '64:ff9b:1::a9fe:a9fe',
    '2002:7f00:1::',
    '2001:0:1:2:3:4:5:6',
    '169.254.169.254',
    '0xa9fea9fe',
    '169.254.1.1',
    '100.100.100.200',
    '168.63.129.16',
    'fd00:ec2::254',
    'fe80::1',
    'fe80::1%eth0',
    'febf::1',
    'fec0::1',
    '224.0.0.1',
    'ff02::1',
    '240.0.0.1',
    '255.255.255.255',
  ];
  for (const host of refusedSpellings) {
    test(`the egress policy rejects ${host}`, () => {
      assert.throws(() => createEgressPolicy(none).checkHost(host), EgressRefused);
    });
  }

  const allowedHosts = [
    'example.com',
    '10.0.0.1',
    '172.16.0.1',
    '192.168.1.1',
    '100.64.0.1',
    'fd12:3456::1',
    '203.0.113.7',
    '2600::1',
    '::ffff:10.0.0.1',
    '64:ff9b::203.0.113.7',
    '[2600::1]',
  ];
  for (const host of allowedHosts) {
    test(`the egress policy allows ${host}`, () => createEgressPolicy(none).checkHost(host));
  }

  test('a rejection names the host, its address, the cause and the advice', async () => {
    const advice = { default: 'allow {host}', denied: 'do not deny it' };
    await assert.rejects(resolve(policyResolving({ advice }, '169.254.169.254'), 'images.example.com'), (error) => {
      assert(error instanceof EgressRefused);
      assert.equal(error.code, 'EgressRefused');
      assert.deepEqual(error.retry, { kind: 'change' });
      assert.match(error.message, /images\.example\.com \(169\.254\.169\.254\) is a metadata service/);
      assert.match(error.message, /; allow images\.example\.com$/);
      assert.deepEqual([error.host, error.refusal], ['images.example.com', 'default']);
      return true;
    });
  });

  test('the egress policy rejects a name with a single bad address', async () => {
    const answers = ['203.0.113.7', '2600::1', '127.0.0.1'];
    await assert.rejects(resolve(policyResolving({}, ...answers), 'mixed.example.com'), EgressRefused);
    await assert.rejects(resolve(policyResolving({}, ...answers), 'mixed.example.com', false), EgressRefused);
  });

  test('the lookup returns the addresses of a good name in the requested form', async () => {
    const policy = policyResolving({}, '203.0.113.7', '2600::1');
    assert.deepEqual(await resolve(policy, 'good.example.com'), [
      { address: '203.0.113.7', family: 4 },
      { address: '2600::1', family: 6 },
    ]);
    assert.equal(await resolve(policy, 'good.example.com', false), '203.0.113.7');
  });

  test('the lookup rejects a DNS response without an address, and fails for an empty one', async () => {
    for (const answer of ['', 'metadata', '127.0.0.1.', '[::1]', '1.2.3.4/32'])
      await assert.rejects(resolve(policyResolving({}, answer), 'odd.example.com'), EgressRefused);
    for (const all of [true, false])
      await assert.rejects(resolve(policyResolving({}), 'empty.example.com', all), /has no address/);
  });

  test('the lookup passes on a failure of DNS unchanged', async () => {
    const policy = createEgressPolicy(none, (_host, _options, callback) => callback(new Error('ENOTFOUND'), []));
    await assert.rejects(resolve(policy, 'gone.example.com'), /ENOTFOUND/);
  });

  test('an allow rule overrides the defaults, by address, range or name', async () => {
    createEgressPolicy({ allow: ['127.0.0.1'], deny: [] }).checkHost('127.1');
    createEgressPolicy({ allow: ['127.0.0.0/8'], deny: [] }).checkHost('::ffff:127.9.9.9');
    createEgressPolicy({ allow: ['::1'], deny: [] }).checkHost('[::1]');
    await resolve(policyResolving({ allow: ['Mirror.example.com.'] }, '127.0.0.1'), 'mirror.example.com');
    await resolve(policyResolving({ allow: ['*.example.com'] }, '127.0.0.1'), 'mirror.example.com');
    await assert.rejects(resolve(policyResolving({ allow: ['*.example.com'] }, '127.0.0.1'), 'example.com'));
    assert.throws(() => createEgressPolicy({ allow: ['127.0.0.1'], deny: [] }).checkHost('127.0.0.2'), EgressRefused);
  });

  test('a deny rule overrides everything else', async () => {
    const rules = {
      allow: ['10.1.2.3', 'mirror.example.com'],
      deny: ['10.0.0.0/8', 'evil.example.com'],
      advice: { denied: 'a rule denies it' },
    };
    assert.throws(() => createEgressPolicy(rules).checkHost('10.1.2.3'), /is denied; a rule denies it$/);
    assert.throws(() => createEgressPolicy(rules).checkHost('::ffff:10.1.2.3'), /is denied; a rule denies it$/);
    assert.throws(() => createEgressPolicy(rules).checkHost('64:ff9b::10.1.2.3'), /is denied; a rule denies it$/);
    assert.throws(() => createEgressPolicy(rules).checkHost('EVIL.example.com.'), /is denied; a rule denies it$/);
    await assert.rejects(
      resolve(policyResolving(rules, '10.1.2.3'), 'mirror.example.com'),
      /is denied; a rule denies it$/,
    );
  });

  for (const rule of ['10.0.0.0/33', '10.0.0.0/8/8', 'example.com/8', '10.0.0.0/', '', 'a b', 'https://example.com'])
    test(`the rule "${rule}" is rejected at start-up`, () => {
      assert.throws(() => createEgressPolicy({ allow: [rule], deny: [] }), RangeError);
    });

  test('the egress policy treats an IPv4 address alike in every form', () => {
    const policy = createEgressPolicy({ allow: ['127.0.0.8/29'], deny: ['198.51.100.0/24'] });
    const verdict = (host: string) => {
      try {
        policy.checkHost(host);
        return 'allowed';
      } catch {
        return 'refused';
      }
    };
    const octet = fc.oneof(fc.nat(255), fc.constantFrom(0, 10, 127, 169, 198, 224, 254));
    fc.assert(
      fc.property(fc.tuple(octet, octet, octet, octet), ([a, b, c, d]) => {
        const dotted = `${a}.${b}.${c}.${d}`;
        const number = ((a * 256 + b) * 256 + c) * 256 + d;
        const forms = [
          String(number),
          `0x${number.toString(16)}`,
          `${a}.${(b * 256 + c) * 256 + d}`,
          `0${a.toString(8)}.${b}.0x${c.toString(16)}.${d}`,
          `::ffff:${dotted}`,
          `[::ffff:${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}]`,
          `64:ff9b::${dotted}`,
        ];
        for (const form of forms) assert.equal(verdict(form), verdict(dotted), form);
      }),
    );
  });
});

describe('a guarded connector', () => {
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

  test('a connection to a blocked literal is rejected before connecting', async () => {
    let made = 0;
    const connector = guardConnector(createEgressPolicy(none), () => () => made++);
    await assert.rejects(open(connector, '127.0.0.1'), EgressRefused);
    assert.equal(made, 0);
  });

  test('a connection to a name with a blocked address is rejected before connecting', async () => {
    const before = accepted.size;
    const policy = policyResolving({}, '127.0.0.1');
    const connector = guardConnector(policy, ({ lookup }) => buildConnector({ lookup }));
    await assert.rejects(open(connector, 'rebound.example.com'), EgressRefused);
    assert.equal(accepted.size, before);
  });

  test('a connection to a blocked peer address is rejected and closed', async () => {
    let socket: Socket | undefined;
    const connector = guardConnector(policyResolving({}, '203.0.113.7'), () => (_options, callback) => {
      const made = connectSocket(Number(port), '127.0.0.1', () => callback(null, made));
      socket = made;
    });
    await assert.rejects(open(connector, 'liar.example.com'), EgressRefused);
    assert.equal(socket?.destroyed, true);
  });

  test('connects to what is allowed', async () => {
    const policy = policyResolving({ allow: ['127.0.0.0/8'] }, '127.0.0.1');
    const connector = guardConnector(policy, ({ lookup }) => buildConnector({ lookup }));
    await open(connector, '127.0.0.1');
    await open(connector, 'mirror.example.com');
  });
});
