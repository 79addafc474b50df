/** Law: the word of a transfer about its image is taken only while it is news, and only for the image that the status names. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { imageLeftBy } from '../../src/image/transfer.ts';
import { resultOf } from '../transfer/plans.ts';

const result = { ...resultOf(1024), startedAt: '2026-01-01T00:00:00.000Z', durationMs: 60_000 };
const status = { conditions: [], observedGeneration: 1, imageID: result.image.id };
const at = (seconds: number) => new Date(Date.parse(result.startedAt) + result.durationMs + seconds * 1000);

test('right after a transfer its image need not be looked at again', () => {
  assert.equal(imageLeftBy(result, status, at(1)), result.image);
});

test('what a transfer saw a minute ago has to be looked at again', () => {
  assert.equal(imageLeftBy(result, status, at(60)), undefined);
});

test('what a transfer saw of another image says nothing', () => {
  assert.equal(imageLeftBy(result, { ...status, imageID: undefined }, at(1)), undefined);
});
