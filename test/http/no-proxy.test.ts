import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readExceptions } from '../../src/http/no-proxy.ts';

/** Entry of NO_PROXY, hosts and ports that it covers, and others that it does not. */
const table: [entry: string, covered: [string, number][], others: [string, number][]][] = [
  [
    'example.com',
    [
      ['example.com', 443],
      ['EXAMPLE.com.', 80],
      ['a.b.example.com', 443],
    ],
    [
      ['badexample.com', 443],
      ['example.com.evil.net', 443],
      ['com', 443],
    ],
  ],
  ['.example.com', [['a.example.com', 443]], [['example.com', 443]]],
  ['*.Example.com', [['a.b.example.com', 443]], [['example.com', 443]]],
  [
    'example.com:8443',
    [
      ['example.com', 8443],
      ['a.example.com', 8443],
    ],
    [['example.com', 443]],
  ],
  ['.example.com:80', [['a.example.com', 80]], [['a.example.com', 443]]],
  ['localhost', [['localhost', 80]], [['127.0.0.1', 80]]],
  [
    '.svc',
    [['keystone.openstack.svc', 5000]],
    [
      ['svc', 80],
      ['keystone.openstack.svc.cluster.local', 5000],
    ],
  ],
  ['openstack.svc', [['keystone.openstack.svc', 5000]], [['keystone.other.svc', 5000]]],
  ['bücher.example', [['xn--bcher-kva.example', 443]], [['bucher.example', 443]]],
  [
    '10.1.2.3',
    [
      ['10.1.2.3', 80],
      ['0x0a010203', 80],
    ],
    [['10.1.2.4', 80]],
  ],
  ['10.1.2.3:8080', [['10.1.2.3', 8080]], [['10.1.2.3', 80]]],
  [
    '10.0.0.0/8',
    [
      ['10.255.0.1', 9292],
      ['[::ffff:10.0.0.1]', 80],
    ],
    [
      ['11.0.0.1', 80],
      ['ten.example.com', 80],
    ],
  ],
  [
    '2001:db8::1',
    [
      ['[2001:db8::1]', 443],
      ['2001:db8:0:0::1', 443],
    ],
    [['[2001:db8::2]', 443]],
  ],
  ['[2001:db8::1]', [['[2001:db8::1]', 443]], [['[2001:db8::2]', 443]]],
  ['[2001:db8::1]:8443', [['[2001:db8::1]', 8443]], [['[2001:db8::1]', 443]]],
  ['10.0.0.0/8:8080', [['10.1.1.1', 8080]], [['10.1.1.1', 80]]],
  ['2001:db8::/32:8080', [['[2001:db8::1]', 8080]], [['[2001:db8::1]', 80]]],
  ['2001:db8::/32', [['[2001:db8:1::]', 443]], [['[2001:db9::]', 443]]],
  [
    '*',
    [
      ['example.com', 443],
      ['10.0.0.1', 80],
      ['[::1]', 1],
    ],
    [],
  ],
  ['*:80', [['example.com', 80]], [['example.com', 443]]],
  [' example.com ', [['example.com', 443]], [['example.org', 443]]],
];

for (const [entry, covered, others] of table) {
  test(`the NO_PROXY entry "${entry}" covers the hosts of its table row and no others`, () => {
    const covers = readExceptions([entry]);
    assert.deepEqual(
      covered.filter(([host, port]) => !covers(host, port)),
      [],
    );
    assert.deepEqual(
      others.filter(([host, port]) => covers(host, port)),
      [],
    );
  });
}

test('an empty NO_PROXY covers no host, and several entries cover the hosts of each of them', () => {
  assert.equal(readExceptions([])('example.com', 80), false);
  const covers = readExceptions(['a.example', '10.0.0.0/8']);
  assert.deepEqual(
    ['a.example', '10.9.9.9', 'b.example'].map((host) => covers(host, 80)),
    [true, true, false],
  );
});

for (const entry of [
  'a b',
  'http://example.com',
  '10.0.0.0/33',
  '10.0.0.0/8/8',
  'example.com:0',
  'example.com:70000',
  'foo*bar',
  '10.',
  '10.0.0.1-10.0.0.9',
  'user@example.com',
  'a.*.example',
  'example.com:http',
])
  test(`the NO_PROXY entry "${entry}" is rejected with an error that names it`, () => {
    assert.throws(
      () => readExceptions([entry]),
      (error) => error instanceof RangeError && error.message.includes(entry),
    );
  });
