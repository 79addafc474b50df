import assert from 'node:assert/strict';
import type { LookupAddress } from 'node:dns';
import { isIPv4 } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { createEgressPolicy, EgressRefused, type EgressRules } from '../../src/http/egress.ts';
import { createVirtualClock } from '../clock.ts';

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
    'fd00:ec2::23',
    'fd00:ec2::253',
    'fd00:ec2::123',
    'fd00:c1::a9fe:a9fe',
    'fd00:42::42',
    'fd00:a9fe:a9fe::1',
    'fd20:ce::254',
    '192.0.0.192',
    'fe80::1',
    'fe80::1%eth0',
    'febf::1',
    'fec0::1',
    '224.0.0.1',
    'ff02::1',
    '240.0.0.1',
    '255.255.255.255',
  ];
  test('names of metadata services and of this machine are rejected where only a proxy resolves them', async () => {
    const noNames = createEgressPolicy({ ...none, privateNetworks: 'open' }, (_host, _options, callback) =>
      callback(Object.assign(new Error('ENOTFOUND'), { code: 'ENOTFOUND' }), []),
    );
    for (const host of [
      'metadata.google.internal',
      'METADATA.google.internal.',
      'metadata.goog',
      'instance-data.ec2.internal',
      'instance-data',
      'metadata',
      'metadata.tencentyun.com',
      'localhost',
      'a.localhost',
      'localhost.localdomain',
    ])
      await assert.rejects(noNames.checkBehindProxy(host), EgressRefused, host);
    for (const host of ['metadata.example.com', 'notlocalhost', 'mirror.internal'])
      await noNames.checkBehindProxy(host);
  });

  for (const host of refusedSpellings) {
    test(`both egress policies reject ${host}`, () => {
      assert.throws(() => createEgressPolicy(none).checkHost(host), EgressRefused);
      assert.throws(() => createEgressPolicy({ ...none, privateNetworks: 'open' }).checkHost(host), EgressRefused);
    });
  }

  for (const host of ['example.com', '203.0.113.7', '2600::1', '64:ff9b::203.0.113.7', '[2600::1]']) {
    test(`both egress policies allow ${host}`, () => {
      createEgressPolicy(none).checkHost(host);
      createEgressPolicy({ ...none, privateNetworks: 'open' }).checkHost(host);
    });
  }

  const privateHosts = [
    '10.0.0.1',
    '172.16.0.1',
    '192.168.1.1',
    '100.64.0.1',
    '198.18.0.1',
    'fd12:3456::1',
    '::ffff:10.0.0.1',
    '64:ff9b::10.0.0.1',
  ];
  for (const host of privateHosts) {
    test(`${host} is open for clouds, and for sources only by a rule`, () => {
      createEgressPolicy({ ...none, privateNetworks: 'open' }).checkHost(host);
      assert.throws(() => createEgressPolicy(none).checkHost(host), /is in a private network/);
      createEgressPolicy({ ...none, allow: ['0.0.0.0/0', 'fc00::/7'] }).checkHost(host);
    });
  }

  const clusterNames = ['vault.vault.svc', 'VAULT.vault.svc.cluster.local.', 'svc', 'a.cluster.local'];
  for (const host of clusterNames) {
    test(`${host} is blocked for sources and clouds alike, whatever it resolves to`, async () => {
      for (const privateNetworks of ['open', 'blocked'] as const) {
        await assert.rejects(
          resolve(policyResolving({ privateNetworks }, '203.0.113.7'), host),
          /is a name in this cluster/,
        );
        await assert.rejects(resolve(policyResolving({ privateNetworks }), host), /is a name in this cluster/);
      }
    });
  }

  test('a name of one label is open for clouds, and for sources only by a rule', async () => {
    await resolve(policyResolving({ privateNetworks: 'open' }, '192.168.1.1'), 'controller');
    await assert.rejects(resolve(policyResolving({}, '203.0.113.7'), 'vault'), /is a name of the local network/);
    await resolve(policyResolving({ allow: ['vault'] }, '203.0.113.7'), 'vault');
  });

  test('a rule for a namespace opens its Services, and nothing local', async () => {
    const rules = { allow: ['openstack.svc'], clusterNetworks: ['10.96.0.0/12'], privateNetworks: 'open' } as const;
    for (const host of ['keystone.openstack.svc', 'glance-api.openstack.svc.cluster.local'])
      await resolve(policyResolving(rules, '10.96.0.7'), host);
    const others = ['vault.vault.svc', 'openstack.svc', 'x.openstack.svc.example.com', 'evilopenstack.svc'];
    for (const host of others)
      await assert.rejects(resolve(policyResolving(rules, '10.96.0.7'), host), EgressRefused, host);
    for (const address of ['169.254.169.254', '127.0.0.1', 'fd00:ec2::254'])
      await assert.rejects(resolve(policyResolving(rules, address), 'keystone.openstack.svc'), EgressRefused, address);
  });

  test('a network of the cluster is blocked for sources and clouds alike, except by a rule', () => {
    const clusterNetworks = ['10.96.0.0/12', '2001:db8:42::/56'];
    for (const privateNetworks of ['open', 'blocked'] as const)
      for (const host of ['10.96.0.1', '2001:db8:42::1', '::ffff:10.97.1.1'])
        assert.throws(
          () => createEgressPolicy({ ...none, privateNetworks, clusterNetworks }).checkHost(host),
          /is in a network of this cluster/,
        );
    createEgressPolicy({ ...none, clusterNetworks, allow: ['10.96.0.10'] }).checkHost('10.96.0.10');
  });

  test('an IPv4 address is found behind a NAT64 prefix of every length', () => {
    const prefixes = {
      '2001:db8:64::/96': '2001:db8:64::a9fe:a9fe',
      '2001:db8::/32': '2001:db8:a9fe:a9fe::',
      '2001:db8:100::/40': '2001:db8:1a9:fea9:fe::',
      '2001:db8:122::/48': '2001:db8:122:a9fe:a9:fe00::',
      '2001:db8:122:300::/56': '2001:db8:122:3a9:fe:a9fe::',
      '2001:db8:122:344::/64': '2001:db8:122:344:a9:fea9:fe00::',
    };
    for (const [prefix, host] of Object.entries(prefixes)) {
      createEgressPolicy(none).checkHost(host);
      assert.throws(
        () => createEgressPolicy({ ...none, nat64Prefixes: [prefix] }).checkHost(host),
        EgressRefused,
        prefix,
      );
    }
    for (const prefix of ['10.0.0.0/8', '2001:db8::/33', '2001:db8::', 'x/96'])
      assert.throws(() => createEgressPolicy({ ...none, nat64Prefixes: [prefix] }), RangeError, prefix);
  });

  test('an address is public if neither it nor the address behind it is local, private or of the cluster', () => {
    const rules = { ...none, allow: ['0.0.0.0/0', '::/0'], clusterNetworks: ['198.51.100.0/24'] };
    const policy = createEgressPolicy({ ...rules, nat64Prefixes: ['2001:db8:64::/96'] });
    for (const address of ['203.0.113.7', '2600::1', '64:ff9b::203.0.113.7', '::ffff:203.0.113.7'])
      assert.equal(policy.isPublic(address), true, address);
    const others = ['127.0.0.1', '::1', '10.0.0.1', 'fd12::1', '::ffff:10.0.0.1', '64:ff9b::10.0.0.1', '198.51.100.7'];
    for (const address of [...others, '2001:db8:64::a00:1', '169.254.169.254', 'x'])
      assert.equal(policy.isPublic(address), false, address);
  });

  test('the addresses of a denied name are denied as themselves and under every other name', async () => {
    const clock = createVirtualClock();
    let answers: LookupAddress[] = [
      { address: '192.168.5.10', family: 4 },
      { address: '2600::5', family: 6 },
      { address: '127.0.0.1', family: 4 },
    ];
    let failure: Error | null = null;
    const rules = { allow: ['127.0.0.1'], deny: ['api.example.com'], privateNetworks: 'open' } as const;
    const policy = createEgressPolicy(rules, (_host, _options, callback) => callback(failure, answers), clock);
    const refused = (host: string) =>
      assert.rejects(policy.check(host), /is the address of a host that is denied/, host);
    for (const host of ['192.168.5.10', '[2600::5]', '::ffff:192.168.5.10', 'other.example.com']) await refused(host);
    // DNS servers give loopback for names that they block.
    await policy.check('127.0.0.1');
    await assert.rejects(policy.check('api.example.com.'), /is denied/);
    await assert.rejects(policy.check('api.example.com..'), /is denied/);
    failure = Object.assign(new Error('queryA ETIMEOUT'), { code: 'ETIMEOUT' });
    await clock.advance(60_000);
    await refused('192.168.5.10');
    [failure, answers] = [null, [{ address: '192.168.5.11', family: 4 }]];
    await clock.advance(60_000);
    await refused('192.168.5.11');
    await policy.check('192.168.5.10');
  });

  test('a rejection names the host, its address, the cause and the advice', async () => {
    const advice = { default: 'allow {host}', denied: 'do not deny it' };
    await assert.rejects(resolve(policyResolving({ advice }, '169.254.169.254'), 'images.example.com'), (error) => {
      assert(error instanceof EgressRefused);
      assert.equal(error.code, 'EgressRefused');
      assert.equal(error.retry.kind, 'change');
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

  const unreadable = ['10.0.0.0/33', '10.0.0.0/8/8', 'example.com/8', '10.0.0.0/', '', 'a b', 'https://example.com'];
  // None of these is what its author means, and as a name it would apply to nothing.
  const ambiguous = [
    '10.',
    '10',
    '10.0.0.1-10.0.0.9',
    '0177.0.0.1',
    'user@example.com',
    'fe80::1%eth0',
    'example.com?',
    'a.example.1',
  ];
  for (const rule of [...unreadable, ...ambiguous])
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
