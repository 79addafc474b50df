/**
 * Extracts the error message from a response body, which may be JSON, HTML or plain text.
 *
 * Guarantees: the result is one line of bounded length without markup; any body has a result.
 */

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
  return forms.reduce(withoutSkeleton, exact);
}

/** The last group of four depends on the padding, so it is left out. */
function base64Of(secret: string): string[] {
  const text = Buffer.from(secret).toString('base64').replace(/=+$/, '');
  const whole = text.slice(0, text.length - (text.length % 4));
  return whole.length < 8 ? [] : [whole, whole.replaceAll('+', '-').replaceAll('/', '_')];
}

/** Replaces each place whose letters and digits are those of `secret`. */
function withoutSkeleton(message: string, secret: string): string {
  const wanted = [...secret].flatMap(skeleton).join('');
  if (wanted.length < shortestSecret) return message;
  const units = [...message].flatMap((point, index) => skeleton(point).map((unit) => ({ unit, index })));
  const text = units.map(({ unit }) => unit).join('');
  const points: string[] = [...message];
  for (let at = text.indexOf(wanted); at !== -1; at = text.indexOf(wanted, at + wanted.length)) {
    const [first, last] = [units[at]?.index, units[at + wanted.length - 1]?.index];
    if (first === undefined || last === undefined) break;
    points.fill('', first, last + 1);
    points[first] = redacted;
  }
  return points.join('');
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
