/** Invariant: the result of a transfer counts only while it is recent, and only for the image in the status. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { imageLeftBy } from '../../src/image/transfer.ts';
import { resultOf } from '../transfer/plans.ts';

const result = { ...resultOf(1024), startedAt: '2026-01-01T00:00:00.000Z', durationMs: 60_000 };
const status = { conditions: [], observedGeneration: 1, imageID: result.image.id };
const at = (seconds: number) => new Date(Date.parse(result.startedAt) + result.durationMs + seconds * 1000);

test('an image is not read again right after its transfer', () => {
  assert.equal(imageLeftBy(result, status, at(1)), result.image);
});

test('an image is read again a minute after its transfer', () => {
  assert.equal(imageLeftBy(result, status, at(60)), undefined);
});

test('the result of a transfer does not count for another image', () => {
  assert.equal(imageLeftBy(result, { ...status, imageID: undefined }, at(1)), undefined);
});
