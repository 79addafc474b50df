/**
 * References to images: the bare id of one in the same cloud, or the address of one in another Glance.
 *
 * Invariant: a reference either names exactly one image of one server or is rejected with the reason; no part of it is
 * dropped or unescaped.
 *
 *     6b1fd7a2-0000-4000-8000-000000000001
 *     https://glance.example.com:9292/6b1fd7a2-0000-4000-8000-000000000001
 *     https://example.com/image/v2/images/6b1fd7a2-0000-4000-8000-000000000001
 *     http://[2001:db8::1]:9292/6b1fd7a2-0000-4000-8000-000000000001
 */

import { isIPv6 } from 'node:net';
import { withoutEnd } from '../lib/trim.ts';
import { InvalidImageRef, InvalidRequest } from './errors.ts';

export type ImageRef =
  | { kind: 'id'; id: string }
  /** `endpoint`: the image service without its version and without a trailing slash: `https://example.com/image`. */
  | { kind: 'href'; id: string; endpoint: string; secure: boolean };

/** Throws InvalidImageRef. */
export function parseImageRef(ref: string): ImageRef {
  if (typeof ref !== 'string') throw new InvalidImageRef(`not a reference to an image: ${quotedText(ref)}`);
  if (!ref.includes('/')) return { kind: 'id', id: idIn(ref, ref) };
  const [, scheme = '', authority = '', path = ''] = /^(https?):\/\/([^/]*)\/(.*)$/i.exec(ref) ?? [];
  if (scheme === '') throw invalid(ref, 'an address begins with http:// or https:// and ends with the id of an image');
  const segments = path.split('/');
  const id = idIn(segments.pop() ?? '', ref);
  const url = URL.parse(`${scheme}://${bracketed(authority)}/${segments.join('/')}`);
  if (url === null || authority === '') throw invalid(ref, 'its host and port cannot be read');
  if (url.username !== '' || url.password !== '') throw invalid(ref, 'it contains a user name or a password');
  if (/[?#]/.test(ref)) throw invalid(ref, 'it has a query or a fragment');
  // The path that Glance puts between its endpoint and an id.
  const prefix = withoutEnd(url.pathname, '/').replace(/(?:\/v2(?:\.\d+)?)?(?:\/images)?$/, '');
  return { kind: 'href', id, endpoint: `${url.origin}${prefix}`, secure: url.protocol === 'https:' };
}

/** The path of an image, below the versioned endpoint. Glance's ids are UUIDs; anything else could lead elsewhere. */
export function imagePath(id: string): string {
  if (!isUuid(id)) {
    throw new InvalidRequest(`not the id of an image, which is a UUID: ${quotedText(id)}`);
  }
  return `/images/${id}`;
}

/** Glance finds an id in either case, and writes it as it was created. */
export function isSameId(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

/** URLs have no segments of one or two dots: they lead to what is above. */
export function isDots(segment: string): boolean {
  return segment === '.' || segment === '..';
}

/** A name as one segment of a path. Throws InvalidRequest for a name that has to be text and is not. */
export function pathSegment(what: string, name: string): string {
  if (typeof name === 'string' && name !== '' && name.isWellFormed() && !isDots(name)) return encodeURIComponent(name);
  throw new InvalidRequest(`not the name of a ${what}: ${quotedText(name)}`);
}

/** The beginning of a text, in quotes, or the type of another value: callers may be in JavaScript. */
export function quotedText(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 64)) : value === null ? 'null' : `a ${typeof value}`;
}

export function isUuid(text: string): boolean {
  return typeof text === 'string' && /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
}

function idIn(text: string, ref: string): string {
  if (isUuid(text)) return text;
  throw invalid(ref, text === '' ? 'it ends without an id' : 'the id of an image is a UUID');
}

/** Adds the brackets that an IPv6 address needs in a URL. */
function bracketed(authority: string): string {
  return isIPv6(authority) ? `[${authority}]` : authority;
}

function invalid(ref: string, problem: string): InvalidImageRef {
  return new InvalidImageRef(`not a reference to an image: ${JSON.stringify(shown(ref))}: ${problem}`);
}

/** For messages: without a password. */
function shown(ref: string): string {
  return ref
    .replace(/\/\/[^/@]*@/, '//…@')
    .replace(/[?#].*$/s, '?…')
    .slice(0, 200);
}
