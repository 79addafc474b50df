/**
 * The global request id, under which OpenStack services log a call.
 *
 * Guarantees: all attempts of a call have the same id, and all calls of a reconcile have the id of the reconcile, so that one id
 * finds the log entries on both sides; OpenStack's middleware accepts the format; it is short enough for Glance, which returns 500
 * for longer ones.
 */
import { randomUUID } from 'node:crypto';
import { currentContext } from '../lib/context.ts';

const maxLength = 64;

export function newRequestId(): string {
  return `req-${currentContext()?.id ?? randomUUID()}`;
}

/** Throws a TypeError for an id that cannot be sent. */
export function checkedRequestId(id: string): string {
  if (/^[\w.:-]+$/.test(id) && id.length <= maxLength) return id;
  throw new TypeError(`a request id has at most ${maxLength} letters, digits and .:_-`);
}
