import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { retryAfterMs } from '../../src/http/retry-after.ts';
import { errorFromResponse } from '../../src/kubernetes/errors.ts';
import { failureOf } from '../../src/openstack/response.ts';
import { statusError } from '../../src/source/errors.ts';
import { createVirtualClock } from '../clock.ts';

const hour = 3_600_000;

test('Retry-After is parsed as seconds or a date, and anything else is ignored', () => {
  const now = new Date('2026-01-01T00:00:00Z');
  for (const [header, expected] of [
    ['5', 5000],
    [' 0 ', 0],
    ['Thu, 01 Jan 2026 00:00:10 GMT', 10_000],
    ['Wed, 31 Dec 2025 00:00:10 GMT', 0],
    ['soon', undefined],
    ['-1', undefined],
    ['1.5', undefined],
    ['', undefined],
    [undefined, undefined],
  ] as const) {
    assert.equal(retryAfterMs(header, now), expected, header);
  }
  assert.equal(retryAfterMs('Thu, 01 Jan 2026 00:00:10 GMT'), undefined, 'a date without the time of day');
});

/** Each reads Retry-After from a response with status 503. */
const clients: Readonly<Record<string, (header: string) => number | undefined>> = {
  'a cloud': (header) => {
    const headers = { 'retry-after': header };
    const response = { status: 503, headers, text: '', requestId: undefined, url: 'http://glance' };
    return failureOf('GET', 'http://glance/v2', response, { clock: createVirtualClock() }).retryAfterMs;
  },
  'a source': (header) => {
    const response = { status: 503, header: () => header, forwarder: undefined };
    return statusError(new URL('https://example.com/image.raw'), response, false).retryAfterMs;
  },
  'the API server': (header) =>
    errorFromResponse({ call: 'GET /', httpStatus: 503, retryAfter: header, body: '' }).retryAfterMs,
  'the body of the API server': (header) => {
    const body = { kind: 'Status', code: 503, details: { retryAfterSeconds: Number(header) } };
    return errorFromResponse({ call: 'GET /', httpStatus: 503, body }).retryAfterMs;
  },
};

for (const [name, read] of Object.entries(clients)) {
  test(`Retry-After of ${name} is read, and no longer than an hour`, () => {
    assert.equal(read('120'), 120_000);
    for (const seconds of ['3600', '86400', '999999999', '9'.repeat(15)]) assert.equal(read(seconds), hour, seconds);
    const header = fc.oneof(
      fc.string(),
      fc.nat().map(String),
      fc.constantFrom('Fri, 31 Dec 9999 23:59:59 GMT', '9'.repeat(400), '-1', '1e9'),
    );
    fc.assert(
      fc.property(header, (text) => {
        const ms = read(text);
        assert.ok(ms === undefined || (ms >= 0 && ms <= hour), `${text}: ${ms}`);
      }),
    );
  });
}
