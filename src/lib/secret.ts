/**
 * Values that must never be shown.
 *
 * Invariant: a secret is read only by an explicit call; printing, logging or serialising its holder shows a
 * placeholder.
 */
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

/** A URL as it may be shown: without user, password, query and fragment, which may carry credentials. */
export function safeUrl(url: string | URL): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    return '[not a URL]';
  }
  const query = parsed.search === '' ? '' : '?…';
  return `${parsed.protocol}//${parsed.host}${parsed.pathname}${query}`;
}

/** Of a token that goes into a header. Those of Kubernetes have about a thousand characters. */
export const tokenForm = /^[!-~]{1,16384}$/;
