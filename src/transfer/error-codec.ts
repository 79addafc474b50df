/**
 * Error codec: errors as plain JSON, to send them to another thread or process.
 *
 * Guarantees: an OperatorError keeps message, code, status, request id and Retry-After; causes are kept to a limited depth.
 */
import type { ErrorCode } from '../lib/error-codes.ts';
import { OperatorError, type ResponseFields, responseFieldsOf } from '../lib/errors.ts';

export type EncodedError =
  | ({ kind: 'operator'; message: string; code: ErrorCode; cause?: EncodedError } & ResponseFields)
  /** Any other error. Only the outermost one has a `stack`. */
  | { kind: 'other'; name: string; message: string; code?: string; stack?: string; cause?: EncodedError };

const maxCauseDepth = 4;

export function encodeError(error: unknown, depth = 0): EncodedError {
  if (!(error instanceof Error)) return { kind: 'other', name: 'Error', message: String(error) };
  const { message, name } = error;
  const cause =
    error.cause === undefined || depth >= maxCauseDepth ? {} : { cause: encodeError(error.cause, depth + 1) };
  if (error instanceof OperatorError) {
    return { kind: 'operator', message, code: error.code, ...responseFieldsOf(error), ...cause };
  }
  const code = 'code' in error && typeof error.code === 'string' ? { code: error.code } : {};
  const stack = depth === 0 && error.stack !== undefined ? { stack: error.stack } : {};
  return { kind: 'other', name, message, ...code, ...stack, ...cause };
}

export function decodeError(encoded: EncodedError): Error {
  const cause = encoded.cause === undefined ? {} : { cause: decodeError(encoded.cause) };
  if (encoded.kind === 'operator') {
    const { kind: _, message, cause: __, ...fields } = encoded;
    return new OperatorError(message, { ...fields, ...cause });
  }
  const { name, message, code, stack } = encoded;
  const error = new Error(message, cause);
  error.name = name;
  return Object.assign(error, code === undefined ? {} : { code }, stack === undefined ? {} : { stack });
}
