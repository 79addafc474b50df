/** The newer file of a publisher whose image is being made: what it goes on after, and what ends it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asOperation, withCandidate } from '../../src/image/model/memory.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import type { Reading } from '../../src/source/resolve/publishers.ts';
import { key } from './contexts.ts';
import {
  daily,
  failing,
  followingOf,
  http,
  list,
  one,
  pending,
  pinned,
  resolved,
  statusWith,
  summaryOf,
  two,
} from './pinning.ts';
import { imageOf } from './resource.ts';
import { promotes } from './states.ts';

const both = statusWith(one);

test('a list that fails, is read again or gets older does not cancel a newer file whose image is being made', () => {
  const status = { ...both, source: { ...both.source, version: '1.0' } };
  const { following } = followingOf(undefined);
  const after = (reading: Reading) => {
    const publishers = followingOf(reading).following.publishers;
    return summaryOf(pinned({ http, update: daily }, reading, status, { ...following, publishers }));
  };
  assert.equal(after(failing), 'pinned one DigestNotFound');
  assert.equal(after(resolved(two, { version: '1.1' })), 'candidate two');
  for (const reading of [failing, pending, resolved(one, { version: '1.0' }), resolved(one, { version: '0.9' })])
    assert.equal(after(reading), 'candidate two');
  following.candidates.reject(key, two, new OperatorError('no', { code: 'FormatMismatch' }));
  assert.equal(after(failing), 'pinned one DigestNotFound');
  assert.equal(after(resolved(two, { version: '1.1' })), 'pinned one FormatMismatch');
  following.candidates.forget(key);
  assert.equal(after(resolved(two, { version: '1.1' })), 'candidate two');
  following.candidates.forget(key);
  assert.equal(after(pending), 'pinned one');
});

test('a newer file whose image is being made is not that of another declaration', () => {
  const { following } = followingOf(resolved(two));
  const at = (checksums: string) => ({
    http: { ...http, digestFrom: { checksums: { url: checksums } } },
    update: daily,
  });
  const make = pinned(at(list), undefined, statusWith(one), following);
  assert.equal(make.kind, 'candidate');
  const edited = pinned(at(`${list}.2`), resolved(one));
  const source = edited.kind === 'pinned' ? edited.source : assert.fail();
  const publishers = followingOf(pending).following.publishers;
  assert.equal(
    summaryOf(pinned(at(`${list}.2`), pending, { ...both, source }, { ...following, publishers })),
    'pinned one',
  );
});

test('a newer file in the memory goes on after a restart, and not once it has failed', () => {
  const found = pinned({ http, update: daily }, resolved(two), both);
  const candidate = found.kind === 'candidate' ? found.source : assert.fail();
  const status = { ...both, operation: asOperation(withCandidate(promotes(imageOf()), candidate)) };
  const { following } = followingOf(pending);
  assert.equal(summaryOf(pinned({ http, update: daily }, pending, status, following)), 'candidate two');
  following.candidates.reject(key, two, new OperatorError('no', { code: 'FormatMismatch' }));
  assert.equal(summaryOf(pinned({ http, update: daily }, pending, status, following)), 'pinned one');
});

test('a candidate that failed is left alone for its time, and another one is tried at once', async () => {
  const status = statusWith(one);
  const { following, clock } = followingOf(resolved(two));
  following.candidates.reject(key, two, new OperatorError('full', { code: 'QuotaExceeded' }));
  const content = { http, update: daily };
  assert.equal(summaryOf(pinned(content, resolved(two), status, following)), 'pinned one QuotaExceeded');
  const three = { ...following, publishers: followingOf(resolved(`sha256:${'3'.repeat(64)}`)).following.publishers };
  assert.equal(pinned(content, undefined, status, three).kind, 'candidate');
  await clock.advance(10 * 60_000);
  assert.equal(pinned(content, undefined, status, following).kind, 'candidate');
});
