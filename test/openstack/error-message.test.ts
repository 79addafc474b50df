import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { errorMessageIn } from '../../src/openstack/error-message.ts';

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
    const started = performance.now();
    errorMessageIn('text/html', part.repeat(20_000));
    assert.ok(performance.now() - started < 1000, part);
  }
});
