/**
 * Extracts the error message from a response body, which may be JSON, HTML or plain text.
 *
 * Guarantees: the result is one line of bounded length without markup; any body has a result.
 */

import { isUtf8 } from 'node:buffer';
import { cleanText } from '../lib/redact.ts';
import type { SecretString } from '../lib/secret.ts';
import { printable } from '../lib/text.ts';
import { isJsonObject, type JsonValue, parseJson } from './json.ts';

/** The message of a condition must stay readable, and servers put whole pages into errors. */
const maxLength = 600;

/** Of the message before secrets are taken out of it: one that ends behind the cut must not leave its beginning. */
const longestRead = 16 * maxLength;

/**
 * `contentType` is the value of the header; `text` may be truncated anywhere. Empty if the response has no message. `secrets` are
 * those that were sent: they are taken out before markup is, which may be a part of them, and after it, because it may be between
 * their characters. Those of the cloud itself are found by their form.
 */
export function errorMessageIn(
  contentType: string | undefined,
  text: string,
  secrets: readonly SecretString[] = [],
): string {
  const type = contentType?.split(';', 1)[0]?.trim().toLowerCase();
  const clean = secrets.reduce((line, secret) => withoutExact(line, secret.reveal()), text);
  const message =
    jsonMessage(clean) ?? (type === 'text/html' || /^\s*<(?:!doctype|html)/i.test(clean) ? htmlText(clean) : clean);
  return printable(cleanText(withoutSecrets(printable(message, longestRead), secrets)), maxLength);
}

/** Without the secret as it is, and as JSON has it. */
function withoutExact(text: string, secret: string): string {
  if ([...secret].length < shortestSecret) return text;
  return text.replaceAll(secret, redacted).replaceAll(JSON.stringify(secret).slice(1, -1), redacted);
}

/**
 * `message` without the secrets in it, whatever form a server gave them: other case, encoded for a URL, in base64, with
 * escapes, or broken by markup or line ends. Letters and digits decide; what stands between them does not.
 */
export function withoutSecrets(message: string, secrets: readonly SecretString[]): string {
  return secrets.reduce((line, secret) => withoutSecret(line, secret.reveal()), message);
}

/** Shorter ones stand in every text: then nothing of it is quoted. */
const shortestSecret = 4;

function withoutSecret(message: string, secret: string): string {
  if (secret === '') return message;
  if ([...secret].length < shortestSecret) return '';
  const forms = [secret, encodeURIComponent(secret.toWellFormed()), ...base64Of(secret)];
  const exact = forms.reduce((line, form) => line.replaceAll(form, redacted), message);
  return [secret, decoded(secret)].reduce(withoutWritten, forms.reduce(withoutSkeleton, exact));
}

/** The last group of four depends on the padding, so it is left out. */
function base64Of(secret: string): string[] {
  const text = Buffer.from(secret).toString('base64').replace(/=+$/, '');
  const whole = text.slice(0, text.length - (text.length % 4));
  return whole.length < 8 ? [] : [whole, whole.replaceAll('+', '-').replaceAll('/', '_')];
}

/** Replaces each place whose letters and digits are those of `secret`. */
function withoutSkeleton(message: string, secret: string): string {
  return withoutParts(
    [...message].map((point) => [point, point]),
    secret,
  );
}

/** The same, with encoded characters as what they stand for. */
function withoutWritten(message: string, secret: string): string {
  return withoutParts(
    (message.match(written) ?? []).map((part) => [part, decoded(part)]),
    secret,
  );
}

/** Each part of a message as it is written, and what it means. */
type Part = readonly [text: string, meaning: string];

function withoutParts(parts: readonly Part[], secret: string): string {
  const texts = parts.map(([text]) => text);
  const wanted = [...secret].flatMap(skeleton).join('');
  if (wanted.length < shortestSecret) return texts.join('');
  const units = parts.flatMap(([, meaning], index) =>
    [...meaning].flatMap((point) => skeleton(point).map((unit) => ({ unit, index }))),
  );
  const line = units.map(({ unit }) => unit).join('');
  for (let at = line.indexOf(wanted); at !== -1; at = line.indexOf(wanted, at + wanted.length)) {
    const [first, last] = [units[at]?.index, units[at + wanted.length - 1]?.index];
    if (first === undefined || last === undefined) break;
    texts.fill('', first, last + 1);
    texts[first] = redacted;
  }
  return texts.join('');
}

