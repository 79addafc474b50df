/** Data that cannot be read: it is rejected before anything is sent, or the image that was created for it is removed. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { createReadStream } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Conflict, ImageGone, ImageNotFound, InvalidRequest } from '../../src/glance/errors.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { type ImageContent, uploadDataOf } from '../../src/library/content.ts';
import { startSending } from '../../src/library/withdraw.ts';
import { ConnectionFailed } from '../../src/openstack/errors.ts';
import { imageId } from '../glance/model.ts';
import { openStub } from './stub-glance.ts';
import { untyped } from './untyped.ts';

const bytes = Buffer.from('bytes');
const image = { disk_format: 'raw', container_format: 'bare' };

/** The server takes any data, as soon as its request arrives. */
function takeData({ method }: IncomingMessage, response: ServerResponse): boolean {
  if (method !== 'PUT') return false;
  response.writeHead(204).end();
  return true;
}

function lockedStream(): ReadableStream {
  const stream = new Blob(['abc']).stream();
  stream.getReader();
  return stream;
}

/** A stream that was read to its end. */
async function readStream(): Promise<Readable> {
  const stream = Readable.from([bytes]);
  for await (const _ of stream);
  return stream;
}

const seenInAdvance: [name: string, data: () => unknown, message: RegExp][] = [
  ['whose iterator is no function', () => ({ [Symbol.asyncIterator]: 7 }), /^data: expected a Uint8Array/],
  ['that is a proxy of bytes', () => new Proxy(new Uint8Array(4), {}), /^data: expected a Uint8Array/],
  ['in elements of two bytes', () => new Uint16Array(4), /^data: expected a Uint8Array/],
  ['in a buffer without a view', () => new ArrayBuffer(4), /^data: expected a Uint8Array/],
  ['in a locked stream of the web', lockedStream, /^data: the stream is locked/],
  ['in a destroyed stream', () => Readable.from([bytes]).destroy(), /^data: the stream has ended or was destroyed/],
  ['in a stream that was read', readStream, /^data: the stream has ended or was destroyed/],
];

for (const [name, data, message] of seenInAdvance) {
  test(`data ${name} is rejected before anything is sent`, async (t) => {
    const { images, requests } = await openStub(t, { image });
    const given: never = untyped(await data());
    for (const act of [
      () => images.create({}, { data: given }),
      () => images.update(imageId, { name: 'after' }, { data: given }),
      () => images.stage(imageId, given),
    ])
      await assert.rejects(act, (error) => {
        assert.ok(error instanceof InvalidRequest, `${error}`);
        assert.match(error.message, message);
        return true;
      });
    assert.deepEqual(requests, []);
  });
}

async function* failing(error: unknown) {
  yield bytes;
  throw error;
}

const seenWhileRead: [name: string, data: () => unknown, message: RegExp][] = [
  ['that has no iterator', () => ({ [Symbol.asyncIterator]: () => null }), /^data: it cannot be read: /],
  ['whose iterator has no next', () => ({ [Symbol.asyncIterator]: () => ({}) }), /^data: it cannot be read: /],
  [
    'whose iterator returns no results',
    () => ({ [Symbol.asyncIterator]: () => ({ next: () => 7 }) }),
    /^data: it cannot be read: /,
  ],
  [
    'whose iterator cannot be made',
    () => ({
      [Symbol.asyncIterator]() {
        throw new RangeError('mine');
      },
    }),
    /^data: it cannot be read: mine$/,
  ],
  ['that fails', () => failing(new RangeError('mine')), /^data: it cannot be read: mine$/],
  ['that fails with what has no text', () => failing(Object.create(null)), /^data: it cannot be read: a value/],
  ['that fails without an error', () => failing(undefined), /^data: it cannot be read: undefined$/],
  ['of a file that does not exist', () => createReadStream('/nonexistent'), /^data: it cannot be read: ENOENT/],
  ['of text', () => Readable.from(['text']), /^data: expected a stream of Uint8Arrays, received one of string values$/],
  [
    'of proxies of bytes',
    () => Readable.from([new Proxy(new Uint8Array(1), {})]),
    /^data: expected a stream of Uint8Arrays, received one of object values$/,
  ],
];

for (const [name, data, message] of seenWhileRead) {
  test(`data ${name} is an InvalidRequest, and the image created for it is removed`, async (t) => {
    const { images, writes } = await openStub(t, { image });
    await assert.rejects(images.create({ id: imageId }, { data: untyped(data()) }), (error) => {
      assert.ok(error instanceof InvalidRequest, `${error}`);
      assert.match(error.message, message);
      return true;
    });
    const [first, ...others] = writes();
    assert.deepEqual([first, others.at(-1)], ['POST /images', `DELETE /images/${imageId}`]);
  });
}

async function* letters() {
  for (const letter of 'abcdef') yield Buffer.from(letter);
}

