/**
 * Errors of calls to the API server, as one class. Invariant: a response is classified only here, by the `reason` of its
 * Status body, which is the API's own vocabulary (NotFound, Conflict, Expired, …). Callers use the predicates below and never
 * parse messages.
 */
import * as z from 'zod';
import { retryAfterMs } from '../http/retry-after.ts';
import { describe, errorCode, OperatorError, type ResponseFields } from '../lib/errors.ts';

interface KubernetesErrorOptions extends ResponseFields {
  reason: string;
  /** The reasons of `details.causes`; some errors can be recognised only by them. */
  causes?: readonly string[];
  cause?: unknown;
}

/** The API's own name. The API server forwards the rejection of etcd as a 500. */
const tooLarge = 'RequestEntityTooLarge';
/** A retry of the same request fails again. */
const needsChange: ReadonlySet<string> = new Set(['Invalid', 'BadRequest', tooLarge, 'KubeconfigInvalid']);

export class KubernetesError extends OperatorError {
  /**
   * The Status reason, or one of our own: Unreachable, DeadlineExceeded, IdleTimeout, EndedEarly, MalformedResponse,
   * KubeconfigInvalid, CredentialsUnavailable, UnknownResource, Closed.
   */
  readonly reason: string;
  readonly causes: readonly string[];

  constructor(message: string, options: KubernetesErrorOptions) {
    const { reason, causes, ...rest } = options;
    super(message, { code: needsChange.has(reason) ? 'KubernetesRejected' : 'KubernetesFailed', ...rest });
    this.reason = reason;
    this.causes = causes ?? [];
  }
}

const statusSchema = z.object({
  kind: z.literal('Status'),
  message: z.string().optional(),
  reason: z.string().optional(),
  code: z.int().optional(),
  details: z
    .object({
      retryAfterSeconds: z.number().optional(),
      causes: z.array(z.object({ reason: z.string().optional(), field: z.string().optional() })).optional(),
    })
    .optional(),
});

export interface ErrorResponse {
  /** The call, for the message: `GET /api/v1/…`. */
  call: string;
  httpStatus: number;
  /** The Retry-After header, in seconds; the API server sends no dates. */
  retryAfter?: string | undefined;
  /** The Audit-ID header: the id under which the server's audit log has the request. */
  auditId?: string | undefined;
  /** The parsed body, or its text where it is not JSON. */
  body: unknown;
}

/** The error that a response outside 2xx, or an ERROR event of a watch, stands for. */
export function errorFromResponse(response: ErrorResponse): KubernetesError {
  const parsed = statusSchema.safeParse(response.body);
  const status = parsed.success ? parsed.data : undefined;
  const causes = status?.details?.causes ?? [];
  const given = status?.reason || reasonOf(response.httpStatus, status !== undefined);
  // An apply for a deleted uid is a Conflict; if a new object has the name, the server calls the same Invalid.
  const isOtherObject = given === 'Invalid' && causes.some(({ field }) => field === 'metadata.uid');
  const isTooLarge = response.httpStatus === 500 && etcdLimit.test(status?.message ?? '');
  const reason = isOtherObject ? 'Conflict' : isTooLarge ? tooLarge : given;
  const message = status?.message ?? (typeof response.body === 'string' ? response.body.trim().slice(0, 200) : '');
  const detail = message === '' ? '' : `: ${message}`;
  return new KubernetesError(
    `The API server returned ${response.httpStatus} ${reason} for ${response.call}${detail}${hint(reason)}`,
    {
      reason,
      httpStatus: response.httpStatus,
      causes: causes.flatMap((cause) => cause.reason ?? []),
      requestId: response.auditId,
      retryAfterMs: retryAfterMs(response.retryAfter ?? status?.details?.retryAfterSeconds),
    },
  );
}

const etcdLimit = /\brequest is too large\b|\blarger than max\b/;

const reasonsByStatus: Record<number, string> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'Conflict',
  410: 'Gone',
  413: tooLarge,
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  502: 'BadGateway',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

function reasonOf(httpStatus: number, isStatus: boolean): string {
  // The response for a missing object has a Status; the one for a missing kind is the bare text of the router.
  if (httpStatus === 404 && !isStatus) return 'UnknownResource';
  return reasonsByStatus[httpStatus] ?? 'Unknown';
}

