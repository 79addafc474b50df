import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import { relay } from '../../src/openstack/body.ts';

const options = {
  size: 8,
  onWait: () => {},
  onSending: () => {},
  mayWrite: () => {},
  over: new AbortController().signal,
  clock: systemClock,
};

async function* source(end: () => void = () => {}) {
  try {
    yield Buffer.from('data');
    yield Buffer.from('more');
    yield Buffer.from('last');
  } finally {
    end();
  }
}

test('the error of a broken connection, with which the client ends the body of an upload, is not one of the source', async () => {
  let isClosed = false;
  const relayed = relay(
    source(() => (isClosed = true)),
    options,
  );
  const body = relayed.body[Symbol.asyncIterator]();
  assert.equal((await body.next()).done, false);
  await assert.rejects(async () => body.throw?.(new Error('write ECONNRESET')), /ECONNRESET/);
  assert.deepEqual([relayed.failure(), relayed.isComplete(), isClosed], [undefined, false, true]);
});

test('the errors of the source, and of the right to write, are the cause of a failed upload', async () => {
  const lost = new Error('the lease is lost');
  const mayWrite = () => {
    throw lost;
  };
  const fenced = relay(source(), { ...options, mayWrite });
  await assert.rejects(buffer(fenced.body), lost);
  assert.deepEqual(fenced.failure(), { error: lost });
  const short = relay(source(), { ...options, size: 100 });
  await assert.rejects(buffer(short.body), /ended after 12 of the 100 bytes/);
  assert.match(String(short.failure()?.error), /ended after 12/);
});

test('a source that cannot be opened is the cause of the failed upload, whichever way it fails', async () => {
  const error = new Error('it cannot be opened');
  const failing = {
    [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
      throw error;
    },
  };
  const relayed = relay(failing, options);
  await assert.rejects(buffer(relayed.body), error);
  assert.deepEqual(relayed.failure(), { error });
});