/** An entity of HTML, bytes in a URL or in Python's repr, an escape of JSON, each also encoded again; or one character. */
const written =
  /&(?:amp;){0,4}(?:#\d{1,7}|#x[\da-f]{1,6}|[a-z]{2,8});|(?:%(?:25){0,4}[\da-f]{2}){1,400}|(?:\\{1,8}x[\da-f]{2}){1,400}|\\{1,8}u[\da-f]{4}|[\s\S]/giu;

/** Of an entity with a name, no letter of the name stands for itself. */
function decoded(text: string): string {
  return text
    .replace(/&(?:amp;){0,4}(?:#(\d{1,7})|#x([\da-f]{1,6})|[a-z]{2,8});/gi, (_, decimal?: string, hex?: string) =>
      characterOf(decimal === undefined ? Number.parseInt(hex ?? '26', 16) : Number(decimal)),
    )
    .replace(/(?:%(?:25){0,4}[\da-f]{2}){1,400}/gi, (bytes) => textOf(bytes.replace(/%(?:25)*(?=[\da-f]{2})/gi, '')))
    .replace(/(?:\\{1,8}x[\da-f]{2}){1,400}/gi, (bytes) => textOf(bytes.replace(/\\+x/gi, '')))
    .replace(/\\{1,8}u([\da-f]{4})/gi, (_, hex: string) => characterOf(Number.parseInt(hex, 16)));
}

function characterOf(point: number): string {
  return point > 0x10_ffff ? '' : String.fromCodePoint(point);
}

/** UTF-8, or the numbers of characters, as Python has both. */
function textOf(hex: string): string {
  const bytes = Buffer.from(hex, 'hex');
  return isUtf8(bytes) ? bytes.toString('utf8') : bytes.toString('latin1');
}

/** The code point in lower case, unit by unit, if it is a letter or a digit. */
function skeleton(point: string): string[] {
  return /[\p{L}\p{N}]/u.test(point) ? point.toLowerCase().split('') : [];
}

const redacted = '[redacted]';

/**
 * Glance: `{message, code, title}`. Keystone: `{error: {message, …}}`. Barbican: `{description, code, title}`. A token endpoint:
 * `{error: code, error_description}`.
 */
function jsonMessage(text: string): string | undefined {
  // Messages of Glance are fragments of HTML. Layout markup is removed, other angle brackets belong to the text.
  return messageIn(parseJson(text))?.replace(/<\/?(?:br|p|b|i|div|span|pre|h[1-6]|ul|li)\b[^<>]*>/gi, ' ');
}

function messageIn(body: JsonValue | undefined, depth = 0): string | undefined {
  if (!isJsonObject(body) || depth > 2) return undefined;
  const message = body['message'] ?? body['description'] ?? body['error_description'];
  const code = body['error'];
  if (typeof message === 'string') return typeof code === 'string' ? `${code}: ${message}` : message;
  if (typeof code === 'string') return code;
  return Object.values(body)
    .map((value) => messageIn(value, depth + 1))
    .find((found) => found !== undefined);
}

/** The lines of a page, each once: `404 Not Found: No image found`. */
function htmlText(html: string): string {
  const text = html
    .replace(/<(script|style)\b[\s\S]*?(?:<\/\1>|$)/gi, '\n')
    .replace(/<[^<>]*>/g, '\n')
    .replace(/&(lt|gt|quot|amp|nbsp|#39|#x27);/g, (_, name: string) => entities[name] ?? ' ');
  const lines = text.split('\n').map((line) => line.trim());
  return [...new Set(lines.filter((line) => line !== ''))].join(': ');
}

const entities: Record<string, string> = { lt: '<', gt: '>', quot: '"', amp: '&', nbsp: ' ', '#39': "'", '#x27': "'" };
