/** The YAML of a clouds.yaml: what is read, and what is rejected in a sentence that quotes no value. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { parseCloud } from '../../src/openstack/clouds.ts';
import { ConfigurationError } from '../../src/openstack/errors.ts';
import { auth } from './clouds-text.ts';

test('a key twice in another cloud does not matter, and in the selected one it is rejected with its line', () => {
  const text = stringify({ clouds: { demo: { auth } } });
  const twice = '    region_name: A\n    region_name: B\n';
  const other = `  other:\n    auth: {}\n${twice}`;
  assert.equal(parseCloud({ cloudsYaml: `${text}${other}` }, 'demo').name, 'demo');
  assert.throws(() => parseCloud({ cloudsYaml: `${text}${twice}` }, 'demo'), {
    message: 'clouds.yaml has the key region_name twice, the second time at line 11, column 5: remove one',
  });
  const inAuth = text.replace('username: alice', 'username: alice\n      username: bob');
  assert.throws(() => parseCloud({ cloudsYaml: inAuth }, 'demo'), /has the key username twice, .* at line 6/);
  const noName = text.replace('username: alice', 's3cret-value: 1\n      s3cret-value: 1');
  assert.throws(() => parseCloud({ cloudsYaml: noName }, 'demo'), /has a key twice, .* at line 6/);
});

const passwords: [written: string, problem: RegExp][] = [
  ['*********', /\* without a matching anchor/],
  ['*s3cret', /\* without a matching anchor/],
  ['!s3cret', /a value with a tag \(!\)/],
  ['!s3cret value', /a value with a tag \(!\)/],
  ['&s3cret', /an anchor \(&\) without a value/],
  ['%s3cret', /not YAML/],
  ['@s3cret', /not YAML/],
  ['`s3cret', /not YAML/],
  ['ab: s3cret', /not YAML/],
  ['>s3cret', /not YAML/],
  ['|s3cret', /not YAML/],
  ['[s3cret', /not YAML/],
  ['"s3cret', /not YAML/],
];

for (const [written, problem] of passwords) {
  test(`a password written as ${written} without quotes is rejected with its line, and with the advice to quote it`, () => {
    const text = stringify({ clouds: { demo: { auth: { user_id: 'u', password: 'x', auth_url: 'http://k' } } } });
    assert.throws(
      () => parseCloud({ cloudsYaml: text.replace('password: x', `password: ${written}`) }, 'demo'),
      (error) => {
        assert.ok(error instanceof ConfigurationError);
        assert.match(error.message, problem);
        assert.match(error.message, /at line [5-7], column \d+: put the value in quotes/);
        assert.ok(!error.message.includes('s3cret'));
        return true;
      },
    );
  });
}

test('line breaks of any system are read', () => {
  const text = stringify({ clouds: { demo: { auth, region_name: 'R' } } });
  for (const lineBreak of ['\n', '\r\n', '\r'])
    assert.equal(
      parseCloud({ cloudsYaml: text.replaceAll('\n', lineBreak) }, 'demo').services.image.region,
      'R',
      JSON.stringify(lineBreak),
    );
});

test('a file that is not UTF-8 is rejected with its line, because a password in it would be another one', () => {
  const text = stringify({ clouds: { demo: { auth: { ...auth, password: 'pässwörd' } } } });
  for (const [encoding, line] of [
    ['latin1', 6],
    ['utf16le', 1],
  ] as const) {
    const bytes = Buffer.from(encoding === 'utf16le' ? `\ufeff${text}` : text, encoding);
    assert.throws(() => parseCloud({ cloudsYaml: bytes.toString('utf8') }, 'demo'), {
      message: `clouds.yaml is not UTF-8 at line ${line}: save it in UTF-8`,
    });
  }
});

test('anchors and merge keys are resolved', () => {
  const text = `
defaults: &defaults
  region_name: R
  auth: &auth {auth_url: "http://k", user_id: u, password: p, project_id: p}
clouds:
  demo:
    <<: *defaults
    auth:
      <<: *auth
      project_id: other`;
  const { projectId, services } = parseCloud({ cloudsYaml: text }, 'demo');
  assert.equal(projectId, 'other');
  assert.equal(services.image.region, 'R');
});

test('a list of mappings is merged, a depth of 32 levels is accepted, and other values are not merged', () => {
  const text = (merged: string) => `
a: &a {region_name: A}
b: &b {auth: {auth_url: "http://k", user_id: u, password: p, project_id: p}}
c: &c s3cret-value
deep: ${'['.repeat(31)}${']'.repeat(31)}
clouds:
  demo: {<<: ${merged}}`;
  assert.equal(parseCloud({ cloudsYaml: text('[*a, *b]') }, 'demo').services.image.region, 'A');
  for (const merged of ['*c', '[*a, *c]', '[*b, s3cret-value]', '7', 'null', ''])
    assert.throws(() => parseCloud({ cloudsYaml: text(merged) }, 'demo'), /^ConfigurationError: .* has a << without/);
});

const unreadable: [name: string, text: string, message: RegExp][] = [
  ['not YAML', 'clouds: {demo: [s3cret-value', /not YAML: \w+ at line 1, column \d+/],
  [
    'a mapping with the same key twice',
    'clouds: {}\nclouds: {}\n',
    /has the key clouds twice, the second time at line 2, column 1: remove one/,
  ],
  [
    'two documents',
    'clouds: {}\n---\nclouds: {}\n',
    /^clouds.yaml has a second document at line 2, column 1: remove the line --- and what follows it$/,
  ],
  ['indented with tabs', 'clouds:\n\tdemo: {}\n', /not YAML: TAB_AS_INDENT at line 2, column 1: indent with blanks$/],
  ['empty', '', /no mapping named clouds/],
  ['a list', '- clouds', /no mapping named clouds/],
  ['another mapping', 'users: {}', /no mapping named clouds/],
  ['a list of vendors', 'public-clouds: {demo: {}}', /is a list of vendors \(public-clouds\)/],
  [
    'an alias without an anchor',
    'clouds: *s3cret-value',
    /has a \* without a matching anchor at line 1, column 9: put the value in quotes/,
  ],
  ['too large', `clouds: {}\n${'#'.repeat(300_000)}`, /larger than 64 KiB/],
  [
    'a mapping whose key is a list',
    '? [s3cret-value]\n: x',
    /^clouds.yaml has a key that is not text at line 1, column 3: put the value in quotes if it begins with a brace$/,
  ],
  ...[33, 200, 60_000].map((depth): [string, string, RegExp] => [
    `nested ${depth} levels deep`,
    `clouds: {}\nx: ${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}`.slice(0, 60_000),
    /^clouds.yaml is nested more than 32 levels deep at line 2, column \d+$/,
  ]),
  [
    'nested deeply in blocks',
    `clouds: {}\nx:\n  ${'- '.repeat(20_000)}x`,
    /^clouds.yaml is nested more than 32 levels deep at line 3, column \d+$/,
  ],
  [
    'a mapping that is merged with itself',
    'clouds: {demo: &demo {<<: *demo}}',
    /^clouds.yaml has a \* inside of the value of its own anchor at line 1, column 27: write the value out$/,
  ],
  [
    'a mapping that is merged with a text',
    'clouds: {demo: {<<: s3cret-value}}',
    /^clouds.yaml has a << without a mapping at line 1, column 21: merge the anchor of a mapping, such as \*defaults$/,
  ],
  [
    'an alias bomb',
    [
      'a0: &a0 [x,x,x,x,x,x,x,x,x]',
      ...Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i},`.repeat(9)}]`),
      'clouds: {demo: *a9}',
    ].join('\n'),
    /^clouds.yaml cannot be used: its aliases stand for too many values: write them out$/,
  ],
];

for (const [name, text, message] of unreadable) {
  test(`a clouds.yaml that is ${name} is rejected, and the message does not quote it`, () => {
    assert.throws(
      () => parseCloud({ cloudsYaml: text }, 'demo'),
      (error) => {
        assert.ok(error instanceof ConfigurationError);
        assert.match(error.message, message);
        assert.ok(!error.message.includes('s3cret-value'));
        return true;
      },
    );
  });
}
