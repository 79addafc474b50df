/**
 * Values that must never be shown.
 *
 * Invariant: a secret is read only by an explicit call; printing, logging or serialising its holder shows a
 * placeholder.
 */
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';

const placeholder = '[redacted]';

export class SecretString {
  readonly #value: string;
  constructor(value: string) {
    this.#value = value;
  }
  /** The secret itself. Call it where the bytes leave for the server that they are meant for, nowhere else. */
  reveal(): string {
    return this.#value;
  }
  toString(): string {
    return placeholder;
  }
  toJSON(): string {
    return placeholder;
  }
  [inspect.custom](): string {
    return placeholder;
  }
}

/** A URL as it may be shown: without user, password, query and fragment, which may carry credentials. That of a local file as its path. */
export function safeUrl(url: string | URL): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    return '[not a URL]';
  }
  if (isLocal(parsed)) return fileURLToPath(parsed);
  const query = parsed.search === '' ? '' : '?…';
  return `${parsed.protocol}//${parsed.host}${parsed.pathname}${query}`;
}

/** Whether it is the URL of a file on this machine. */
export function isLocal(url: string | URL): boolean {
  const parsed = typeof url === 'string' ? URL.parse(url) : url;
  return parsed?.protocol === 'file:' && parsed.hostname === '';
}

/** Of a token that goes into a header. Those of Kubernetes have about a thousand characters. */
export const tokenForm = /^[!-~]{1,16384}$/;
