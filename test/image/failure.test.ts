import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { findCondition } from '../../src/api/conditions.ts';
import { isReason, type Reason, reasons } from '../../src/api/reasons.ts';
import type { GlanceImageStatus } from '../../src/api/status.ts';
import { failureReasons, reasonOf, verdictsOnFailure } from '../../src/image/status/failure.ts';
import { summarise } from '../../src/image/status/status.ts';
import { type ErrorCode, errorCodes, retries } from '../../src/lib/error-codes.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { moment, reportOf } from './states.ts';

const fresh: GlanceImageStatus = { observedGeneration: -1 };

/** The status after `count` failures with this code. */
function after(count: number, code: ErrorCode, message = 'it failed', previous = fresh): GlanceImageStatus {
  const error = new OperatorError(message, { code, httpStatus: 401 });
  let status = previous;
  for (let each = 0; each < count; each++)
    status = summarise(reportOf(undefined, { kind: 'failed', error }), status, moment);
  return status;
}

const messageOf = (status: GlanceImageStatus) => findCondition(status.conditions, 'Ready')?.message ?? '';

describe('the reason of a failure', () => {
  test('every code has a policy, and a reason with a remedy and a command', () => {
    for (const code of errorCodes) {
      const reason = reasonOf({ code });
      assert.ok(retries[code].kind, code);
      assert.ok(isReason(reason), code);
      assert.ok((reasons[reason].remedy ?? '').length > 10, `${code}: ${reason} has no remedy`);
      assert.ok(reasons[reason].command, `${code}: ${reason} has no command`);
      assert.ok(reasons[reason].shownBy.includes('Ready'), `${code}: ${reason} is not shown by Ready`);
      if (isReason(code)) assert.equal(reason, code);
    }
  });

  test('different causes of one reason have codes of their own, and their own times', () => {
    const finer: [code: ErrorCode, reason: Reason][] = [
      ['TokenRejected', 'AuthenticationFailed'],
      ['UploadMismatch', 'ContentMismatch'],
      ['SplicedDigestMismatch', 'DigestMismatch'],
      ['PageReceived', 'FormatMismatch'],
      ['CompressionCutOff', 'CompressionInvalid'],
      ['SourceNotReady', 'SourceUnavailable'],
      ['KubernetesRejected', 'KubernetesFailed'],
    ];
    for (const [code, reason] of finer) {
      assert.equal(reasonOf({ code }), reason);
      assert.notDeepEqual(retries[code], retries[errorCodes.find((each) => each === reason) ?? code], code);
    }
    assert.ok(failureReasons.includes('InternalError') && !failureReasons.some((reason) => reason === 'Ready'));
  });
});

describe('the status of a failure', () => {
  test('a 401 of Keystone is retried for a while before the resource is Stalled', () => {
    for (let attempts = 1; attempts <= 12; attempts++) {
      const status = after(attempts, 'AuthenticationFailed');
      const isStalled = findCondition(status.conditions, 'Stalled') !== undefined;
      assert.equal(isStalled, attempts > 8, `${attempts}`);
      assert.equal(status.lastError?.retryable, !isStalled);
      assert.match(messageOf(status), isStalled ? /it needs a change/ : /the operator retries at/);
    }
    const stalled = after(9, 'AuthenticationFailed');
    assert.equal(stalled.nextAttemptTime, '2026-01-02T00:10:00Z');
  });

  test('a failure of the source or of Glance begins its own count after a long time without a cloud', () => {
    for (const code of ['SecretNotFound', 'CloudNotFound', 'AuthenticationFailed', 'IdentityUnavailable'] as const) {
      const first = after(1, 'SourceUnavailable', 'it failed', after(20, code));
      assert.equal(first.lastError?.attempts, 1, code);
      assert.equal(first.nextAttemptTime, after(1, 'SourceUnavailable').nextAttemptTime, code);
      assert.equal(after(2, 'GlanceUnavailable', 'it failed', first).lastError?.attempts, 3, code);
    }
  });

  test('a failure that a person has to act on links to the remedy, and no other failure does', () => {
    const link = /; see https:\/\/\S+\/docs\/reference\/reasons\.md#digestmismatch$/;
    assert.match(messageOf(after(1, 'DigestMismatch')), link);
    assert.match(messageOf(after(1, 'SplicedDigestMismatch')), link);
    assert.doesNotMatch(messageOf(after(1, 'GlanceUnavailable')), /reasons\.md/);
  });

  test('the link is whole after the longest message of an error', () => {
    for (const code of errorCodes) {
      const message = messageOf(after(1, code, '🚀'.repeat(5000)));
      assert.ok([...message].length < 4096, `${message.length}`);
      if (reasons[reasonOf({ code })].actor !== 'operator')
        assert.ok(message.endsWith(`#${reasonOf({ code }).toLowerCase()}`), code);
    }
  });
});

describe('Ready after a failure', () => {
  const lastError = { reason: 'x', message: 'no way to the cloud', attempts: 1, retryable: true, at: '' };
  const failure = { lastError, nextAttemptTime: undefined, reaction: { kind: 'backoff' as const } };
  const rows: [code: ErrorCode, status: string][] = [
    ['ProxyRefused', 'Unknown'],
    ['ProxyDenied', 'Unknown'],
    ['EgressRefused', 'Unknown'],
    ['GlanceUnreachable', 'Unknown'],
    ['DigestMismatch', 'False'],
  ];
  for (const [code, status] of rows)
    test(`an image that was Ready is ${status} after the failure ${code}, and one that was not stays False`, () => {
      const error = new OperatorError('no way to the cloud', { code });
      assert.equal(verdictsOnFailure(error, failure, true, undefined).ready.status, status);
      assert.equal(verdictsOnFailure(error, failure, false, undefined).ready.status, 'False');
    });
});
