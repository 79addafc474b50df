/**
 * What a failure says to people. Law: it names its cause in the words of the server that said it, how often it was tried,
 * and what happens next.
 */
import type { Verdicts } from '../api/conditions.ts';
import { abandonAnnotation } from '../api/group.ts';
import { isReason, type Reason } from '../api/reasons.ts';
import type { LastError } from '../api/status.ts';
import { KubernetesError } from '../kubernetes/errors.ts';
import { DeadlineExceeded } from '../lib/abort.ts';
import { OperatorError, type Retry, retry } from '../lib/errors.ts';

export interface Failure {
  lastError: LastError;
  nextAttemptTime: string | undefined;
  retry: Retry;
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
  'EndpointNotFound',
  'EgressRefused',
  'ProxyRefused',
  'TimedOut',
  'KubernetesFailed',
  'InternalError',
]);

export function reasonOf(error: OperatorError): Reason {
  if (error instanceof KubernetesError) return 'KubernetesFailed';
  return isReason(error.code) ? error.code : 'InternalError';
}

/** Any throw as a classified failure: what is not one of ours is a fault of the operator, and tried again. */
export function asFailure(error: unknown): OperatorError {
  if (error instanceof OperatorError) return error;
  if (error instanceof DeadlineExceeded) {
    return new OperatorError(`${error.message} and was cancelled: a server accepts requests but responds too slowly`, {
      code: 'TimedOut',
      retry: retry.backoff,
      cause: error,
    });
  }
  const words = error instanceof Error ? error.message : String(error);
  return new OperatorError(`unexpected error in the operator: ${words}`, {
    code: 'InternalError',
    retry: retry.backoff,
    cause: error,
  });
}

export function verdictsOnFailure(
  error: OperatorError,
  failure: Failure,
  wasReady: boolean,
  deleting: boolean,
): Omit<Verdicts, 'warning'> {
  const reason = reasonOf(error);
  const { message: cause } = failure.lastError;
  const message = deleting
    ? `cannot delete the image: ${cause}. ${whatNext(failure)}. ${wayOut}`
    : `${cause}. ${whatNext(failure)}`;
  const ready = {
    status: wasReady && outages.has(reason) ? ('Unknown' as const) : ('False' as const),
    reason,
    message,
  };
  if (error.retry.kind === 'change') return { ready, beside: { kind: 'stalled', reason, message } };
  return { ready, beside: { kind: 'reconciling', reason: 'ProgressingWithRetry', message } };
}

const wayOut = `To release the resource and leave its image in Glance, set its annotation ${abandonAnnotation} to "true"`;

function whatNext({ lastError, nextAttemptTime, retry: kind }: Failure): string {
  const attempt = `Attempt ${lastError.attempts} failed`;
  const at = nextAttemptTime === undefined ? 'as soon as possible' : `at ${nextAttemptTime.slice(11)}`;
  if (kind.kind === 'change')
    return `${attempt}; it needs a change of the resource or its Secret, and the operator checks again ${at}`;
  return `${attempt}; the operator retries ${at}`;
}
