/** The pure parts: validators, and the choice of the next address. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { ErrorCode } from '../../src/lib/error-codes.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { createRotation, type Step } from '../../src/source/rotation.ts';
import { compareValidators, ifRangeOf, type Validators, validatorsOf } from '../../src/source/validators.ts';

const origin = 'https://one.example.com';
const from = (headers: Record<string, string>) =>
  validatorsOf(new URL(origin), { header: (name) => headers[name], isPublic: true });
const date = 'Mon, 05 Jan 2026 10:01:00 GMT';

describe('the validator of a response', () => {
  const cases: [words: string, headers: Record<string, string>, validator: string | undefined][] = [
    ['a strong entity tag', { etag: '"abc"' }, '"abc"'],
    [
      'a strong entity tag rather than a date',
      { etag: '"abc"', date, 'last-modified': 'Mon, 05 Jan 2026 10:00:00 GMT' },
      '"abc"',
    ],
    ['not a weak entity tag', { etag: 'W/"abc"' }, undefined],
    ['not an entity tag without quotes', { etag: 'abc' }, undefined],
    [
      'a date a minute before the response',
      { date, 'last-modified': 'Mon, 05 Jan 2026 10:00:00 GMT' },
      'Mon, 05 Jan 2026 10:00:00 GMT',
    ],
    ['not a date a second later', { date, 'last-modified': 'Mon, 05 Jan 2026 10:00:01 GMT' }, undefined],
    ['not a date in the future', { date, 'last-modified': 'Mon, 05 Jan 2027 10:00:00 GMT' }, undefined],
    ['not a date without the date of the response', { 'last-modified': 'Mon, 05 Jan 2026 10:00:00 GMT' }, undefined],
    ['not a date that cannot be read', { date, 'last-modified': 'yesterday' }, undefined],
    ['nothing', {}, undefined],
  ];
  for (const [words, headers, validator] of cases)
    test(`a response has a validator from ${words}`, () => assert.equal(ifRangeOf(from(headers)), validator));

  const [one, two] = ['"one"', '"two"'];
  const [noon, later] = ['Mon, 05 Jan 2026 12:00:00 GMT', 'Mon, 05 Jan 2026 13:00:00 GMT'];
  const validators = (etag?: string, lastModified?: string, at = origin): Validators => ({
    server: at,
    url: `${at}/file`,
    etag,
    lastModified,
  });
  const mirror = 'https://two.example.com';
  const pairs: [words: string, Validators, Validators, 'same' | 'changed' | 'unknown'][] = [
    ['same tags', validators(one), validators(one), 'same'],
    ['same tags, whatever the dates', validators(one, noon), validators(one, later), 'same'],
    ['other tags', validators(one), validators(two), 'changed'],
    ['other tags, whatever the dates', validators(one, noon), validators(two, noon), 'changed'],
    ['same dates', validators(undefined, noon), validators(undefined, noon), 'same'],
    ['other dates', validators(undefined, noon), validators(undefined, later), 'changed'],
    ['nothing in common', validators(one), validators(undefined, noon), 'unknown'],
    ['nothing at all', validators(), validators(), 'unknown'],
    ['same tags on two servers', validators(one), validators(one, undefined, mirror), 'same'],
    ['other tags on two servers', validators(one), validators(two, undefined, mirror), 'unknown'],
    ['other tags but the same dates on two servers', validators(one, noon), validators(two, noon, mirror), 'same'],
    ['other dates on two servers', validators(undefined, noon), validators(undefined, later, mirror), 'unknown'],
  ];
  for (const [words, a, b, result] of pairs)
    test(`validators are compared: ${words} → ${result}`, () => {
      assert.equal(compareValidators(a, b), result);
      assert.equal(compareValidators(b, a), result);
    });
});

const failure = (code: ErrorCode, retryAfterMs?: number) => new OperatorError(code, { code, retryAfterMs });

describe('the turns of several addresses', () => {
  const codes = fc.constantFrom<ErrorCode[]>(
    'SourceUnreachable',
    'SourceStalled',
    'SourceNotFound',
    'SourceChanged',
    'EgressRefused',
  );

  test('rotation ends for every sequence of failures, and never repeats a failed address without progress', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.infiniteStream(codes), (count, failures) => {
        const rotation = createRotation(count, () => 0.5);
        const left = new Set<number>();
        let asked = 1;
        for (const code of failures) {
          const before = rotation.index;
          const step: Step = rotation.failed(failure(code));
          if (step.kind === 'over') break;
          asked++;
          assert.ok(!left.has(step.index));
          assert.equal(rotation.index, step.index);
          if (step.index !== before) left.add(before);
        }
        assert.ok(asked <= 4 * count);
        assert.ok(left.size === count - 1, 'it gave up before it had asked all');
      }),
      { seed: 11 },
    );
  });

  test('pauses between rounds grow, have jitter, and respect Retry-After', () => {
    for (const [random, expected] of [
      [0, [125, 500, 2000]],
      [0.5, [250, 1000, 4000]],
    ] as const) {
      const rotation = createRotation(1, () => random);
      const pauses = expected.map(() => {
        const step = rotation.failed(failure('SourceUnavailable'));
        return step.kind === 'try' ? step.pauseMs : undefined;
      });
      assert.deepEqual(pauses, expected);
    }
    const asking = createRotation(1, () => 0.5).failed(failure('SourceUnavailable', 9000));
    assert.deepEqual(asking, { kind: 'try', index: 0, pauseMs: 9000 });
  });

  test('progress restarts the rotation, except for unusable addresses', () => {
    const rotation = createRotation(3, () => 0.5);
    const fail = (code: ErrorCode) => {
      for (let tries = 0; ; tries++) {
        const before = rotation.index;
        const step = rotation.failed(failure(code));
        if (step.kind === 'over' || step.index !== before) return step.kind === 'over' ? 'over' : step.index;
        assert.ok(tries < 4);
      }
    };
    assert.equal(fail('SourceNotFound'), 1);
    assert.equal(fail('SourceUnreachable'), 2);
    rotation.progressed();
    assert.equal(fail('SourceUnreachable'), 1);
    assert.equal(fail('SourceUnreachable'), 'over');
  });

  test('an error lists the failures of other addresses up to a limit', () => {
    const rotation = createRotation(8, () => 0.5);
    let step: Step = { kind: 'try', index: 0, pauseMs: 0 };
    for (let tries = 0; tries < 8; tries++) step = rotation.failed(failure('SourceNotFound'));
    assert.ok(step.kind === 'over');
    assert.match(step.error.message, /^SourceNotFound\. The other.*: (?:SourceNotFound; ){3}and 4 more$/);
  });
});
