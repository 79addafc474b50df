import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { Conflict, GlanceConnectionFailed, ImageGone } from '../../src/glance/errors.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { createMemoryBudget } from '../../src/lib/memory-budget.ts';
import type { Target } from '../../src/transfer/delivery.ts';
import { runTransfer, type TransferOptions } from '../../src/transfer/engine.ts';
import type { TransferPlan, TransferProgress, TransferResult } from '../../src/transfer/plan.ts';
import type { OpenSource } from '../../src/transfer/sources.ts';
import { planOf } from './plans.ts';
import { createSink, sourceOf } from './sink.ts';

const hashOf = (data: Uint8Array, algorithm = 'sha256') =>
  `${algorithm}:${createHash(algorithm).update(data).digest('hex')}`;

function run(
  plan: TransferPlan,
  openSource: OpenSource,
  target: Target = createSink(),
  options: Partial<TransferOptions> = {},
): Promise<TransferResult> {
  const signal = new AbortController().signal;
  return runTransfer(plan, { openSource, target, clock: systemClock, onProgress: () => {}, signal, ...options });
}

const chunksOf = fc.array(fc.uint8Array({ minLength: 1, maxLength: 50_000 }), { minLength: 1, maxLength: 8 });
/** No known format starts with these bytes. */
const start = Buffer.from([0, 1]);

