import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SecretString } from '../../src/lib/secret.ts';
import { errorMessageIn, withoutSecrets } from '../../src/openstack/error-message.ts';
import { growthOf } from '../growth.ts';

const cases: [name: string, type: string | undefined, body: string, message: string][] = [
  [
    "Glance's JSON",
    'application/json; charset=UTF-8',
    '{"message": "No image found with ID x<br /><br />\\n\\n\\n", "code": "404 Not Found", "title": "Not Found"}',
    'No image found with ID x',
  ],
  [
    "Keystone's JSON",
    'application/json',
    '{"error": {"code": 401, "message": "The request needs authentication.", "title": "Unauthorized"}}',
    'The request needs authentication.',
  ],
  [
    "Barbican's JSON",
    'application/json',
    '{"code": 404, "title": "Not Found", "description": "Secret not found."}',
    'Secret not found.',
  ],
  [
    'a page of Glance',
    'text/html',
    '<html>\n <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n  <h1>404 Not Found</h1>\n  No image &lt;x&gt;<br /><br />\n </body>\n</html>',
    '404 Not Found: No image <x>',
  ],
  ['a page without a type', undefined, '<!DOCTYPE html><title>Bad gateway</title>', 'Bad gateway'],
  ['scripts and styles', 'text/html', '<style>p{}</style><script>let a</script><p>Oops</p>', 'Oops'],
  ['plain text', 'text/plain', '  Denying attempt\n to upload  ', 'Denying attempt to upload'],
  [
    'JSON with angle brackets of its own',
    'application/json',
    '{"message": "{} of <type> is no \'string\'"}',
    "{} of <type> is no 'string'",
  ],
  ['JSON without a message', 'application/json', '{"versions": []}', '{"versions": []}'],
  ['truncated JSON', 'application/json', '{"message": "No im', '{"message": "No im'],
  ['an empty body', undefined, '', ''],
];

for (const [name, type, body, message] of cases) {
  test(`the message of ${name} is extracted`, () => assert.equal(errorMessageIn(type, body), message));
}

test('an error message is one line of bounded length for any body', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('text/html', 'application/json', undefined),
      fc.string({ maxLength: 5000 }),
      (type, body) => {
        const message = errorMessageIn(type, body);
        assert.ok(message.length <= 601);
        assert.doesNotMatch(message, /\n/);
      },
    ),
  );
});

test('a hostile page is parsed in linear time', () => {
  for (const part of ['<script', '<', '&lt;', '<script>', '<!doctype']) {
    const growth = growthOf((count) => void errorMessageIn('text/html', part.repeat(count)), 5_000);
    assert.ok(growth < 3, `${part}: ${growth}`);
  }
});

const python = (text: string) =>
  text.replace(/[^ -~]/g, (c) => `\\u${(c.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`);
