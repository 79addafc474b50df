/** Invariant: the result of a transfer counts only while it is recent, and only for an image of this resource. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readTransfer } from '../../src/image/transfer.ts';
import { planOf, resultOf } from '../transfer/plans.ts';
import { imageOf, resourceOf } from './resource.ts';
import { knows, memoryOf, withContent } from './states.ts';

const result = { ...resultOf(1024), startedAt: '2026-01-01T00:00:00.000Z', durationMs: 60_000 };
const at = (seconds: number) => new Date(Date.parse(result.startedAt) + result.durationMs + seconds * 1000);
const state = { kind: 'succeeded' as const, plan: planOf({ imageID: result.image.id }), result };
const news = (seconds: number, memory = knows([result.image])) =>
  readTransfer(resourceOf(withContent), state, memory, at(seconds));

test('an image is not read again right after its transfer', () => {
  assert.partialDeepStrictEqual(news(1), { kind: 'verified', image: result.image });
});

test('an image is read again a minute after its transfer', () => {
  assert.partialDeepStrictEqual(news(60), { kind: 'verified', image: undefined });
});

test('the result of a transfer is remembered although the memory has lost the image', () => {
  assert.partialDeepStrictEqual(news(1, memoryOf()), { kind: 'verified', memory: { images: [imageOf().id], next: 1 } });
});

test('the result of a transfer does not count for an image of another resource', () => {
  const other = { ...state, plan: planOf() };
  assert.deepEqual(readTransfer(resourceOf(withContent), other, memoryOf(), at(1)), { kind: 'obsolete' });
});