function hint(reason: string): string {
  switch (reason) {
    case 'Forbidden':
      return '. The RBAC rules for these credentials must allow it.';
    case 'Unauthorized':
      return '. The credentials of the kubeconfig or ServiceAccount are not accepted.';
    case 'UnknownResource':
      return '. Is the CustomResourceDefinition installed?';
    default:
      return '';
  }
}

/** No response at all: a refused connection, a reset, a failed TLS handshake, a name that does not resolve. */
export function unreachableServer(server: string, error: unknown): KubernetesError {
  const code = errorCode(error);
  const detail = describe(error);
  return new KubernetesError(
    `No connection to the API server ${server}: ${detail}${code === undefined || detail.includes(code) ? '' : ` (${code})`}`,
    { reason: 'Unreachable', cause: error },
  );
}

/** This process has closed its connections. */
export function closedClient(server: string): KubernetesError {
  return new KubernetesError(`The client of the API server ${server} was closed`, { reason: 'Closed' });
}

/** The server was too slow for the deadline of the call. */
export function deadlinePassed(call: string, ms: number, cause: unknown): KubernetesError {
  return new KubernetesError(`The API server did not finish ${call} within ${ms / 1000} s`, {
    reason: 'DeadlineExceeded',
    cause,
  });
}

/** A stream without data for longer than the server leaves it idle: its connection is considered dead. */
export function idleTimeoutOf(call: string, ms: number): KubernetesError {
  return new KubernetesError(`No data from ${call} for ${ms / 1000} s: its connection is considered dead`, {
    reason: 'IdleTimeout',
  });
}

/** A 2xx response whose body is not what the API specifies: a proxy's login page, a cut line, an object without a name. */
export function malformedResponse(call: string, problem: string, cause?: unknown): KubernetesError {
  return new KubernetesError(`The response to ${call} cannot be used: ${problem}`, {
    reason: 'MalformedResponse',
    cause,
  });
}

export function isNotFound(error: unknown): boolean {
  return error instanceof KubernetesError && error.reason === 'NotFound';
}

/** An object of this name exists. */
export function isAlreadyExists(error: unknown): boolean {
  return error instanceof KubernetesError && error.reason === 'AlreadyExists';
}

/** The object has changed meanwhile, or the uid in an apply is no longer that of the object. */
export function isConflict(error: unknown): boolean {
  return error instanceof KubernetesError && error.reason === 'Conflict';
}

/** The server does not take the object: its content, or because of a role, a quota or an admission policy. */
export function isRejected(error: unknown): error is KubernetesError {
  return error instanceof KubernetesError && (needsChange.has(error.reason) || error.reason === 'Forbidden');
}

/** The server rejected the content: validation, or the `test` of a JSON patch. */
export function isInvalid(error: unknown): boolean {
  return error instanceof KubernetesError && error.reason === 'Invalid';
}

/**
 * The resourceVersion or continue token can no longer be used, so only a new list helps: it is too old (410), from the
 * future after etcd was restored from a backup (ResourceVersionTooLarge), malformed (400), or of a kind that was removed and
 * may come back empty (404).
 */
export function needsRelist(error: unknown): boolean {
  if (!(error instanceof KubernetesError)) return false;
  return (
    error.httpStatus === 410 ||
    error.httpStatus === 404 ||
    error.reason === 'Expired' ||
    error.reason === 'BadRequest' ||
    error.causes.includes('ResourceVersionTooLarge')
  );
}

const outages: ReadonlySet<string> = new Set([
  'Unreachable',
  'DeadlineExceeded',
  'EndedEarly',
  'TooManyRequests',
  'InternalError',
  'BadGateway',
  'ServiceUnavailable',
  'Timeout',
  'ServerTimeout',
]);

/** The server does not serve at the moment, for example because it restarts. */
export function isOutage(error: unknown): error is KubernetesError {
  return error instanceof KubernetesError && outages.has(error.reason);
}

/** The server never accepts the object as it is. */
export function isRejection(error: unknown): error is KubernetesError {
  return error instanceof KubernetesError && needsChange.has(error.reason);
}

/** The server does not support the request, or not this combination of its parameters. */
export function isUnsupported(error: unknown): boolean {
  return error instanceof KubernetesError && (error.reason === 'Invalid' || error.reason === 'BadRequest');
}
