import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GlanceConnectionFailed, ImageNotFound } from '../../src/glance/errors.ts';
import type { Image } from '../../src/glance/image.ts';
import { retry } from '../../src/lib/errors.ts';
import type { Target } from '../../src/transfer/delivery.ts';
import { runTransfer } from '../../src/transfer/engine.ts';
import { createVirtualClock } from '../clock.ts';
import { planOf } from './plans.ts';
import { createSink, type Sink, sourceOf } from './sink.ts';

const data = Buffer.from('the data of an image');
const unanswered = (what: string) =>
  new GlanceConnectionFailed(`no answer to ${what}`, 'GlanceUnreachable', retry.backoff, {});
const lost = unanswered('the upload');

async function run(target: Target, chunks = [data]) {
  const clock = createVirtualClock();
  const signal = new AbortController().signal;
  const transfer = runTransfer(planOf(), { openSource: sourceOf(chunks), target, clock, onProgress: () => {}, signal });
  let settled = false;
  void transfer.then(
    () => {
      settled = true;
    },
    () => {
      settled = true;
    },
  );
  for (let seconds = 0; !settled && seconds < 300; seconds++) await clock.advance(1000);
  return transfer;
}

describe('an image that Glance calls active', () => {
  for (const [what, reports, words] of [
    ['another size', { size: 7 }, /has 7 bytes, sent were 20/],
    ['another digest', { hash: { algorithm: 'sha512', value: 'abc' } }, /has the digest sha512:abc, sent was sha512:/],
    ['another format', { diskFormat: 'qcow2' }, /has the disk format qcow2, sent was raw/],
  ] as [string, Partial<Image>, RegExp][]) {
    test(`with ${what} than was sent is a mismatch`, async () => {
      await assert.rejects(run(createSink({ reports })), { code: 'ContentMismatch', message: words });
    });
  }

  test('is believed where Glance hashes in a way that cannot be compared, or hides what it knows', async () => {
    await run(createSink({ reports: { hash: { algorithm: 'blake2b', value: 'abc' } } }));
    await run(createSink({ reports: { hash: null, size: null, diskFormat: null } }));
  });

  test('though only a part of the data was sent is a mismatch', async () => {
    const upload: Target['images']['upload'] = async (_id, body) => {
      for await (const _chunk of body) break;
    };
    await assert.rejects(run(createSink({ upload }), [data, data, data]), { code: 'ContentMismatch' });
  });
});

describe('when the answer to an upload does not come', () => {
  /** Takes everything, and breaks the connection instead of answering. `then` is what happens in Glance meanwhile. */
  function breaking(then: (sink: Sink, looks: number) => void): Sink {
    const sink = createSink();
    const { upload, get } = sink.images;
    let looks = 0;
    sink.images.upload = async (id, body, options) => {
      await upload(id, body, options);
      sink.status = 'saving';
      throw lost;
    };
    sink.images.get = async (id, signal) => {
      then(sink, ++looks);
      return get(id, signal);
    };
    return sink;
  }

  test('an image that is complete is a success, and nothing is sent again', async () => {
    const sink = breaking((now) => {
      now.status = 'active';
    });
    assert.equal((await run(sink)).bytes, data.length);
    assert.equal(sink.uploads, 1);
  });

  test('an image that Glance still saves is waited for', async () => {
    const sink = breaking((now, looks) => {
      if (looks === 5) now.status = 'active';
    });
    assert.equal((await run(sink)).bytes, data.length);
  });

  test('an image that Glance saves without end, or gave up, is a failure by the first cause', async () => {
    await assert.rejects(run(breaking(() => {})), lost);
    const fallenBack = breaking((now) => {
      now.status = 'queued';
    });
    await assert.rejects(run(fallenBack), lost);
    assert.equal(fallenBack.uploads, 1);
  });

  test('an image with other data is a mismatch', async () => {
    const sink = breaking((now) => {
      now.status = 'active';
    });
    const { get } = sink.images;
    sink.images.get = async (id, signal) => ({ ...(await get(id, signal)), size: 1 });
    await assert.rejects(run(sink), { code: 'ContentMismatch' });
  });

  test('an image that is gone was deleted meanwhile', async () => {
    const sink = breaking(() => {
      throw new ImageNotFound('Glance returned 404', { httpStatus: 404 });
    });
    await assert.rejects(run(sink), { code: 'ImageGone' });
  });

  test('a Glance that gives no answer to the question either leaves the first cause', async () => {
    const sink = breaking(() => {
      throw unanswered('the question');
    });
    await assert.rejects(run(sink), lost);
  });
});
