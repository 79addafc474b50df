import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Conflict,
  FormatMismatch,
  GlanceConnectionFailed,
  GlanceUnavailable,
  ImageGone,
  ImageLimitExceeded,
  ImageNotAuthorized,
  ImageNotFound,
  InvalidRequest,
  NotAuthorized,
  NotFound,
  type Operation,
  StoreReadOnly,
  translate,
} from '../../src/glance/errors.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import {
  AuthenticationFailed,
  ConnectionFailed,
  HttpFailure,
  MalformedResponse,
  RejectedByService,
} from '../../src/openstack/errors.ts';

const answer = (status: number, serverMessage = 'their message', retryAfterMs?: number) =>
  new HttpFailure({ method: 'PUT', url: 'http://g/v2', status, serverMessage, requestId: 'req-1', retryAfterMs });
const minutes = (n: number) => ({ kind: 'after', ms: n * 60_000 });
const backoff = { kind: 'backoff' };
const change = { kind: 'change', lookAgainMs: 3_600_000 };

type Kind = new (...args: never[]) => OperatorError;
const cases: [failure: HttpFailure, operation: Operation, kind: Kind, code: string, retry: unknown][] = [
  [answer(400), 'create', InvalidRequest, 'InvalidRequest', change],
  [answer(401), 'upload', ImageNotAuthorized, 'TokenRejected', backoff],
  [answer(403), 'update', ImageNotAuthorized, 'Forbidden', { kind: 'change', lookAgainMs: 600_000 }],
  [answer(404), 'read', ImageNotFound, 'NotFound', backoff],
  [answer(409), 'delete', Conflict, 'Conflict', backoff],
  [answer(410), 'upload', ImageGone, 'ImageGone', backoff],
  [
    answer(410, 'Error in store configuration. Adding images to store is disabled.'),
    'upload',
    StoreReadOnly,
    'StoreReadOnly',
    { kind: 'change', lookAgainMs: 600_000 },
  ],
  [answer(413), 'upload', ImageLimitExceeded, 'QuotaExceeded', minutes(5)],
  [answer(413, '', 3_600_000), 'upload', ImageLimitExceeded, 'QuotaExceeded', minutes(60)],
  [answer(415), 'upload', FormatMismatch, 'FormatMismatch', change],
  [answer(415), 'update', InvalidRequest, 'InvalidRequest', change],
  [answer(405), 'read', InvalidRequest, 'InvalidRequest', change],
  [answer(429, '', 7000), 'read', GlanceUnavailable, 'GlanceUnavailable', { kind: 'backoff', leastMs: 7000 }],
  [answer(300), 'read', GlanceUnavailable, 'GlanceUnavailable', backoff],
  [answer(500), 'upload', GlanceUnavailable, 'GlanceUnavailable', backoff],
  [answer(503, '', 9000), 'read', GlanceConnectionFailed, 'GlanceUnavailable', { kind: 'backoff', leastMs: 9000 }],
];

for (const [failure, operation, kind, code, retry] of cases) {
  test(`${failure.status} to ${operation}${failure.retryAfterMs === undefined ? '' : ' with Retry-After'} is ${kind.name}: ${failure.serverMessage}`, () => {
    const error = translate(failure, operation, 'an-image');
    assert.ok(error instanceof kind);
    assert.deepEqual({ code: error.code, retry: error.retry }, { code, retry });
    assert.equal(error.httpStatus, failure.status);
    assert.equal(error.requestId, 'req-1');
    assert.equal(error.cause, failure);
    assert.equal(error.name, kind.name);
  });
}

test('where no image is named, 403 and 404 are about no image', () => {
  const [denied, missing] = [translate(answer(403), 'list'), translate(answer(404), 'create')];
  assert.ok(denied instanceof NotAuthorized && !(denied instanceof ImageNotAuthorized));
  assert.ok(missing instanceof NotFound && !(missing instanceof ImageNotFound));
});

