/**
 * What can go wrong between us and an OpenStack cloud, one class per meaning. Law: the message says whose words it carries,
 * the HTTP status and the request id are kept as numbers and text, and no message ever holds a credential.
 *
 * HttpFailure and ConnectionFailed are the raw material: a service's own client translates them into its own terms.
 */
import { describe, OperatorError, type Retry, retry } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';

/** clouds.yaml cannot be used as it is. Only an edit of it helps. */
export class ConfigurationError extends OperatorError {
  constructor(code: 'SecretInvalid' | 'CloudNotFound', message: string) {
    super(message, { code, retry: retry.change });
  }
}

/** No answer came: refused, reset, unresolvable, TLS, or too slow. Whether the server acted on the request is unknown. */
export class ConnectionFailed extends OperatorError {
  /** Scheme, host and port that were tried. */
  readonly origin: string;
  constructor(origin: string, cause: unknown) {
    super(`no answer from ${origin}: ${describe(cause)}`, { code: 'ConnectionFailed', retry: retry.backoff, cause });
    this.origin = origin;
  }
}

export interface HttpFailureOptions {
  method: string;
  /** The URL without credentials and query. */
  url: string;
  status: number;
  /** What the server said, as plain text; empty when it said nothing. */
  serverMessage: string;
  requestId: string | undefined;
  /** The server's Retry-After, in milliseconds. */
  retryAfterMs: number | undefined;
}

/** An answer that says no, not yet translated into the terms of the service that gave it. */
export class HttpFailure extends OperatorError {
  /** Without credentials and query. */
  readonly url: string;
  readonly status: number;
  readonly serverMessage: string;
  readonly retryAfterMs: number | undefined;
  constructor(options: HttpFailureOptions) {
    const { status, serverMessage, requestId, retryAfterMs } = options;
    super(`${options.method} ${options.url}: ${quoteFailure(options)}`, {
      code: 'HttpFailure',
      retry: retryAfterMs === undefined ? retry.backoff : retry.after(retryAfterMs),
      httpStatus: status,
      ...(requestId === undefined ? {} : { requestId }),
    });
    this.url = options.url;
    this.status = status;
    this.serverMessage = serverMessage;
    this.retryAfterMs = retryAfterMs;
  }
}

/** `413: the words (req-…)`: how every message quotes a server. */
export function quoteFailure({ status, serverMessage, requestId }: HttpFailureOptions | HttpFailure): string {
  return `${status}${quoted(serverMessage, requestId)}`;
}

/** `: the words (req-…)`, as far as there are any. */
export function quoted(serverMessage: string, requestId: string | undefined): string {
  return `${serverMessage === '' ? '' : `: ${serverMessage}`}${requestId === undefined ? '' : ` (${requestId})`}`;
}

/** An answer came, but it is not one that its service gives: too large, no JSON, of another shape. */
export class MalformedResponse extends OperatorError {
  constructor(problem: string, requestId: string | undefined) {
    super(problem, {
      code: 'MalformedResponse',
      retry: retry.backoff,
      ...(requestId === undefined ? {} : { requestId }),
    });
  }
}

/** Keystone refuses the credentials, or a service refuses the token that Keystone just gave. */
export class AuthenticationFailed extends OperatorError {
  constructor(message: string, failure: HttpFailure, again: Retry = retry.change) {
    super(message, { code: 'AuthenticationFailed', retry: again, cause: failure, ...responseFieldsOf(failure) });
  }
}

/** A service refuses the token that Keystone has just given: it is the service that says no. */
export class TokenRejected extends AuthenticationFailed {
  constructor(message: string, failure: HttpFailure) {
    super(message, failure, retry.backoff);
  }
}

/** Keystone gave no answer. */
export class KeystoneUnreachable extends OperatorError {
  constructor(cause: ConnectionFailed) {
    super(`Keystone gives no answer at ${cause.origin}: ${describe(cause.cause)}`, {
      code: 'IdentityUnavailable',
      retry: retry.backoff,
      cause,
    });
  }
}

/** Keystone answered, but not as a working Keystone v3 does. */
export class KeystoneUnavailable extends OperatorError {
  constructor(message: string, again: Retry, cause: unknown) {
    super(message, { code: 'IdentityUnavailable', retry: again, cause, ...responseFieldsOf(cause) });
  }
}

/** The catalog has no endpoint that fits; the message lists what is there. */
export class EndpointNotFound extends OperatorError {
  constructor(message: string) {
    super(message, { code: 'EndpointNotFound', retry: retry.change });
  }
}

/** An address was named that is no endpoint of the cloud whose token would go there. */
export class ForeignEndpoint extends OperatorError {
  constructor(address: string, service: string, cloud: string) {
    super(
      `${safeUrl(address)} is no ${service} endpoint of cloud ${cloud}, and a token goes only to endpoints of the cloud that issued it: ` +
        'name the cloud that it belongs to',
      { code: 'InvalidSpec', retry: retry.change },
    );
  }
}

/** Status and request id of a failure, to be handed on to the error that it is translated into. */
export function responseFieldsOf(failure: unknown): { httpStatus?: number; requestId?: string } {
  if (!(failure instanceof HttpFailure)) return {};
  const { requestId } = failure;
  return requestId === undefined ? { httpStatus: failure.status } : { httpStatus: failure.status, requestId };
}
