import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { systemClock } from '../../src/lib/clock.ts';
import { relay } from '../../src/openstack/body.ts';
import { BodyFailed } from '../../src/openstack/errors.ts';

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
  await assert.rejects(buffer(relayed.body), BodyFailed);
  assert.deepEqual(relayed.failure(), { error: new BodyFailed(error) });
});

test('an upload waits for its source and for the server in turn, and must not be repeated once its source is read', async () => {
  const events: string[] = [];
  const onWait = (side: string) => void events.push(side);
  const relayed = relay(source(), { ...options, size: 12, onWait, onSending: () => void events.push('sending') });
  for await (const piece of relayed.body) events.push(String(piece));
  assert.deepEqual(events, [
    ...['source', 'sending', 'server', 'data', 'source', 'server', 'more', 'source', 'server', 'last'],
    ...['source', 'server'],
  ]);
});

test('an upload that is not small pauses once after its first bytes, for as long as it goes on, so that the server can reject it', async () => {
  const kib = 1024;
  async function sent(size: number | undefined, bytes: number) {
    const pauses: [ms: number, signal: AbortSignal | undefined][] = [];
    const clock = { ...systemClock, sleep: async (ms: number, signal?: AbortSignal) => void pauses.push([ms, signal]) };
    const whole = Readable.from([Buffer.alloc(bytes)]);
    const pieces: number[] = [];
    for await (const piece of relay(whole, { ...options, size, clock }).body) pieces.push(piece.byteLength / kib);
    return { pieces, pauses };
  }
  const pauses = [[250, options.over]];
  assert.deepEqual(await sent(undefined, 300 * kib), { pieces: [16, 256, 28], pauses });
  assert.deepEqual(await sent(1025 * kib, 1025 * kib), { pieces: [16, 256, 256, 256, 241], pauses });
  assert.deepEqual(await sent(1024 * kib, 1024 * kib), { pieces: [256, 256, 256, 256], pauses: [] });
});

test('the end of an upload that waits for its source is no error of the source', async () => {
  const over = new AbortController();
  const pending = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) };
  const relayed = relay(pending, { ...options, over: over.signal });
  const end = new Error('the upload is over');
  const read = assert.rejects(buffer(relayed.body), /the upload is over/);
  over.abort(end);
  await read;
  assert.equal(relayed.failure(), undefined);
});

test('a source whose end fails does not fail the upload, nor the process', async () => {
  const piece = { done: false, value: Buffer.from('data') };
  const end = async () => {
    throw new Error('it cannot be ended');
  };
  const endless = { [Symbol.asyncIterator]: () => ({ next: async () => piece, return: end }) };
  for await (const _ of relay(endless, { ...options, size: undefined }).body) break;
  // An unhandled rejection fails the test.
  await nextTurn();
});
