/**
 * The words of a server that refused: from JSON, HTML or plain text to one line that can stand in a status. Law: bounded,
 * without markup, never empty lines, and a body of any shape gives an answer.
 */

import { isJsonObject, type JsonValue, parseJson } from './json.ts';

/** A condition's message must stay readable; servers put whole pages into errors. */
const maxLength = 600;

/** `contentType` as the header has it; `text` may be cut anywhere. Empty when the server said nothing. */
export function errorMessageIn(contentType: string | undefined, text: string): string {
  const type = contentType?.split(';', 1)[0]?.trim().toLowerCase();
  const words =
    jsonMessage(text) ?? (type === 'text/html' || /^\s*<(?:!doctype|html)/i.test(text) ? htmlText(text) : text);
  const line = words.replace(/\s+/g, ' ').trim();
  return line.length > maxLength ? `${line.slice(0, maxLength)}…` : line;
}

/** Glance: `{message, code, title}`. Keystone: `{error: {message, …}}`. Barbican: `{description, code, title}`. */
function jsonMessage(text: string): string | undefined {
  // The message of Glance's JSON is a page fragment: markup that lays out text goes, other angle brackets are its own.
  return messageIn(parseJson(text))?.replace(/<\/?(?:br|p|b|i|div|span|pre|h[1-6]|ul|li)\b[^<>]*>/gi, ' ');
}

function messageIn(body: JsonValue | undefined, depth = 0): string | undefined {
  if (!isJsonObject(body) || depth > 2) return undefined;
  const said = body['message'] ?? body['description'];
  if (typeof said === 'string') return said;
  return Object.values(body)
    .map((value) => messageIn(value, depth + 1))
    .find((message) => message !== undefined);
}

/** The lines of a page, each once, as people would read them: `404 Not Found: No image found`. */
function htmlText(html: string): string {
  const text = html
    .replace(/<(script|style)\b[\s\S]*?(?:<\/\1>|$)/gi, '\n')
    .replace(/<[^<>]*>/g, '\n')
    .replace(/&(lt|gt|quot|amp|nbsp|#39|#x27);/g, (_, name: string) => entities[name] ?? ' ');
  const lines = text.split('\n').map((line) => line.trim());
  return [...new Set(lines.filter((line) => line !== ''))].join(': ');
}

const entities: Record<string, string> = { lt: '<', gt: '>', quot: '"', amp: '&', nbsp: ' ', '#39': "'", '#x27': "'" };
