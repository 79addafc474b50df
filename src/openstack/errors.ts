/**
 * The errors of calls to an OpenStack cloud, one class per meaning. HttpFailure and ConnectionFailed are generic: the client of a
 * service translates them into its own errors.
 *
 * Guarantees: a message names the server that it quotes; the HTTP status and the request id are fields of their own; no message
 * contains a credential.
 */
import { invalidityOf } from '../http/invalid-response.ts';
import { describe, OperatorError, responseFieldsOf } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';

/** clouds.yaml cannot be used, or not with this ServiceAccount. Only an edit helps. */
export class ConfigurationError extends OperatorError {
  constructor(code: 'SecretInvalid' | 'CloudNotFound' | 'ServiceAccountRefused', message: string) {
    super(message, { code });
  }
}

/** A call to a cloud after its session was closed, or while it was. Only another session helps. */
export class SessionClosed extends OperatorError {
  constructor(message: string) {
    super(message, { code: 'SessionClosed' });
  }
}

/** No valid response: connection refused or reset, unresolvable, TLS, too slow, or not HTTP. Whether the server acted on the request is unknown. */
export class ConnectionFailed extends OperatorError {
  /** Scheme, host and port that were tried. */
  readonly origin: string;
  constructor(origin: string, cause: unknown) {
    const invalidity = invalidityOf(cause);
    const problem =
      invalidity === undefined
        ? `no response from ${origin}: ${describe(cause)}`
        : `invalid HTTP response from ${origin}: ${invalidity}`;
    super(problem, { code: 'ConnectionFailed', cause });
    this.origin = origin;
  }
}

/**
 * The body of an upload has failed, and not the server. `cause` is what it threw. That can be an error of any class, also of one that stands
 * for a response of the server, so the client of a service throws it instead of this one, and translates nothing.
 */
export class BodyFailed extends Error {
  constructor(cause: unknown) {
    super(`the body of the request failed: ${describe(cause)}`, { cause });
    this.name = 'BodyFailed';
  }
}

export interface HttpFailureOptions {
  method: string;
  /** The URL without credentials and query. */
  url: string;
  status: number;
  /** The message in the response as plain text. Empty if there was none. */
  serverMessage: string;
  /** The response is an HTML page. */
  isPage?: boolean;
  requestId: string | undefined;
  /** The server's Retry-After, in milliseconds. */
  retryAfterMs: number | undefined;
}

/** An error response, not yet translated into the error of a service. */
export class HttpFailure extends OperatorError {
  /** Without credentials and query. */
  readonly url: string;
  readonly status: number;
  readonly serverMessage: string;
  readonly isPage: boolean;
  constructor(options: HttpFailureOptions) {
    const { status, serverMessage, requestId, retryAfterMs } = options;
    super(`${options.method} ${options.url}: ${quoteFailure(options)}`, {
      code: 'HttpFailure',
      httpStatus: status,
      requestId,
      retryAfterMs,
    });
    this.url = options.url;
    this.status = status;
    this.serverMessage = serverMessage;
    this.isPage = options.isPage ?? false;
  }
}

/** `413: the message (req-…)`: how every error quotes a server. */
export function quoteFailure({ status, serverMessage, requestId }: HttpFailureOptions | HttpFailure): string {
  return `${status}${quoted(serverMessage, requestId)}`;
}

/** `: the message (req-…)`, without the parts that are unknown. */
export function quoted(serverMessage: string, requestId: string | undefined): string {
  return `${serverMessage === '' ? '' : `: ${serverMessage}`}${requestId === undefined ? '' : ` (${requestId})`}`;
}

/** A response that is too large, not JSON, or of an unexpected shape. */
export class MalformedResponse extends OperatorError {
  constructor(problem: string, requestId: string | undefined) {
    super(problem, {
      code: 'MalformedResponse',
      requestId,
    });
  }
}

type AuthenticationCode = 'AuthenticationFailed' | 'CredentialsInvalid' | 'TokenRejected';

/** Keystone rejects the credentials, or a service rejects them or the token that Keystone has just issued. */
export class AuthenticationFailed extends OperatorError {
  constructor(message: string, failure: HttpFailure, code: AuthenticationCode = 'AuthenticationFailed') {
    super(message, { code, cause: failure, ...responseFieldsOf(failure) });
  }
}

/**
 * A service rejects the credentials of a call. If they are a token that Keystone has just issued (`TokenRejected`), the fault is with
 * the service; those in clouds.yaml have to be changed.
 */
export class RejectedByService extends AuthenticationFailed {}

/** Keystone did not respond. */
export class KeystoneUnreachable extends OperatorError {
  constructor(cause: ConnectionFailed) {
    super(`Keystone at ${cause.origin} does not respond: ${describe(cause.cause)}`, {
      code: 'IdentityUnavailable',
      cause,
    });
  }
}

/** Keystone responded, but not as a working Keystone v3 does. */
export class KeystoneUnavailable extends OperatorError {
  constructor(message: string, cause: unknown) {
    super(message, { code: 'IdentityUnavailable', cause, ...responseFieldsOf(cause) });
  }
}

/** The identity provider, whose token Keystone is to accept, gives none. The cause is the failed call. */
export class IdentityProviderUnavailable extends OperatorError {
  constructor(message: string, cause: unknown) {
    super(message, { code: 'IdentityUnavailable', cause, ...responseFieldsOf(cause) });
  }
}

/** No endpoint in the catalog matches. The message lists those that exist. */
export class EndpointNotFound extends OperatorError {
  /** The cloud does not have the service at all, rather than under another name, interface or region. */
  readonly isServiceAbsent: boolean;

  constructor(message: string, { isServiceAbsent = false }: { isServiceAbsent?: boolean } = {}) {
    super(message, { code: 'EndpointNotFound' });
    this.isServiceAbsent = isServiceAbsent;
  }
}

/** The declared address is not an endpoint of the cloud whose token would be sent there. */
export class ForeignEndpoint extends OperatorError {
  constructor(address: string, service: string, cloud: string) {
    super(
      `${safeUrl(address)} is no ${service} endpoint of cloud ${cloud}, and a token goes only to endpoints of the cloud that issued it: ` +
        'name the cloud that it belongs to',
      { code: 'InvalidSpec' },
    );
  }
}
