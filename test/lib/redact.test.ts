import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cleanFields, cleanText } from '../../src/lib/redact.ts';
import { growthOf } from '../growth.ts';

const shown: [text: string, secret: RegExp][] = [
  ['password=hunter2x', /hunter2x/],
  ['{"password": "hunter 2x"}', /hunter|2x/],
  ["{'password': 'hunter 2x'}", /hunter|2x/],
  ['password is hunter2x', /hunter2x/],
  ['pwd=hunter2x', /hunter2x/],
  ['X-Auth-Token: abcdefgh', /abcdefgh/],
  ['X-JFrog-Art-Api: AKCp8xxxx', /xxxx/],
  ['PRIVATE-TOKEN: glpat-xxxxxxxx', /xxxx/],
  ['key AKIAIOSFODNN7EXAMPLE', /EXAMPLE/],
  ['ghp_abcdefghijklmnopqrstuvwxyz0123456789', /abcdefg/],
  ['https://u:hunter2x@host/x?sig=abc#f', /hunter2x|abc/],
  ['Authorization: Bearer abc.def', /abc/],
  ['sent Digest username="bob", realm="x", response="6629fae49393a05397450978507c4ef1"', /bob|6629fae/],
  ['-----BEGIN PRIVATE KEY-----\nabc', /abc/],
  ['to /next%3Ftoken%3Dhunter2x', /hunter2x/],
  ['to %252Fnext%253Ftoken%253Dhunter2x', /hunter2x/],
  ['%7B%22password%22%3A%20%22hunter%202x%22%7D', /hunter|2x/],
  ['password%3A+hunter2x', /hunter2x/],
  ['password: hunter 2x', /hunter|2x/],
  ["password: hunter's 2x, quoted nowhere", /hunter|2x|nowhere/],
  ['in clouds.yaml: auth: username: bob password: hunter 2x region_name: here', /hunter|2x/],
  ['{username: bob, password: hunter 2x}', /hunter|2x/],
  ['application_credential_secret: |\n    hunter\n    2x\nnext', /hunter|2x/],
  ['secret: >-\n  hunter\n  2x', /hunter|2x/],
  // Another quote in it, and a text that is cut off.
  ['{"password":"a\\"hunter2x"}', /hunter2x/],
  ["{'password': 'a\\'hunter2x'}", /hunter2x/],
  ['"{\\"password\\":\\"a\\\\\\"hunter2x\\"}"', /hunter2x/],
  ['{"password":"hunter2x', /hunter2x/],
  ["password='hunter 2x", /hunter|2x/],
  ['{\\"password\\":\\"hunter2x', /hunter2x/],
  [`{"password":"${'a'.repeat(5000)}hunter2x"}`, /hunter2x/],
  ['password=a\\hunter2x', /hunter2x/],
  ['{"password":["hunter2x"]}', /hunter2x/],
  ['{"token":{"id":"hunter2x"}}', /hunter2x/],
  // Other names, and other ways to give one.
  ['AWS_SECRET_ACCESS_KEY=hunter2x', /hunter2x/],
  ['secret_key: hunter2x', /hunter2x/],
  ['accessKey:hunter2x', /hunter2x/],
  ['{"pass":"hunter2x"}', /hunter2x/],
  ['passcode: hunter2x', /hunter2x/],
  ['sig=hunter2x', /hunter2x/],
  ['http://host/x;jsessionid=hunter2x', /hunter2x/],
  ['token => hunter2x', /hunter2x/],
  ['--password hunter2x', /hunter2x/],
  ['<password>hunter2x</password>', /hunter2x/],
  ['//bob:hunter2x@host/x', /hunter2x/],
  ['NTLM hunter2x', /hunter2x/],
  ['hvs.hunter2xhunter2xhunter2x', /hunter2x/],
  ['xoxb-1234567890-hunter2x', /hunter2x/],
  ['dckr_pat_hunter2xhunter2xhunter2x', /hunter2x/],
  ['npm_hunter2xhunter2xhunter2xhunter2x', /hunter2x/],
  // User and password of an address without a scheme and without //.
  ['user:hunter2x@host', /hunter2x/],
  ['cannot connect to admin:hunter2x@db.example.com:3306', /hunter2x/],
  ['(glance:hunter@2x@10.0.0.5)', /hunter|2x/],
  ['"guest:hunter2x@[::1]:5672"', /hunter2x/],
  ['a.b+c:hunter:2x/y@host', /hunter|2x/],
  ['-u bob:hunter2x', /hunter2x/],
  // pass and its like, and sentences.
  ['pass: hunter2x', /hunter2x/],
  ['pass=hunter2x', /hunter2x/],
  ['user: u, pass => hunter2x', /hunter2x/],
  ['db_pass: hunter2x', /hunter2x/],
  ['DB_PASS=hunter2x', /hunter2x/],
  ['dbpass=hunter2x', /hunter2x/],
  ['pw: hunter2x', /hunter2x/],
  ['AccountKey=hunter2x==;', /hunter2x/],
  ['x-auth-key: hunter2x', /hunter2x/],
  ['api key: hunter2x', /hunter2x/],
  ['secret access key: hunter2x', /hunter2x/],
  ['Kennwort: hunter2x', /hunter2x/],
  ['passcode is hunter2x', /hunter2x/],
  ['the password was hunter2x', /hunter2x/],
  ["using password 'hunter 2x'", /hunter|2x/],
  ['password "hunter 2x"', /hunter|2x/],
  ["IDENTIFIED BY 'hunter 2x'", /hunter|2x/],
];

