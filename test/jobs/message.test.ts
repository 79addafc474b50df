import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { faultOfResult, maxMessageBytes, type PodOutcome, readMessage, writeMessage } from '../../src/jobs/message.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { encodeError } from '../../src/transfer/error-codec.ts';
import { planOf, resultOf } from '../transfer/plans.ts';

const { image, ...result } = resultOf(7);

test('an outcome that fits into a termination message is read as it was written', () => {
  const outcomes: PodOutcome[] = [
    { kind: 'succeeded', result: { ...result, warnings: ['mind the gap'], member: 'disk.raw', virtualSize: 9 } },
    {
      kind: 'failed',
      error: { kind: 'other', name: 'TypeError', message: 'no', cause: { kind: 'other', name: 'Error', message: 'x' } },
    },
    {
      kind: 'failed',
      error: {
        kind: 'operator',
        message: 'no',
        code: 'QuotaExceeded',
        httpStatus: 413,
        requestId: 'req-1',
        retryAfterMs: 5,
      },
    },
  ];
  for (const outcome of outcomes) assert.deepEqual(readMessage(writeMessage(outcome)), outcome);
});

test('a message has no more bytes than a kubelet keeps', () => {
  assert.equal(maxMessageBytes, 4096);
});

const text = fc.string({ unit: 'binary', maxLength: 5000 });

test('a message of any failure has at most 4096 bytes, and keeps its code, HTTP status and retry', () => {
  fc.assert(
    fc.property(text, text, text, fc.integer({ min: 400, max: 599 }), (message, requestId, inner, httpStatus) => {
      const cause = new Error(inner, { cause: new Error(inner) });
      const failure = new OperatorError(message, {
        code: 'GlanceUnavailable',
        httpStatus,
        requestId,
        cause,
        retryAfterMs: 7,
      });
      const written = writeMessage({ kind: 'failed', error: encodeError(failure) });
      assert(Buffer.byteLength(written) <= maxMessageBytes, `${Buffer.byteLength(written)} bytes`);
      const read = readMessage(written);
      assert(read?.kind === 'failed' && read.error.kind === 'operator');
      const { code, httpStatus: status, retryAfterMs } = read.error;
      assert.deepEqual(
        { code, status, retryAfterMs },
        { code: 'GlanceUnavailable', status: httpStatus, retryAfterMs: 7 },
      );
    }),
  );
});

test('a message of any result has at most 4096 bytes, and keeps its digests and sizes', () => {
  fc.assert(
    fc.property(text, text, fc.array(text, { maxLength: 60 }), (url, member, warnings) => {
      const written = writeMessage({ kind: 'succeeded', result: { ...result, url, member, warnings } });
      assert(Buffer.byteLength(written) <= maxMessageBytes, `${Buffer.byteLength(written)} bytes`);
      const read = readMessage(written);
      assert(read?.kind === 'succeeded');
      const { bytes, digest, imageDigest, startedAt } = read.result;
      assert.deepEqual({ bytes, digest, imageDigest, startedAt }, { ...pick(result) });
    }),
  );
});

const pick = ({ bytes, digest, imageDigest, startedAt }: typeof result) => ({ bytes, digest, imageDigest, startedAt });

test('text that is no complete message of this version is no outcome', () => {
  const message = writeMessage({ kind: 'succeeded', result });
  for (const other of [
    undefined,
    '',
    'Killed',
    message.slice(0, -1),
    message.replace('"version":1', '"version":2'),
    message.replace('"bytes":7', '"bytes":"7"'),
    '[]',
    `{"version":1,"kind":"failed","error":{"kind":"operator","message":"x","code":"NoSuchCode"}}`,
    'x'.repeat(100_000),
  ])
    assert.equal(readMessage(other), undefined, other?.slice(0, 80));
});

test('a message of a pod with a number that a status cannot hold, or with a longer wait than any server may ask for, is no outcome', () => {
  const succeeded = writeMessage({ kind: 'succeeded', result });
  const failure = new OperatorError('no', { code: 'GlanceUnavailable', httpStatus: 503, retryAfterMs: 7 });
  const failed = writeMessage({ kind: 'failed', error: encodeError(failure) });
  const numbers = [
    succeeded.replace('"bytes":7', '"bytes":7.5'),
    succeeded.replace('"bytes":7', '"bytes":1e300'),
    succeeded.replace('"bytes":7', '"virtualSize":1e300,"bytes":7'),
    failed.replace('"httpStatus":503', '"httpStatus":1e15'),
    failed.replace('"retryAfterMs":7', '"retryAfterMs":1e300'),
  ];
  for (const other of numbers) {
    assert(![succeeded, failed].includes(other));
    assert.equal(readMessage(other), undefined, other);
  }
});

test('what a pod reports has no control characters, whatever it wrote', () => {
  const odd = 'x\u001b[2J\u202ey';
  const succeeded = readMessage(writeMessage({ kind: 'succeeded', result: { ...result, url: odd, format: odd } }));
  const failure = new OperatorError('no', { code: 'GlanceUnavailable', requestId: odd });
  const failed = readMessage(writeMessage({ kind: 'failed', error: encodeError(failure) }));
  assert(succeeded?.kind === 'succeeded' && failed?.kind === 'failed' && failed.error.kind === 'operator');
  for (const text of [succeeded.result.url, succeeded.result.format, failed.error.requestId])
    assert.equal(text, 'x [2J y');
});

test('a result fits its image in whatever case Glance writes the digest', () => {
  const { hash } = image;
  assert(hash !== null);
  const plan = planOf();
  for (const value of [hash.value.toLowerCase(), hash.value.toUpperCase()])
    assert.equal(faultOfResult(result, plan, { ...image, hash: { ...hash, value } }), undefined);
});