/** A stream of another package is no instance of Node's class, and makes an iterator for each reader. */
function foreignStream() {
  const generator = letters();
  return { pipe() {}, [Symbol.asyncIterator]: () => ({ next: () => generator.next() }) };
}

function wrapper() {
  const generator = letters();
  return { [Symbol.asyncIterator]: () => generator };
}

/** `return` is optional. */
function iterator() {
  const generator = letters();
  return { next: () => generator.next(), [Symbol.asyncIterator]: () => generator };
}

for (const [name, make] of [
  ['a stream', () => Readable.from(letters())],
  ['a generator', letters],
  ['an iterator without return', iterator],
  ['a stream of another package', foreignStream],
  ['an object that has one iterator', wrapper],
] as const) {
  test(`two calls at once with ${name} as their data do not share it: one gets all, and the other an InvalidRequest`, async (t) => {
    const { images, requests, bodies } = await openStub(t, {
      image,
      answer: takeData,
    });
    const data = make();
    const results = await Promise.allSettled([images.stage(imageId, data), images.stage(imageId, data)]);
    const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    assert.equal(errors.length, 1);
    assert.ok(errors[0] instanceof InvalidRequest, `${errors[0]}`);
    assert.match(errors[0].message, /^data: another call reads it, or has read a part of it$/);
    const staged = bodies.filter((_, at) => requests[at]?.startsWith('PUT '));
    assert.deepEqual(
      staged.filter((body) => body !== '(incomplete)'),
      ['abcdef'],
    );
  });
}