/** What looks a little like the above. */
const kept = [
  'registry.example.com:5000/image:1.2@sha256:0123456789abcdef',
  'ubuntu:22.04@sha256:0123456789abcdef',
  'mailto:alice@example.com',
  'npm:undici@7.16.0',
  'git@github.com:org/repo.git',
  'alice@example.com wrote at 12:30:45',
  'at file.ts:12:5',
  'host:8080, then alice@example.com',
  'bypass=true',
  'compass: north',
  'a boarding pass of 3',
  'password authentication failed for user glance',
  'pin: sha256:0123456789abcdef',
  'not a digest such as sha256:<64 hexadecimal digits>: x',
  'key=disk_format',
  'see https://example.com/@user and https://example.com/a@b',
];

test('the log keeps addresses of mail, references to images and text that resembles a secret', () => {
  for (const text of kept) assert.equal(cleanText(text), text);
});

for (const [text, secret] of shown) {
  test(`the log hides the secret in: ${text.replaceAll('\n', ' ').slice(0, 200)}`, () => {
    assert.doesNotMatch(cleanText(text), secret);
  });
}

test('the log keeps what stands around a secret of YAML', () => {
  const text = 'auth:\n  password: hunter 2x\n  username: bob\nregion_name: here';
  assert.equal(cleanText(text), 'auth:\n  password: [redacted]\n  username: bob\nregion_name: here');
  assert.equal(cleanText(text.replaceAll(/\s+/g, ' ')), 'auth: password: [redacted] username: bob region_name: here');
});

test('the log keeps the address of a URL without user, password, query and fragment', () => {
  assert.equal(cleanText('get https://u:p@h:1/a@b?c#d now'), 'get https://h:1/a@b?… now');
});

test('the time of the search for secrets is linear in the length of a text of any repeated word', () => {
  const words = [
    'a',
    'a-',
    'password',
    'x://',
    'x://aaa',
    'basic ',
    'cookie ',
    'secret=',
    'a+',
    'eyJ',
    'gAAAA',
    '\\\\"',
    'token\\',
    'token%25',
    'token%3D',
    'password: ',
    'password: a ',
    'password: |\n ',
    '+',
    'eyJaaaaaaaa.',
    'a:',
    'a:b',
    'a:b@',
    'pass',
    'pass:',
    '-u a:',
    'password "',
  ];
  for (const word of [
    ...words,
    '-----BEGIN PRIVATE KEY-----',
    `password${' '.repeat(2000)}`,
    `password:${' '.repeat(2000)}`,
    `password: ${'a '.repeat(2000)}`,
    `x://${'a'.repeat(2000)}`,
  ]) {
    const text = word.repeat(Math.ceil(16_384 / word.length));
    const growth = growthOf((size) => void cleanText(text.slice(0, size)), 4_096);
    assert.ok(growth < 3, `${JSON.stringify(word.slice(0, 20))}: ${growth}`);
  }
});

for (const name of ['password', 'passwort', 'pwd', 'db_pwd', 'token', 'client_secret', 'X-JFrog-Art-Api']) {
  test(`the log hides the field ${name}`, () => {
    assert.doesNotMatch(JSON.stringify(cleanFields({ [name]: 'hunter2x' })), /hunter2x/);
  });
}
