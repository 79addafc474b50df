/** Where the values of a Secret with headers may go. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OperatorError } from '../../src/lib/errors.ts';
import { checkHeaderHosts, hostsAnnotation, onlyHostOf } from '../../src/source/header-hosts.ts';

const secret = { namespace: 'team', name: 'token' };

function isAllowed(hosts: string | undefined, url: string): boolean {
  try {
    checkHeaderHosts(secret, hosts, url);
    return true;
  } catch (error) {
    assert(error instanceof OperatorError);
    assert.equal(error.code, 'SecretInvalid');
    return false;
  }
}

const allowed = [
  ['artifacts.example.com', 'https://artifacts.example.com/a.raw'],
  ['artifacts.example.com', 'https://ARTIFACTS.example.com:443/a.raw'],
  ['artifacts.example.com', 'https://artifacts.example.com./a.raw'],
  ['https://artifacts.example.com', 'https://artifacts.example.com/a.raw'],
  ['other.example.com, artifacts.example.com:8443', 'https://artifacts.example.com:8443/a.raw'],
  ['*.example.com', 'https://a.b.example.com/a.raw'],
  ['*.example.com:8443', 'https://a.example.com:8443/a.raw'],
  ['http://10.0.0.5:8080', 'http://10.0.0.5:8080/a.raw'],
  ['http://*.example.com', 'http://a.example.com/a.raw'],
  ['[2001:db8::1]:8443', 'https://[2001:DB8::1]:8443/a.raw'],
] as const;
for (const [hosts, url] of allowed)
  test(`the annotation "${hosts}" allows ${url}`, () => assert(isAllowed(hosts, url)));

const refused = [
  ['artifacts.example.com', 'http://artifacts.example.com/a.raw'],
  ['http://artifacts.example.com', 'https://artifacts.example.com/a.raw'],
  ['artifacts.example.com', 'https://artifacts.example.com:8443/a.raw'],
  ['artifacts.example.com', 'https://evil-artifacts.example.com/a.raw'],
  ['artifacts.example.com', 'https://artifacts.example.com.evil.org/a.raw'],
  ['artifacts.example.com', 'https://artifacts.example.com@evil.org/a.raw'],
  ['*.example.com', 'https://example.com/a.raw'],
  ['*.example.com', 'https://evilexample.com/a.raw'],
  ['*.example.com', 'http://a.example.com/a.raw'],
  ['*', 'https://a.example.com/a.raw'],
  ['**', 'https://a.example.com/a.raw'],
  ['', 'https://a.example.com/a.raw'],
  ['a.example.com,', 'https://a.example.com/a.raw'],
  ['https://a.example.com/path', 'https://a.example.com/a.raw'],
  ['ftp://a.example.com', 'https://a.example.com/a.raw'],
] as const;
for (const [hosts, url] of refused)
  test(`the annotation "${hosts}" does not allow ${url}`, () => assert(!isAllowed(hosts, url)));

test('a Secret without the annotation goes nowhere, and the message has the command that adds it', () => {
  for (const url of ['https://a.example.com/a.raw', 'http://a.example.com/a.raw', ''])
    assert.equal(isAllowed(undefined, url), false);
  assert.throws(() => checkHeaderHosts(secret, undefined, 'http://10.0.0.5:8080/a.raw'), {
    message: new RegExp(`kubectl annotate secret token -n team ${hostsAnnotation}='http://10\\.0\\.0\\.5:8080'$`),
  });
});

test('a URL of an author cannot add a command to the one that the owner of a Secret is to run', () => {
  assert.throws(() => checkHeaderHosts(secret, undefined, "https://a';touch$IFS&x;'.example.com/a.raw"), {
    message: /\/hosts='a'\\'';touch\$ifs&x;'\\''\.example\.com'$/,
  });
});

test('a header file on the command line goes to the host of the plan alone', () => {
  for (const url of ['https://a.example.com/a.raw', 'http://10.0.0.5:8080/a.raw']) {
    assert(isAllowed(onlyHostOf(url), url));
    assert(!isAllowed(onlyHostOf(url), 'https://b.example.com/a.raw'));
  }
});
