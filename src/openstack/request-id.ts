/**
 * The id under which servers log what one logical call made them do. Law: one for all tries of a call, and for all calls of one
 * reconcile, whose id it is, so that one id finds the story in our log and in theirs; in the form that OpenStack's middleware
 * takes over, and never so long that Glance answers 500 to it.
 */
import { randomUUID } from 'node:crypto';
import { currentContext } from '../lib/context.ts';

const longest = 64;

export function newRequestId(): string {
  return `req-${currentContext()?.id ?? randomUUID()}`;
}

/** Throws a TypeError for one that cannot be sent. */
export function checkedRequestId(id: string): string {
  if (/^[\w.:-]+$/.test(id) && id.length <= longest) return id;
  throw new TypeError(`a request id has at most ${longest} letters, digits and .:_-`);
}
