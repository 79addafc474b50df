/**
 * The common class of failures that a user may see.
 *
 * Invariant: an error is classified once, where its cause is known, and its message says what happened; callers never
 * parse messages.
 */
import * as z from 'zod';
import { type ErrorCode, type Retry, retryOf } from './error-codes.ts';
import { printable } from './text.ts';

/** Fields of the response, if there was one. */
export interface ResponseFields {
  httpStatus?: number | undefined;
  /** The request id under which the server logged it. */
  requestId?: string | undefined;
  /** The server's own Retry-After. */
  retryAfterMs?: number | undefined;
}

export interface OperatorErrorOptions extends ResponseFields {
  code: ErrorCode;
  cause?: unknown;
}

/** Of a message, in code points: it has to fit into a condition with what is said around it. */
const longestMessage = 2048;

export class OperatorError extends Error {
  readonly code: ErrorCode;
  /** As the table of codes and the server's Retry-After say. */
  readonly retry: Retry;
  readonly httpStatus: number | undefined;
  readonly requestId: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(message: string, { code, cause, httpStatus, requestId, retryAfterMs }: OperatorErrorOptions) {
    super(printable(message, longestMessage), cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.code = code;
    this.retry = retryOf(code, retryAfterMs);
    this.httpStatus = httpStatus;
    this.requestId = requestId;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The fields of the response, for the error that `failure` is translated into. */
export function responseFieldsOf(failure: unknown): ResponseFields {
  if (!(failure instanceof OperatorError)) return {};
  const { httpStatus, requestId, retryAfterMs } = failure;
  return { httpStatus, requestId, retryAfterMs };
}

/** The deepest useful sentence of an error: sockets wrap their cause several times, AggregateErrors say nothing at all. */
export function describe(error: unknown): string {
  if (error instanceof AggregateError && error.message === '' && error.errors.length > 0)
    return describe(error.errors[0]);
  if (!(error instanceof Error)) return textOf(error);
  if (error instanceof z.ZodError) return describeIssues(error);
  if (error.message === '' || error.message === 'fetch failed' || error.message === 'terminated') {
    return error.cause === undefined ? error.name : describe(error.cause);
  }
  return tlsReason(error) ?? error.message;
}

/** Not every value has a text: an object without a prototype has none. */
function textOf(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return `a value of the type ${typeof thrown}`;
  }
}

/** Of a value that a schema rejects: the first field with a problem, and the number of the others. */
function describeIssues({ issues: [first, ...others] }: z.ZodError): string {
  const sentence = [first?.path.join('.') ?? '', first?.message ?? ''].filter((part) => part !== '').join(': ');
  if (others.length === 0) return sentence;
  return `${sentence} (and ${others.length} more ${others.length === 1 ? 'problem' : 'problems'})`;
}

/** As `describe`, for messages that name the file: without the code, the call and the path that Node adds. */
export function describeFileError(error: unknown): string {
  return describe(error).replace(/^E[A-Z0-9]+: ([^,]+), \w+(?: '.*')?$/s, '$1');
}

/**
 * The message of OpenSSL has addresses of this process and of its source text, so that the same failure has another message in each
 * thread. Node has the reason in a field of its own.
 */
function tlsReason(error: Error): string | undefined {
  if (!('library' in error) || error.library !== 'SSL routines' || !('reason' in error)) return undefined;
  const { reason } = error;
  if (typeof reason !== 'string' || reason === '') return undefined;
  return `TLS failed: ${reason}${reason === 'wrong version number' ? ' (perhaps the port is for plain HTTP)' : ''}`;
}

/** The `code` of a Node, undici or operator error ('ECONNREFUSED', 'UND_ERR_SOCKET', …), looking through causes. */
export function errorCode(error: unknown): string | undefined {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    if ('code' in at && typeof at.code === 'string') return at.code;
    if (at instanceof AggregateError && at.errors.length > 0) return errorCode(at.errors[0]);
  }
  return undefined;
}

/** Thrown where a union has grown a case that a switch does not know. */
export function unreachable(value: never): never {
  throw new Error(`unexpected case: ${JSON.stringify(value)}`);
}

export type Attempt<T> = { ok: true; value: T } | { ok: false; error: unknown };

/** The outcome of `work` as a value. Rejects only with the reason of the signal. */
export async function attempt<T>(signal: AbortSignal, work: () => Promise<T>): Promise<Attempt<T>> {
  try {
    return { ok: true, value: await work() };
  } catch (error) {
    signal.throwIfAborted();
    return { ok: false, error };
  }
}
