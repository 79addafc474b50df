/**
 * The common class of failures that a user may see.
 *
 * Invariant: an error is classified once, where its cause is known, and its message says what happened; callers never
 * parse messages.
 */
import { printable } from './text.ts';

/**
 * The reconciler's reaction to a failure:
 * `backoff`: retry with growing delays; the fault may pass.
 * `after`: retry after a stated time, because the server requested it or the cause passes slowly (a quota, a full store).
 * `change`: a retry cannot help until the spec or the Secret changes. No failure is permanent, so the resource is still
 * reconciled after `lookAgainMs` (an hour unless stated).
 */
export type Retry = { kind: 'backoff' } | { kind: 'after'; ms: number } | { kind: 'change'; lookAgainMs?: number };

export const retry = {
  backoff: { kind: 'backoff' },
  change: { kind: 'change' },
  after: (ms: number): Retry => ({ kind: 'after', ms }),
  changeOrAfter: (lookAgainMs: number): Retry => ({ kind: 'change', lookAgainMs }),
} as const;

export interface OperatorErrorOptions {
  /** A stable CamelCase word; it becomes the condition's reason where the error ends a reconcile. */
  code: string;
  retry: Retry;
  cause?: unknown;
  /** The HTTP status of the response with the error, if there was one. */
  httpStatus?: number;
  /** The request id under which the server logged it. */
  requestId?: string;
}

/** Of a message, in code points: it has to fit into a condition with what is said around it. */
const longestMessage = 2048;

export class OperatorError extends Error {
  readonly code: string;
  readonly retry: Retry;
  readonly httpStatus: number | undefined;
  readonly requestId: string | undefined;

  constructor(message: string, options: OperatorErrorOptions) {
    super(printable(message, longestMessage), options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = options.code;
    this.retry = options.retry;
    this.httpStatus = options.httpStatus;
    this.requestId = options.requestId;
  }
}

/** The deepest useful sentence of an error: sockets wrap their cause several times, AggregateErrors say nothing at all. */
export function describe(error: unknown): string {
  if (error instanceof AggregateError && error.message === '' && error.errors.length > 0)
    return describe(error.errors[0]);
  if (!(error instanceof Error)) return String(error);
  if (error.message === '' || error.message === 'fetch failed' || error.message === 'terminated') {
    return error.cause === undefined ? error.name : describe(error.cause);
  }
  return error.message;
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