const echoes: [name: string, secret: string, type: string, body: string][] = [
  ['as it is', 'correct-horse', 'text/plain', 'bad password correct-horse'],
  ['with the escapes of JSON', 'a"b\\cdef', 'application/json', JSON.stringify({ message: 'bad a"b\\cdef' })],
  ["with Python's escapes", 'pässwörd-geheim', 'application/json', `{"message": "bad ${python('pässwörd-geheim')}"}`],
  ['with escaped slashes', 'abc/def/ghi', 'application/json', '{"message": "bad abc\\/def\\/ghi"}'],
  ['with the entities of HTML', "p&ss<w>'rd1", 'text/html', '<p>bad p&amp;ss&lt;w&gt;&#39;rd1</p>'],
  ['broken by markup', 'abcdefgh', 'text/html', '<p>bad abcd<b></b>efgh</p>'],
  ['encoded for a URL', 'p@ss word/1', 'text/plain', 'bad p%40ss%20word%2F1'],
  ['in base64', 'correct-horse', 'text/plain', `bad ${Buffer.from('correct-horse').toString('base64')}`],
  ["in Python's repr", "it's\\secret", 'text/plain', `bad "it's\\\\secret"`],
  ['broken by a line end', 'correct horse battery', 'text/plain', 'bad correct\nhorse battery'],
  ['in other case', 'Correct-Horse', 'text/plain', 'bad CORRECT-HORSE'],
  ['with numbers of HTML', `a"b+c/d'efg`, 'text/html', '<p>bad a&#34;b&#43;c&#x2F;d&#x27;efg</p>'],
  ['with entities in JSON', `a"b&c<d>efg`, 'application/json', '{"message": "bad a&quot;b&amp;c&lt;d&gt;efg"}'],
  ['with entities twice', `a"b&cde`, 'application/json', '{"message": "bad a&amp;quot;b&amp;amp;cde"}'],
  [
    "encoded for a URL as in Python, where ! and ' are too",
    "it's!(se*cret)",
    'text/plain',
    'bad it%27s%21%28se%2Acret%29',
  ],
  ['encoded for a URL twice', 'p@ss/wörd', 'text/plain', 'bad p%2540ss%252Fw%25C3%25B6rd'],
  ['as letters encoded for a URL', 'geheim1', 'text/plain', 'bad %67%65heim%31'],
  ["in Python's repr of bytes", 'pässwörd', 'text/plain', "bad b'p\\xc3\\xa4ssw\\xc3\\xb6rd'"],
  ["in Python's repr of text", 'pässwörd', 'text/plain', "bad 'p\\xe4ssw\\xf6rd'"],
  ["with Python's escapes in plain text", 'pässwörd', 'text/plain', 'bad p\\u00e4ssw\\u00f6rd'],
  [
    "with the escapes of Go's JSON in JSON",
    'a<b&cdef',
    'application/json',
    '{"message": "bad a\\\\u003cb\\\\u0026cdef"}',
  ],
  ['with characters of patterns', 'a.*+?^$()|[]$&$1', 'text/plain', 'bad a.*+?^$()|[]$&$1'],
];

for (const [name, secret, type, body] of echoes) {
  test(`a secret that a server echoes is not quoted: ${name}`, () => {
    const shown = errorMessageIn(type, body, [new SecretString(secret)]);
    assert.match(shown, /^bad.*\[redacted\]/);
    const bare = (text: string) => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '');
    assert.ok(!bare(shown).includes(bare(secret)), shown);
    const [, ending = ''] = /([a-z\d]+)[^a-z\d]*$/.exec(secret.toLowerCase()) ?? [];
    assert.ok(!shown.toLowerCase().includes(ending), shown);
  });
}

test('secrets are searched for in linear time', () => {
  const secrets = [new SecretString('0123456789abcdef')];
  for (const part of ['%25', '%', '&amp;', '&', '&#', '\\', '\\x', '\\u0061', '0123456789abcde%']) {
    const growth = growthOf((count) => void withoutSecrets(part.repeat(count), secrets), 5_000);
    assert.ok(growth < 3, `${part}: ${growth}`);
  }
});

test('nothing is quoted of a server that was sent a secret of three characters', () => {
  assert.equal(withoutSecrets('bad abc', [new SecretString('abc')]), '');
});

test('a secret of the cloud itself, which a broken service shows, is not quoted', () => {
  for (const shown of [
    '(OperationalError) mysql+pymysql://keystone:hunter2x@db/keystone?charset=utf8',
    'cannot connect to rabbit:hunter2x@10.0.0.7:5672',
    '[database] connection = x\npassword = hunter2x',
    "auth failed: {'admin_pass': 'hunter2x'}",
  ])
    for (const [type, body] of [
      ['text/plain', shown],
      ['text/html', `<html><body><h1>500</h1><pre>${shown}</pre></body></html>`],
      ['application/json', JSON.stringify({ error: { message: shown } })],
    ] as const) {
      const message = errorMessageIn(type, body);
      assert.ok(message !== '' && !message.includes('hunter2x'), message);
    }
});

test('a message keeps its text where no secret stands', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 40 }), (text) => {
      assert.equal(withoutSecrets(text, [new SecretString('0123456789abcdef')]), text);
    }),
  );
});

test('a message of a hostile server holds no control, format or direction characters and is well-formed', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 900 }), (text) => {
      const line = errorMessageIn('text/plain', text);
      assert.doesNotMatch(line, /[\p{Cc}\p{Cf}\p{Cs}]/u);
      assert.ok(line.isWellFormed() && [...line].length <= 601);
    }),
  );
  assert.equal(errorMessageIn('text/plain', 'a\u001b[31mred\u202e\u0000b\u0085c'), 'a [31mred b c');
});
