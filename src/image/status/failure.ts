/**
 * The conditions of a failure. Invariant: the message has the cause in the message of the server, the number of attempts, and what
 * happens next.
 */
import type { Verdicts } from '../../api/conditions.ts';
import type { CompleteSpec } from '../../api/defaults.ts';
import { abandonAnnotation } from '../../api/group.ts';
import { isReason, type Reason, reasons } from '../../api/reasons.ts';
import type { LastError } from '../../api/status.ts';
import { DeadlineExceeded } from '../../lib/abort.ts';
import { type ErrorCode, errorCodes, type Reaction } from '../../lib/error-codes.ts';
import { OperatorError } from '../../lib/errors.ts';
import { documentation } from '../../lib/version.ts';

export interface Failure {
  lastError: LastError;
  nextAttemptTime: string | undefined;
  reaction: Reaction;
}

/** The causes that say nothing about the image itself: whether it is still as declared is simply not known meanwhile. */
const outages: ReadonlySet<Reason> = new Set([
  'IdentityUnavailable',
  'GlanceUnreachable',
  'GlanceUnavailable',
  'AuthenticationFailed',
  'SecretNotFound',
  'SecretInvalid',
  'CloudNotFound',
  'ServiceAccountNotFound',
  'ServiceAccountRefused',
  'ServiceAccountForbidden',
  'EndpointNotFound',
  'EgressRefused',
  'ProxyRefused',
  'TimedOut',
  'KubernetesFailed',
  'InternalError',
]);

/** The reasons of the codes that are no reasons themselves. */
const reasonsOfCodes: Readonly<Record<Exclude<ErrorCode, Reason>, Reason>> = {
  CredentialsInvalid: 'AuthenticationFailed',
  TokenRejected: 'AuthenticationFailed',
  ImageIDsUsed: 'Conflict',
  ImageNotKnownYet: 'GlanceUnavailable',
  ProxyDenied: 'ProxyRefused',
  UploadMismatch: 'ContentMismatch',
  SplicedDigestMismatch: 'DigestMismatch',
  PageReceived: 'FormatMismatch',
  CompressionCutOff: 'CompressionInvalid',
  ArchiveCutOff: 'ArchiveInvalid',
  SourceDeactivated: 'SourceForbidden',
  SourceNotReady: 'SourceUnavailable',
  SourceURLInvalid: 'SourceInvalid',
  KubernetesRejected: 'KubernetesFailed',
  // A call that should have translated the error did not.
  ConnectionFailed: 'InternalError',
  HttpFailure: 'InternalError',
  MalformedResponse: 'InternalError',
  // They end the process, or are only in the library.
  SessionClosed: 'InternalError',
  LeadershipLost: 'InternalError',
  ComponentFailed: 'InternalError',
  ImageSignatureInvalid: 'InternalError',
  CertificateUnavailable: 'InternalError',
  KeyManagerUnavailable: 'InternalError',
};

/** Every reason that a failure can have. */
export const failureReasons: readonly Reason[] = [...new Set(errorCodes.map((code) => reasonOf({ code })))];

export function reasonOf({ code }: { code: ErrorCode }): Reason {
  return isReason(code) ? code : reasonsOfCodes[code];
}

/** Any error as a classified failure. An error of another class is a fault of the operator, and is retried. */
export function asFailure(error: unknown): OperatorError {
  if (error instanceof OperatorError) return error;
  if (error instanceof DeadlineExceeded) {
    return new OperatorError(`${error.message} and was cancelled: a server accepts requests but responds too slowly`, {
      code: 'TimedOut',
      cause: error,
    });
  }
  const words = error instanceof Error ? error.message : String(error);
  return new OperatorError(`unexpected error in the operator: ${words}`, {
    code: 'InternalError',
    cause: error,
  });
}

export function verdictsOnFailure(
  error: OperatorError,
  failure: Failure,
  wasReady: boolean,
  deletion: CompleteSpec['deletionPolicy'] | undefined,
): Pick<Verdicts, 'ready' | 'activity'> {
  const reason = reasonOf(error);
  const { message: cause } = failure.lastError;
  const what = deletion === undefined ? '' : isNotDone[deletion];
  const wayOut = deletion === 'Delete' ? `. ${release}` : '';
  const message = `${what}${cause}. ${whatNext(failure)}${wayOut}${whereToRead(reason)}`;
  const ready = {
    status: wasReady && outages.has(reason) ? ('Unknown' as const) : ('False' as const),
    reason,
    message,
  };
  if (failure.reaction.kind === 'change') return { ready, activity: { kind: 'stalled', reason, message } };
  return { ready, activity: { kind: 'reconciling', reason: 'ProgressingWithRetry', message } };
}

const isNotDone: Readonly<Record<CompleteSpec['deletionPolicy'], string>> = {
  Delete: 'cannot delete the image: ',
  Retain: 'cannot complete the deletion yet: ',
};
const release = `To release the resource and leave its image in Glance, set its annotation ${abandonAnnotation} to "true"`;

function whatNext({ lastError, nextAttemptTime, reaction }: Failure): string {
  const attempt = `Attempt ${lastError.attempts} failed`;
  const at = nextAttemptTime === undefined ? 'as soon as possible' : `at ${nextAttemptTime.slice(11)}`;
  if (reaction.kind === 'change')
    return `${attempt}; it needs a change of the resource or its Secret, and the operator checks again ${at}`;
  return `${attempt}; the operator retries ${at}`;
}

/** The section of the documentation with the remedy, unless there is nothing to do but wait. */
function whereToRead(reason: Reason): string {
  if (reasons[reason].actor === 'operator') return '';
  return `; see ${documentation}/reference/reasons.md#${reason.toLowerCase()}`;
}