test('data that an earlier call has read in part is rejected, because a part of it would be sent', async (t) => {
  let isFirst = true;
  const { images, requests } = await openStub(t, {
    image,
    answer: takeData,
  });
  const generator = letters();
  const data = {
    async next() {
      const { done, value } = await generator.next();
      if (value?.toString() !== 'c' || !isFirst) return { done, value };
      isFirst = false;
      throw new Error('not now');
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
  const given: never = untyped(data);
  await assert.rejects(images.stage(imageId, given), /not now/);
  const before = requests.length;
  await assert.rejects(
    images.stage(imageId, given),
    /^InvalidRequest: data: another call reads it, or has read a part/,
  );
  assert.equal(requests.length, before);
});

test('a stream of the web that an earlier call has read is rejected before anything is changed', async (t) => {
  const { images, requests } = await openStub(t, {
    image,
    answer: takeData,
  });
  const data = ReadableStream.from(letters());
  await images.stage(imageId, data);
  const before = requests.length;
  await assert.rejects(
    images.update(imageId, { name: 'after' }, { data }),
    /^InvalidRequest: data: another call reads it, or has read a part/,
  );
  assert.equal(requests.length, before);
});

test('data arrives as it was handed over, also if its memory is used again for what follows', async (t) => {
  const { images, requests, bodies } = await openStub(t, {
    image,
    answer: takeData,
  });
  async function* inOneBuffer() {
    const buffer = Buffer.alloc(1);
    for await (const letter of letters()) {
      letter.copy(buffer);
      yield buffer;
    }
  }
  await images.stage(imageId, inOneBuffer());
  assert.equal(bodies[requests.findIndex((request) => request.startsWith('PUT '))], 'abcdef');
});

test('data that makes a new iterator for each reader is sent by two calls at once', async (t) => {
  const { images, requests, bodies } = await openStub(t, {
    image,
    answer: takeData,
  });
  const data = { [Symbol.asyncIterator]: letters };
  await Promise.all([images.stage(imageId, data), images.stage(imageId, data)]);
  assert.deepEqual(
    bodies.filter((_, at) => requests[at]?.startsWith('PUT ')),
    ['abcdef', 'abcdef'],
  );
});

test('an error of the library that data throws is thrown unchanged, and any other is the cause of the one that is', async (t) => {
  const { images } = await openStub(t, { image });
  for (const ours of [
    new ImageGone('gone', {}),
    new ImageNotFound('no such image', {}),
    new Conflict('it is used'),
    new ConnectionFailed('https://other.example.com', new Error('reset')),
  ]) {
    await assert.rejects(images.update(imageId, {}, { data: failing(ours), store: 'no such store' }), ours);
    await assert.rejects(images.stage(imageId, failing(ours)), ours);
  }
  const theirs = new RangeError('mine');
  await assert.rejects(images.stage(imageId, failing(theirs)), (error) => {
    assert.ok(error instanceof InvalidRequest);
    assert.equal(error.cause, theirs);
    return true;
  });
});

/** Yields `piece` without an end; `isEnded` after its `return` has settled, which takes some turns of the event loop. */
function endingSlowly(piece: unknown) {
  const data = {
    isEnded: false,
    isReturned: false,
    next: async () => ({ done: false, value: piece }),
    async return() {
      data.isReturned = true;
      for (let turns = 0; turns < 20; turns++) await nextTurn();
      data.isEnded = true;
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]: () => data,
  };
  return data;
}

test('data that does not end when it should does not delay the failure of its call', async () => {
  const texts = endingSlowly('a text');
  const expected = /^InvalidRequest: data: expected a stream of Uint8Arrays, received one of string values$/;
  await assert.rejects(buffer(uploadDataOf(texts, {}).body), expected);
  assert.deepEqual([texts.isReturned, texts.isEnded], [true, false]);
  const pieces = endingSlowly(bytes);
  for await (const _ of startSending().through(uploadDataOf(pieces, {}).body)) break;
  assert.deepEqual([pieces.isReturned, pieces.isEnded], [true, false]);
});

test('data is ended once, and not after its own end or failure', async () => {
  let returns = 0;
  const stepsOf = (...steps: (() => IteratorResult<Uint8Array, undefined>)[]) => ({
    next: async () => steps.shift()?.() ?? { done: true as const, value: undefined },
    async return() {
      returns++;
      return { done: true as const, value: undefined };
    },
  });
  const given = (...steps: (() => IteratorResult<Uint8Array, undefined>)[]) =>
    uploadDataOf({ [Symbol.asyncIterator]: () => stepsOf(...steps) }, {});
  const piece = () => ({ done: false, value: bytes }) as const;
  const failing = () => {
    throw new Conflict('a failure');
  };
  {
    using content = given(piece);
    await buffer(content.body);
  }
  {
    using content = given(piece, failing);
    await assert.rejects(buffer(content.body), Conflict);
  }
  assert.equal(returns, 0);
  {
    using content = given(piece, piece);
    for await (const _ of content.body) break;
  }
  assert.equal(returns, 1);
});

test('a stream without an end is destroyed when its call ends, also while it is being read', async (t) => {
  const { images } = await openStub(t, { image });
  const controller = new AbortController();
  const reason = new Error('enough');
  let reads = 0;
  const data = new Readable({
    read() {
      if (reads++ === 0) this.push(bytes);
      else setImmediate(() => controller.abort(reason));
    },
    highWaterMark: 1,
  });
  await assert.rejects(images.stage(imageId, data, { signal: controller.signal }), reason);
  await nextTurn();
  assert.ok(data.destroyed);
});

test('a stream of the web is cancelled when its call ends, also while it is being read', async (t) => {
  const { images } = await openStub(t, { image });
  const controller = new AbortController();
  const reason = new Error('enough');
  const cancelled = Promise.withResolvers<void>();
  let reads = 0;
  const data = new ReadableStream(
    {
      async pull(stream) {
        if (reads++ === 0) return stream.enqueue(bytes);
        setImmediate(() => controller.abort(reason));
        await cancelled.promise;
      },
      cancel: () => cancelled.resolve(),
    },
    { highWaterMark: 0 },
  );
  await assert.rejects(images.stage(imageId, data, { signal: controller.signal }), reason);
  await cancelled.promise;
});

test('a stream of another package that fails when it is closed does not end the process', async (t) => {
  const { images } = await openStub(t, { image });
  class OtherStream extends EventEmitter {
    pipe() {}
    destroy() {
      setImmediate(() => this.emit('error', new Error('it was closed')));
    }
    async *[Symbol.asyncIterator]() {
      yield bytes;
    }
  }
  await assert.rejects(images.create({ id: 'no id' }, { data: new OtherStream() }), /^InvalidRequest: not the id/);
  await assert.rejects(images.stage(imageId, new OtherStream(), { size: -1 }), /^InvalidRequest: size/);
  await nextTurn();
});

test('a stream whose call fails before it is read is closed', async (t) => {
  const { images } = await openStub(t, { image: { ...image, status: 'active', size: 1 } });
  for (const send of [
    (data: ImageContent) => images.stage(imageId, data),
    (data: ImageContent) => images.update(imageId, { name: 'after' }, { data }),
    (data: ImageContent) => images.create({ name: 'new', id: 'no id' }, { data }),
    (data: ImageContent) => images.stage(imageId, data, { size: -1 }),
    (data: ImageContent) => images.update(imageId, {}, { data, size: -1 }),
    (data: ImageContent) => images.create({ name: 'new' }, { data, size: -1 }),
    (data: ImageContent) => images.create({ name: 'new' }, { data, store: 'two\nlines' }),
  ]) {
    const stream = Readable.from(letters());
    await assert.rejects(send(stream), OperatorError);
    assert.ok(stream.destroyed);
    let isCancelled = false;
    const ofTheWeb = new ReadableStream({
      cancel() {
        isCancelled = true;
      },
    });
    await assert.rejects(send(ofTheWeb), OperatorError);
    assert.ok(isCancelled);
  }
});
