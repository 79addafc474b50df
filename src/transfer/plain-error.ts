/**
 * Errors as plain JSON, for the way from one thread or process to another. Law: what a reconcile or a status needs of an
 * OperatorError arrives as it was: words, code, retry, status and request id; causes follow as far as they explain.
 */
import { OperatorError, type Retry } from '../lib/errors.ts';

export type PlainError =
  | {
      kind: 'operator';
      message: string;
      code: string;
      retry: Retry;
      httpStatus?: number;
      requestId?: string;
      cause?: PlainError;
    }
  /** Any other; `stack` only where nothing expected it. */
  | { kind: 'other'; name: string; message: string; code?: string; stack?: string; cause?: PlainError };

const deepestCause = 4;

export function toPlainError(error: unknown, depth = 0): PlainError {
  if (!(error instanceof Error)) return { kind: 'other', name: 'Error', message: String(error) };
  const { message, name } = error;
  const cause =
    error.cause === undefined || depth >= deepestCause ? {} : { cause: toPlainError(error.cause, depth + 1) };
  if (error instanceof OperatorError) {
    const { code, retry, httpStatus, requestId } = error;
    return {
      kind: 'operator',
      message,
      code,
      retry,
      ...(httpStatus === undefined ? {} : { httpStatus }),
      ...(requestId === undefined ? {} : { requestId }),
      ...cause,
    };
  }
  const code = 'code' in error && typeof error.code === 'string' ? { code: error.code } : {};
  const stack = depth === 0 && error.stack !== undefined ? { stack: error.stack } : {};
  return { kind: 'other', name, message, ...code, ...stack, ...cause };
}

export function fromPlainError(plain: PlainError): Error {
  const cause = plain.cause === undefined ? {} : { cause: fromPlainError(plain.cause) };
  if (plain.kind === 'operator') {
    const { message, code, retry, httpStatus, requestId } = plain;
    return new OperatorError(message, {
      code,
      retry,
      ...(httpStatus === undefined ? {} : { httpStatus }),
      ...(requestId === undefined ? {} : { requestId }),
      ...cause,
    });
  }
  const { name, message, code, stack } = plain;
  const error = new Error(message, cause);
  error.name = name;
  return Object.assign(error, code === undefined ? {} : { code }, stack === undefined ? {} : { stack });
}
