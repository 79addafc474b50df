/**
 * Extracts the error message from a response body, which may be JSON, HTML or plain text.
 *
 * Guarantees: the result is one line of bounded length without markup; any body has a result.
 */

import { isJsonObject, type JsonValue, parseJson } from './json.ts';

/** The message of a condition must stay readable, and servers put whole pages into errors. */
const maxLength = 600;

/** `contentType` is the value of the header; `text` may be truncated anywhere. Empty if the response has no message. */
export function errorMessageIn(contentType: string | undefined, text: string): string {
  const type = contentType?.split(';', 1)[0]?.trim().toLowerCase();
  const message =
    jsonMessage(text) ?? (type === 'text/html' || /^\s*<(?:!doctype|html)/i.test(text) ? htmlText(text) : text);
  const line = message.replace(/\s+/g, ' ').trim();
  return line.length > maxLength ? `${line.slice(0, maxLength)}…` : line;
}

/** Glance: `{message, code, title}`. Keystone: `{error: {message, …}}`. Barbican: `{description, code, title}`. */
function jsonMessage(text: string): string | undefined {
  // Messages of Glance are fragments of HTML. Layout markup is removed, other angle brackets belong to the text.
  return messageIn(parseJson(text))?.replace(/<\/?(?:br|p|b|i|div|span|pre|h[1-6]|ul|li)\b[^<>]*>/gi, ' ');
}

function messageIn(body: JsonValue | undefined, depth = 0): string | undefined {
  if (!isJsonObject(body) || depth > 2) return undefined;
  const message = body['message'] ?? body['description'];
  if (typeof message === 'string') return message;
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