describe('a transfer', () => {
  test('a transfer of a compressed file waits for memory that others use, and returns its own at its end', async () => {
    const memory = createMemoryBudget(2 ** 20);
    const { signal } = new AbortController();
    using other = memory.share(signal);
    other.want(2 ** 20);
    await other.granted();
    const target = createSink();
    const data = Buffer.concat([start, Buffer.alloc(100_000)]);
    let isWaiting = true;
    const moving = run(planOf(), sourceOf([gzipSync(data)]), target, { memory }).then((result) => {
      assert.equal(isWaiting, false, 'it has not waited');
      return result;
    });
    // It has asked by then.
    for (let turns = 0; turns < 20; turns++) await nextTurn();
    isWaiting = false;
    other[Symbol.dispose]();
    assert.equal((await moving).bytes, data.length);
    assert.equal(memory.used, 0);
  });

  test('a transfer returns the memory of its decoder when the data ends, not when Glance has completed the image', async () => {
    const memory = createMemoryBudget(2 ** 20);
    const data = Buffer.concat([start, Buffer.alloc(100_000)]);
    const target = createSink();
    const used: number[] = [];
    const upload = target.images.upload;
    target.images.upload = async (...call) => {
      used.push(memory.used);
      await upload(...call);
      used.push(memory.used);
    };
    const chunks = [gzipSync(data).subarray(0, 40), gzipSync(data).subarray(40)];
    await run(planOf(), sourceOf(chunks), target, { memory });
    assert.equal(used.at(-1), 0);
  });

  test('a transfer reports that it waits for the memory of its decoder, that it has it, and that it has returned it', async () => {
    const memory = createMemoryBudget(2 ** 20);
    const { signal } = new AbortController();
    using other = memory.share(signal);
    other.want(2 ** 20);
    await other.granted();
    const states: (string | undefined)[] = [];
    const onProgress = ({ decoderMemory }: TransferProgress) => {
      if (states.length === 0 || states.at(-1) !== decoderMemory) states.push(decoderMemory);
    };
    const source = sourceOf([gzipSync(Buffer.concat([start, Buffer.alloc(100_000)]))]);
    const moving = run(planOf(), source, createSink(), { memory, onProgress });
    // It has asked by then.
    for (let turns = 0; turns < 20; turns++) await nextTurn();
    other[Symbol.dispose]();
    await moving;
    assert.deepEqual(states, [undefined, 'awaited', 'held', undefined]);
  });

  test('a transfer delivers every byte in order for any chunks, and reports its result', async () => {
    await fc.assert(
      fc.asyncProperty(chunksOf, async (chunks) => {
        const data = Buffer.concat([start, ...chunks]);
        const sink = createSink();
        const plan = planOf({ digest: hashOf(data) });
        const result = await run(plan, sourceOf([start, ...chunks]), sink);
        assert.equal(sink.status, 'active');
        assert(sink.bytes().equals(data));
        const { bytes, servedBytes, digest, imageDigest } = result;
        const sha512 = hashOf(data, 'sha512');
        assert.deepEqual(
          { bytes, servedBytes, digest, imageDigest },
          { bytes: data.length, servedBytes: data.length, digest: plan.digest, imageDigest: sha512 },
        );
      }),
      { seed: 7, numRuns: 50 },
    );
  });

  test('a transfer never sends the last chunk of data with a wrong digest', async () => {
    await fc.assert(
      fc.asyncProperty(chunksOf, fc.constantFrom('Served' as const, 'Image' as const), async (chunks, digestOf) => {
        const sink = createSink();
        const plan = planOf({ digest: hashOf(Buffer.from('something else')), digestOf });
        await assert.rejects(run(plan, sourceOf([start, ...chunks]), sink), { code: 'DigestMismatch' });
        assert.equal(sink.status, 'queued');
        assert(sink.bytes().length < Buffer.concat([start, ...chunks]).length);
      }),
      { seed: 8, numRuns: 50 },
    );
  });

  test('a transfer ignores empty chunks at the end when it holds back the last chunk', async () => {
    const sink = createSink();
    const chunks = [Buffer.from('data'), Buffer.alloc(0)];
    await assert.rejects(run(planOf({ digest: hashOf(Buffer.from('other')) }), sourceOf(chunks), sink));
    assert.equal(sink.bytes().length, 0);
  });

  test('a transfer rejects an empty source and one in another format before it sends anything', async () => {
    const sink = createSink();
    await assert.rejects(run(planOf(), sourceOf([Buffer.alloc(0)]), sink), { code: 'EmptySource' });
    const data = Buffer.alloc(600);
    const plan = planOf({ digest: hashOf(data), diskFormat: 'qcow2' });
    await assert.rejects(run(plan, sourceOf([data]), sink), { code: 'FormatMismatch' });
    assert.equal(sink.uploads, 0);
  });

  test('a transfer sends an image with a partition table that the installation tolerates, and nothing of it otherwise', async () => {
    const data = Buffer.alloc(600);
    data.writeUInt16LE(0xaa55, 510);
    const plan = (limits: Partial<TransferPlan['limits']>) => planOf({ digest: hashOf(data), limits });
    const sink = createSink();
    await assert.rejects(run(plan({}), sourceOf([data]), sink), { code: 'UnsafeImage' });
    assert.equal(sink.uploads, 0);
    await run(plan({ nonfatalChecks: ['mbr'] }), sourceOf([data]), sink);
    assert.deepEqual(sink.bytes(), data);
  });

  test('a transfer reports an error page as such although its digest is wrong, too', async () => {
    const page = Buffer.from('<!doctype html><title>Login</title>');
    const plan = planOf({ digest: hashOf(Buffer.from('image')) });
    await assert.rejects(run(plan, sourceOf([page])), /an HTML page/);
  });

  test('a transfer rejects a source that may be truncated unnoticed, unless a digest is declared', async () => {
    const data = Buffer.from('data');
    const sink = createSink();
    await assert.rejects(run(planOf(), sourceOf([data], { endIsCertain: false }), sink), /declare a digest/);
    assert.equal(sink.uploads, 0);
    for (const digestOf of ['Served', 'Image'] as const)
      await run(planOf({ digest: hashOf(data), digestOf }), sourceOf([data], { endIsCertain: false }));
  });

  test('a transfer announces the known size to Glance, and names the requested store', async () => {
    const sink = createSink();
    const stores = { kind: 'some', names: ['fast', 'slow'] } as const;
    await run(planOf({ stores: { ...stores, names: [...stores.names] } }), sourceOf([start], { size: 2 }), sink);
    assert.deepEqual([sink.size, sink.store], [2, 'fast']);
    const other = createSink();
    await run(planOf(), sourceOf([start]), other);
    assert.deepEqual([other.size, other.store], [undefined, undefined]);
  });

  test('a transfer reports the bytes of Glance and of the source for each phase', async () => {
    const seen: TransferProgress[] = [];
    const chunks = [Buffer.alloc(1000), Buffer.alloc(2000), Buffer.alloc(3000)];
    const result = await run(planOf(), sourceOf(chunks, { size: 6000 }), createSink(), {
      onProgress: (progress) => seen.push(progress),
    });
    assert.deepEqual(seen, [
      { bytes: 0, servedBytes: 0, total: undefined, phase: 'connecting' },
      { bytes: 0, servedBytes: 1000, total: 6000, phase: 'transferring' },
      { bytes: 1000, servedBytes: 3000, total: 6000, phase: 'transferring' },
      { bytes: 3000, servedBytes: 6000, total: 6000, phase: 'transferring' },
      { bytes: 6000, servedBytes: 6000, total: 6000, phase: 'finishing' },
    ]);
    assert.equal(result.bytes, 6000);
  });

  test('a transfer holds at most two chunks during a slow upload', async () => {
    let made = 0;
    let taken = 0;
    function* chunks() {
      while (made < 100) {
        made++;
        yield Buffer.alloc(1000);
      }
    }
    const sink = createSink();
    const { upload } = sink.images;
    sink.images.upload = (id, body, options) =>
      upload(
        id,
        (async function* () {
          for await (const chunk of body) {
            taken++;
            assert(made - taken <= 2);
            yield chunk;
          }
        })(),
        options,
      );
    await run(planOf(), sourceOf(chunks()), sink);
    assert.equal(taken, 100);
  });

  test('a transfer hashes in the algorithm of this Glance once it is known, and compares the image with it', async () => {
    const data = Buffer.from('some data');
    const wrong = { hash: { algorithm: 'sha256', value: '0'.repeat(64) } };
    const sink = createSink({ reports: wrong });
    await run(planOf(), sourceOf([data]), sink);
    assert.equal(sink.hashAlgorithm, 'sha256');
    const next = createSink({ reports: wrong });
    next.hashAlgorithm = sink.hashAlgorithm;
    await assert.rejects(run(planOf(), sourceOf([data]), next), { code: 'UploadMismatch' });
    const right = createSink({ hashAlgorithm: 'sha256' });
    right.hashAlgorithm = sink.hashAlgorithm;
    assert.equal((await run(planOf(), sourceOf([data]), right)).imageDigest, hashOf(data, 'sha256'));
  });
});

