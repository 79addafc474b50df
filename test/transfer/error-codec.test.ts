import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { errorCodes } from '../../src/lib/error-codes.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { decodeError, encodeError } from '../../src/transfer/error-codec.ts';

const options = fc.record(
  { code: fc.constantFrom(...errorCodes), httpStatus: fc.nat(), requestId: fc.string(), retryAfterMs: fc.nat() },
  { requiredKeys: ['code'], noNullPrototype: true },
);

test('an OperatorError keeps all fields of a status when it is encoded as JSON', () => {
  fc.assert(
    fc.property(fc.string(), options, fc.string(), (message, given, why) => {
      const cause = Object.assign(new Error(why), { code: 'ECONNRESET' });
      const error = new OperatorError(message, { ...given, cause });
      const back = decodeError(JSON.parse(JSON.stringify(encodeError(error))));
      assert(back instanceof OperatorError);
      for (const key of ['message', 'code', 'retry', 'httpStatus', 'requestId', 'retryAfterMs'] as const)
        assert.deepEqual(back[key], error[key]);
      assert(back.cause instanceof Error && 'code' in back.cause);
      assert.deepEqual([back.cause.message, back.cause.code], [why, 'ECONNRESET']);
    }),
    { seed: 6 },
  );
});

test('an unexpected error keeps its name and its stack', () => {
  const back = decodeError(encodeError(new RangeError('too deep')));
  assert.equal(back.name, 'RangeError');
  assert.match(back.stack ?? '', /error-codec\.test/);
  assert.equal(decodeError(encodeError('a word')).message, 'a word');
});

test('a circular chain of causes is truncated', () => {
  const error = new Error('a');
  error.cause = error;
  assert(JSON.stringify(encodeError(error)).length < 10_000);
});
