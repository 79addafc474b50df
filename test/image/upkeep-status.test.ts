/** The part of a status about the image to use while that of a publisher's newer file is made. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type UpkeepScene, whileNewerIsMade } from '../../src/image/status/upkeep.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { imageOf } from './resource.ts';
import { before } from './states.ts';

describe('the image to use in a status while another one is made', () => {
  const ready = {
    type: 'Ready',
    status: 'True' as const,
    reason: 'Ready',
    message: 'as it was',
    observedGeneration: 1,
  };
  const wasReady = { ...ready, lastTransitionTime: before(1) };
  const error = new OperatorError('no', { code: 'Forbidden' });
  const lastError = { reason: 'Forbidden', message: 'no', retryable: false, attempts: 1, at: before(1) };
  const main: UpkeepScene['main'] = {
    ready: { status: 'False', reason: 'Transferring', message: 'on its way' },
    activity: { kind: 'reconciling', reason: 'Progressing', message: 'on its way' },
  };
  const scene: UpkeepScene = {
    upkeep: undefined,
    main,
    failure: undefined,
    converged: { status: 'True', reason: 'Ready', message: 'as it is' },
    imageID: imageOf().id,
    previous: { observedGeneration: 1, conditions: [wasReady], lastError },
    generation: 1,
    wasReady: true,
  };
  const refused = { ...wasReady, status: 'False' as const, reason: 'Forbidden', message: 'no. Attempt 1 failed' };
  const stalled: UpkeepScene['failure'] = {
    lastError,
    nextAttemptTime: '2026-01-02T01:00:00Z',
    reaction: { kind: 'change', lookAgainMs: 3_600_000 },
  };
  const rows: readonly { what: string; fields: Partial<UpkeepScene>; ready: string; activity: string }[] = [
    { what: 'that was not looked at stays as it was', fields: {}, ready: 'True as it was', activity: 'none' },
    {
      what: 'that was not looked at since an edit is not called ready',
      fields: { generation: 2 },
      ready: 'False on its way',
      activity: 'reconciling',
    },
    {
      what: 'that could not be compared stays as it was',
      fields: { upkeep: { kind: 'notCompared' } },
      ready: 'True as it was',
      activity: 'none',
    },
    {
      what: 'that is as declared is ready, also after an edit',
      fields: { upkeep: { kind: 'asDeclared' }, generation: 2 },
      ready: 'True as it is',
      activity: 'none',
    },
    {
      what: 'that is as declared is not ready once it is not the one to use any more',
      fields: { upkeep: { kind: 'asDeclared' }, imageID: undefined },
      ready: 'False on its way',
      activity: 'reconciling',
    },
    {
      what: 'that differs is not ready',
      fields: { upkeep: { kind: 'differs' } },
      ready: 'False on its way',
      activity: 'reconciling',
    },
    {
      what: 'that cannot be changed has the cause and the next attempt',
      fields: { upkeep: { kind: 'failed', error }, failure: stalled },
      ready: 'False no. Attempt 1 failed',
      activity: 'stalled',
    },
    {
      what: 'that waits for its next attempt keeps the cause',
      fields: { upkeep: { kind: 'stillFailing' }, previous: { conditions: [refused], lastError } },
      ready: 'False no. Attempt 1 failed',
      activity: 'stalled',
    },
    {
      what: 'that is tried again by itself is reconciling',
      fields: {
        upkeep: { kind: 'stillFailing' },
        previous: { conditions: [refused], lastError: { ...lastError, retryable: true } },
      },
      ready: 'False no. Attempt 1 failed',
      activity: 'reconciling',
    },
  ];
  for (const { what, fields, ready: expected, activity } of rows) {
    test(`in a status, an image to use ${what} while another one is made`, () => {
      const shown = whileNewerIsMade({ ...scene, ...fields });
      assert.ok(`${shown.ready.status} ${shown.ready.message}`.startsWith(expected), shown.ready.message);
      assert.equal(shown.activity.kind, activity);
    });
  }
});