describe('the error of a transfer', () => {
  const conflict = new OperatorError('Glance returned 409', { code: 'Conflict' });
  const broken = new OperatorError('the connection broke', { code: 'SourceTooShort' });
  const ten = Buffer.alloc(10);

  test('the error of a transfer is that of the source, not the failed PUT that followed', async () => {
    await assert.rejects(run(planOf(), sourceOf([ten, ten, ten], { end: broken })), broken);
  });

  test('the error of a transfer is that of the source even if the upload succeeds', async () => {
    const upload: Target['images']['upload'] = async (_id, body) => {
      try {
        for await (const _chunk of body);
      } catch {}
    };
    await assert.rejects(run(planOf(), sourceOf([ten, ten, ten], { end: broken }), createSink({ upload })), broken);
  });

  test('the error of a transfer is the early response of Glance, although the source is aborted because of it', async () => {
    let closed = false;
    const openSource: OpenSource = async (_plan, { signal }) => ({
      url: 'https://example.com/',
      size: undefined,
      etag: undefined,
      endIsCertain: true,
      body: (async function* () {
        // Enough to see that it is no archive.
        yield Buffer.alloc(1000);
        yield Buffer.alloc(1000);
        // A source that has nothing to say until it is closed.
        await new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => {
            closed = true;
            reject(signal.reason);
          }),
        );
      })(),
    });
    const upload: Target['images']['upload'] = async (_id, body) => {
      const chunks = body[Symbol.asyncIterator]();
      await chunks.next();
      chunks.next().catch(() => {});
      throw conflict;
    };
    await assert.rejects(run(planOf(), openSource, createSink({ upload })), conflict);
    assert.equal(closed, true);
  });

  test('the error of a transfer is the response of Glance after all data was sent and verified', async () => {
    const upload: Target['images']['upload'] = async (_id, body) => {
      for await (const _chunk of body);
      throw conflict;
    };
    await assert.rejects(run(planOf(), sourceOf([ten]), createSink({ upload })), conflict);
  });

  for (const [what, error] of [
    ['409', new Conflict('Glance returned 409', {})],
    ['410', new ImageGone('Glance returned 410', {})],
    ['no response', new GlanceConnectionFailed('write ECONNRESET', 'GlanceUnreachable', {})],
  ] as const) {
    test(`the data is sent once more where a second upload gets ${what}, because Glance still has the first one`, async () => {
      // Enough to see that it is no archive.
      const chunks = [start, Buffer.alloc(1000), Buffer.alloc(1000)];
      const data = Buffer.concat(chunks);
      const mirrors = [{ url: 'https://mirror.example.com/image.raw', digest: hashOf(data) }];
      const sources = [sourceOf(chunks, { end: broken })];
      const openSource: OpenSource = (...of) => (sources.shift() ?? sourceOf(chunks))(...of);
      const sink = createSink();
      let uploads = 0;
      const upload: Target['images']['upload'] = async (id, body, options) => {
        if (++uploads === 2) throw error;
        if (uploads === 3) return sink.images.upload(id, body, options);
        for await (const _chunk of body);
      };
      await run(planOf({ mirrors }), openSource, { ...sink, images: { ...sink.images, upload } });
      assert.deepEqual(sink.bytes(), data);
      assert.equal(uploads, 3);
    });
  }

  test('the error of a cancelled transfer is the reason of the signal', async () => {
    const controller = new AbortController();
    const reason = new Error('deleted');
    const upload: Target['images']['upload'] = async (_id, body, { signal }) => {
      for await (const _chunk of body) controller.abort(reason);
      signal.throwIfAborted();
    };
    const { signal } = controller;
    await assert.rejects(run(planOf(), sourceOf([ten]), createSink({ upload }), { signal }), reason);
    await assert.rejects(run(planOf(), sourceOf([]), createSink(), { signal: AbortSignal.abort(reason) }), reason);
  });

  test('the error of a transfer whose plan has an invalid digest names the digest', async () => {
    await assert.rejects(run(planOf({ digest: 'sha256:abc' }), sourceOf([])), { code: 'InvalidSpec' });
  });
});
