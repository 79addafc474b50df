import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verdictsOnFailure } from '../../src/image/failure.ts';
import { OperatorError, retry } from '../../src/lib/errors.ts';

const lastError = { reason: 'x', message: 'no way to the cloud', attempts: 1, retryable: true, at: '' };

for (const [code, status] of [
  ['ProxyRefused', 'Unknown'],
  ['EgressRefused', 'Unknown'],
  ['GlanceUnreachable', 'Unknown'],
  ['DigestMismatch', 'False'],
])
  test(`an image that was Ready is ${status} after the failure ${code}, and one that was not stays False`, () => {
    const error = new OperatorError('no way to the cloud', { code: code ?? '', retry: retry.backoff });
    const failure = { lastError, nextAttemptTime: undefined, retry: retry.backoff };
    assert.equal(verdictsOnFailure(error, failure, true, false).ready.status, status);
    assert.equal(verdictsOnFailure(error, failure, false, false).ready.status, 'False');
  });
