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
const withoutResponse = (what: string) =>
  new GlanceConnectionFailed(`no response to ${what}`, 'GlanceUnreachable', retry.backoff, {});
const lost = withoutResponse('the upload');

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
  for (let seconds = 0; !settled && seconds < 700; seconds++) await clock.advance(1000);
  return transfer;
}

describe('an active image', () => {
  for (const [what, reports, words] of [
    ['another size', { size: 7 }, /has 7 bytes, sent were 20/],
    ['no data, after a proxy lost a body in chunks,', { size: 0 }, /has 0 bytes, sent were 20/],
    ['another digest', { hash: { algorithm: 'sha512', value: 'abc' } }, /has the digest sha512:abc, sent was sha512:/],
    ['another format', { diskFormat: 'qcow2' }, /has the disk format qcow2, sent was raw/],
  ] as [string, Partial<Image>, RegExp][]) {
    test(`an active image with ${what} than was sent is a ContentMismatch`, async () => {
      await assert.rejects(run(createSink({ reports })), { code: 'ContentMismatch', message: words });
    });
  }

  test('an active image is accepted if Glance hashes it in an unknown algorithm or reports no details', async () => {
    await run(createSink({ reports: { hash: { algorithm: 'blake2b', value: 'abc' } } }));
    await run(createSink({ reports: { hash: null, size: null, diskFormat: null } }));
  });

  test('an active image after a part of the data was sent is a ContentMismatch', async () => {
    const upload: Target['images']['upload'] = async (_id, body) => {
      for await (const _chunk of body) break;
    };
    await assert.rejects(run(createSink({ upload }), [data, data, data]), { code: 'ContentMismatch' });
  });
});

describe('an upload without a response', () => {
  /** A Glance that receives everything and then breaks the connection. `onGet` changes the image before each get. */
  function breaking(onGet: (sink: Sink, gets: number) => void): Sink {
    const sink = createSink();
    const { upload, get } = sink.images;
    let gets = 0;
    sink.images.upload = async (id, body, options) => {
      await upload(id, body, options);
      sink.status = 'saving';
      throw lost;
    };
    sink.images.get = async (id, signal) => {
      onGet(sink, ++gets);
      return get(id, signal);
    };
    return sink;
  }

  test('an upload without a response succeeds if the image is complete, and nothing is sent again', async () => {
    const sink = breaking((now) => {
      now.status = 'active';
    });
    assert.equal((await run(sink)).bytes, data.length);
    assert.equal(sink.uploads, 1);
  });

  test('an upload without a response waits minutes for an image that Glance still saves', async () => {
    const sink = breaking((now, looks) => {
      if (looks === 300) now.status = 'active';
    });
    assert.equal((await run(sink)).bytes, data.length);
    assert.equal(sink.uploads, 1);
  });

  test('an upload without a response fails with the first cause if Glance never finishes or returns to queued', async () => {
    await assert.rejects(run(breaking(() => {})), lost);
    const fallenBack = breaking((now) => {
      now.status = 'queued';
    });
    await assert.rejects(run(fallenBack), lost);
    assert.equal(fallenBack.uploads, 1);
  });

  test('an upload without a response is a ContentMismatch if the image has other data', async () => {
    const sink = breaking((now) => {
      now.status = 'active';
    });
    const { get } = sink.images;
    sink.images.get = async (id, signal) => ({ ...(await get(id, signal)), size: 1 });
    await assert.rejects(run(sink), { code: 'ContentMismatch' });
  });

  test('an upload without a response fails with ImageGone if the image was deleted', async () => {
    const sink = breaking(() => {
      throw new ImageNotFound('Glance returned 404', { httpStatus: 404 });
    });
    await assert.rejects(run(sink), { code: 'ImageGone' });
  });

  test('an upload without a response fails with the first cause if the image cannot be fetched either', async () => {
    const sink = breaking(() => {
      throw withoutResponse('the question');
    });
    await assert.rejects(run(sink), lost);
  });
});