test('a page of a proxy about the size or form of an upload is no quota, and says what its administrator can do', () => {
  const page = (status: number, isPage: boolean, requestId?: string) =>
    new HttpFailure({
      ...{ method: 'PUT', url: 'http://g/v2', status, serverMessage: `${status} nginx`, retryAfterMs: undefined },
      isPage,
      requestId,
    });
  const tooLarge = translate(page(413, true), 'upload');
  assert.ok(tooLarge instanceof OperatorError);
  assert.equal(tooLarge.code, 'ProxyRefused');
  assert.match(
    tooLarge.message,
    /^a proxy in front of Glance returned 413 for the upload: 413 nginx; .*client_max_body_size/,
  );
  const chunks = translate(page(411, true), 'upload');
  assert.ok(chunks instanceof OperatorError);
  assert.equal(chunks.code, 'ProxyRefused');
  assert.match(chunks.message, /returned 411 .*compressed file: .*publish the file uncompressed/);
  assert.deepEqual(chunks.retry, { kind: 'change', lookAgainMs: 600_000 });
  for (const own of [page(413, true, 'req-1'), page(413, false)])
    assert.ok(translate(own, 'upload') instanceof ImageLimitExceeded);
});

test('the message says what was done, and quotes Glance', () => {
  const message = (error: unknown) => (error instanceof Error ? error.message : '');
  assert.equal(
    message(translate(answer(413, "the project's image_size_total is used up"), 'upload')),
    "Glance returned 413 for the upload: the project's image_size_total is used up (req-1)",
  );
  assert.equal(
    message(translate(answer(500, ''), 'create')),
    'Glance returned 500 for the creation of the image (req-1)',
  );
});

test('credentials rejected by Glance are a permission error, and those rejected by Keystone are an error of Keystone', () => {
  for (const code of ['CredentialsInvalid', 'TokenRejected'] as const) {
    const refused = translate(new RejectedByService('the image service rejects it', answer(401), code), 'read', 'x');
    assert.ok(refused instanceof ImageNotAuthorized);
    assert.deepEqual([refused.code, refused.httpStatus, refused.requestId], [code, 401, 'req-1']);
  }
  const aboutList = translate(new RejectedByService('no', answer(401)), 'list');
  assert.ok(aboutList instanceof NotAuthorized && !(aboutList instanceof ImageNotAuthorized));
  const failed = new AuthenticationFailed('Keystone rejected the credentials', answer(401));
  assert.equal(translate(failed, 'read', 'x'), failed);
});

test('503 to the last try names the endpoint too', () => {
  const error = translate(answer(503, 'busy'), 'read', 'x');
  assert.ok(error instanceof GlanceConnectionFailed);
  assert.equal(error.message, 'Glance at http://g returned 503 for the request for the image: busy (req-1)');
});

test('the error for a missing response names the endpoint and the cause', () => {
  const error = translate(new ConnectionFailed('https://glance:9292', new Error('read ECONNRESET')), 'upload', 'x');
  assert.ok(error instanceof GlanceConnectionFailed);
  assert.equal(error.code, 'GlanceUnreachable');
  assert.equal(error.message, 'Glance at https://glance:9292 did not respond to the upload: read ECONNRESET');
});

test('a malformed response is a fault of Glance', () => {
  const error = translate(new MalformedResponse('its response is not JSON: Welcome', 'req-2'), 'list');
  assert.ok(error instanceof GlanceUnavailable);
  assert.match(error.message, /malformed: its response is not JSON: Welcome/);
  assert.equal(error.requestId, 'req-2');
});

test('errors that are not from Glance are returned unchanged', () => {
  const bug = new TypeError('a bug');
  const other = new OperatorError('x', { code: 'EgressRefused' });
  assert.equal(translate(bug, 'read'), bug);
  assert.equal(translate(other, 'read'), other);
});
