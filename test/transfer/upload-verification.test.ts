import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GlanceConnectionFailed, GlanceUnavailable, ImageNotFound } from '../../src/glance/errors.ts';
import type { Image } from '../../src/glance/image.ts';
import type { Target } from '../../src/transfer/delivery.ts';
import { runTransfer } from '../../src/transfer/engine.ts';
import { createVirtualClock } from '../clock.ts';
import { planOf } from './plans.ts';
import { createSink, type Sink, sourceOf } from './sink.ts';

const data = Buffer.from('the data of an image');
const withoutResponse = (what: string) => new GlanceConnectionFailed(`no response to ${what}`, 'GlanceUnreachable', {});
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
  for (let minutes = 0; !settled && minutes < 150; minutes++) await clock.advance(60_000);
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
      await assert.rejects(run(createSink({ reports })), { code: 'UploadMismatch', message: words });
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
    await assert.rejects(run(createSink({ upload }), [data, data, data]), { code: 'UploadMismatch' });
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

  test('an upload without a response waits for more than an hour for an image that Glance still saves', async () => {
    const sink = breaking((now, looks) => {
      if (looks === 1000) now.status = 'active';
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
    await assert.rejects(run(sink), { code: 'UploadMismatch' });
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

describe('an upload with a response', () => {
  /** A Glance that has all of the data, and whose reads have these states in order, the last one repeatedly. */
  function reading(states: readonly string[], error?: Error): Sink {
    const sink = createSink();
    const { upload, get } = sink.images;
    let gets = 0;
    sink.images.upload = async (id, body, options) => {
      await upload(id, body, options);
      if (error !== undefined) throw error;
    };
    sink.images.get = async (id, signal) => {
      sink.status = states[Math.min(gets++, states.length - 1)] ?? '';
      if (sink.status === 'unreachable') throw withoutResponse('the read');
      return get(id, signal);
    };
    return sink;
  }
  const timedOut = new GlanceUnavailable('Glance returned 504 for the upload', { httpStatus: 504 });

  test('a complete upload that gets a 504 from a proxy succeeds when Glance has stored it, and nothing is sent again', async () => {
    const sink = reading(
      ['queued', 'queued', ...Array(100).fill('saving'), ...Array(20).fill('unreachable'), 'saving', 'active'],
      timedOut,
    );
    assert.equal((await run(sink)).bytes, data.length);
    assert.equal(sink.uploads, 1);
  });

  test('a complete upload that gets a 504 from a proxy fails with that response when Glance never stores it', async () => {
    for (const states of [['saving', 'queued'], ['saving', 'unreachable'], ['saving']])
      await assert.rejects(run(reading(states, timedOut)), timedOut, states.join());
  });

  test('an upload that Glance itself rejects is not waited for while the image is queued', async () => {
    const rejected = new GlanceUnavailable('the store is not writable', { httpStatus: 503, requestId: 'req-g' });
    await assert.rejects(run(reading(['queued', 'active'], rejected)), rejected);
  });

  test('a 504 before the end of the data is not waited for', async () => {
    const sink = reading(['unreachable']);
    sink.images.upload = async (_id, body) => {
      for await (const _chunk of body) throw timedOut;
    };
    const clock = createVirtualClock();
    const { signal } = new AbortController();
    const options = { openSource: sourceOf([data, data, data]), target: sink, clock, onProgress: () => {}, signal };
    await assert.rejects(runTransfer(planOf(), options), timedOut);
  });

  test('a stale read after the upload does not condemn the image', async () => {
    for (const stale of ['saving', 'queued', 'unreachable'])
      assert.equal((await run(reading([stale, 'active']))).image.status, 'active', stale);
  });

  test('an image that stays without its data after the upload is a ContentMismatch', async () => {
    for (const states of [['queued'], ['saving'], ['killed']])
      await assert.rejects(run(reading(states)), { code: 'UploadMismatch' }, states.join());
  });
});
