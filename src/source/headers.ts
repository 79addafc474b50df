/**
 * Headers that a user declares for a source, usually credentials.
 *
 * Guarantees: they are sent to the server of the URL that they were declared for and to no other, not even after a redirect; no
 * message has their values.
 */

import { OperatorError } from '../lib/errors.ts';
import { SecretString } from '../lib/secret.ts';
import { withoutEnd } from '../lib/trim.ts';

export type DeclaredHeaders = Readonly<Record<string, SecretString>>;

/** Headers that frame the request or resume a download. The operator sets them; users cannot. */
const reserved = new Set([
  'accept-encoding',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'http2-settings',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'keep-alive',
  'max-forwards',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'range',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'via',
]);

/** A usual limit of servers, which would reject more with a less clear message. */
const maxBytes = 16 * 1024;

/**
 * The headers in the Secret of `headersSecretRef`. Each key is the name of a header, with these exceptions: `username` and
 * `password` become basic authentication, `bearerToken` a bearer token. White space around a value, such as the newline that
 * `echo` writes, is dropped. Throws SecretInvalid, whose message has names and never values.
 */
export function readHeaders(secret: Readonly<Record<string, string>>): DeclaredHeaders {
  const { username, password, bearerToken, ...named } = secret;
  const headers = new Map<string, SecretString>();
  const add = (name: string, value: string) => {
    if (headers.has(name)) throw invalid(`it sets the header ${name} twice`);
    headers.set(name, new SecretString(value));
  };
  for (const [key, value] of Object.entries(named)) add(checkedName(key), checkedValue(key, value.trim()));
  if (bearerToken !== undefined) add('authorization', `Bearer ${checkedValue('bearerToken', bearerToken.trim())}`);
  if (username !== undefined || password !== undefined) {
    if (username === undefined || password === undefined) throw invalid('username and password are needed together');
    if (username.includes(':')) throw invalid('the value of username must not contain a colon');
    // Where bytes are not UTF-8, the text has this character: another password.
    if (`${username}${password}`.includes('\ufffd')) throw invalid('username and password must be UTF-8');
    const pair = Buffer.from(`${username.trim()}:${withoutEnd(password, '\r\n')}`);
    add('authorization', `Basic ${pair.toString('base64')}`);
  }
  const total = [...headers].reduce((sum, [name, value]) => sum + name.length + value.reveal().length, 0);
  if (total > maxBytes) throw invalid(`its headers have ${total} bytes; the limit is ${maxBytes}`);
  return Object.fromEntries(headers);
}

function checkedName(key: string): string {
  const name = key.toLowerCase();
  if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) throw invalid(`the key ${JSON.stringify(key)} is not the name of a header`);
  if (reserved.has(name)) throw invalid(`the header ${key} cannot be declared: the operator sets it itself`);
  return name;
}

/** RFC 9110: visible characters and blanks. Other characters could end the header and begin another. */
function checkedValue(key: string, value: string): string {
  if (value === '') throw invalid(`the value of ${key} is empty`);
  if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value))
    throw invalid(`the value of ${key} has characters that no header can have`);
  return value;
}

function invalid(why: string): OperatorError {
  return new OperatorError(`the Secret of headersSecretRef cannot be used: ${why}`, {
    code: 'SecretInvalid',
  });
}
