import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { type Clock, systemClock } from '../../src/lib/clock.ts';
import { createEgressPolicy } from '../../src/lib/egress.ts';
import { OperatorError, retry } from '../../src/lib/errors.ts';
import type { Source } from '../../src/source/source.ts';
import { createSourceTransport } from '../../src/source/transport.ts';
import { runTransfer, type Upload } from '../../src/transfer/engine.ts';
import { defaultLimits, TransferPlan, type TransferProgress, type TransferResult } from '../../src/transfer/plan.ts';
import { createSourceOpener, type OpenSource } from '../../src/transfer/sources.ts';

const hashOf = (data: Uint8Array, algorithm = 'sha256') =>
  `${algorithm}:${createHash(algorithm).update(data).digest('hex')}`;

function planFor(source: Partial<TransferPlan['source']> = {}, diskFormat = 'raw'): TransferPlan {
  return TransferPlan.parse({
    imageID: 'c0ffee',
    source: { kind: 'http', url: 'https://example.com/image.raw', ...source },
    diskFormat,
    limits: defaultLimits,
    cloud: { namespace: 'team', secretName: 'cloud', name: 'demo' },
  });
}

/** A source that gives `chunks` and then ends, or throws `end`. */
function sourceOf(chunks: Uint8Array[], end?: Error, endIsCertain = true): OpenSource {
  return async (plan): Promise<Source> => ({
    url: plan.source.url,
    size: undefined,
    etag: undefined,
    endIsCertain,
    body: (async function* () {
      yield* chunks;
      if (end !== undefined) throw end;
    })(),
  });
}

/** Glance, as far as an upload is concerned: keeps what came, and is active only after a regular end. */
function createSink() {
  const received: Uint8Array[] = [];
  const sink = {
    state: 'queued' as 'queued' | 'active',
    bytes: () => Buffer.concat(received),
    size: undefined as number | undefined,
    upload: (async (_imageID, body, { size }) => {
      sink.size = size;
      try {
        for await (const chunk of body) received.push(chunk);
      } catch (error) {
        // As a real client does: the PUT fails as a consequence, in words that explain nothing.
        throw new Error('other side closed', { cause: error });
      }
      sink.state = 'active';
    }) satisfies Upload,
  };
  return sink;
}

interface RunOptions {
  upload?: Upload;
  signal?: AbortSignal;
  clock?: Clock;
  onProgress?: (progress: TransferProgress) => void;
}

function run(plan: TransferPlan, openSource: OpenSource, options: RunOptions = {}): Promise<TransferResult> {
  return runTransfer(plan, {
    openSource,
    upload: createSink().upload,
    clock: systemClock,
    onProgress: () => {},
    signal: new AbortController().signal,
    ...options,
  });
}

const chunksOf = fc.array(fc.uint8Array({ minLength: 1, maxLength: 50_000 }), { minLength: 1, maxLength: 8 });

describe('a transfer', () => {
  test('delivers every byte in order, whatever the chunks, and tells what it did', async () => {
    await fc.assert(
      fc.asyncProperty(chunksOf, async (chunks) => {
        const data = Buffer.concat([Buffer.from([0]), ...chunks]);
        const sink = createSink();
        const plan = planFor({ digest: hashOf(data) });
        const result = await run(plan, sourceOf([Buffer.from([0]), ...chunks]), sink);
        assert.equal(sink.state, 'active');
        assert(sink.bytes().equals(data));
        assert.equal(result.bytes, data.length);
        assert.equal(result.digest, plan.source.digest);
      }),
      { numRuns: 50 },
    );
  });

  test('never lets the last chunk go when the digest is wrong', async () => {
    await fc.assert(
      fc.asyncProperty(chunksOf, async (chunks) => {
        const sink = createSink();
        const plan = planFor({ digest: hashOf(Buffer.from('something else')) });
        await assert.rejects(run(plan, sourceOf([Buffer.from([0]), ...chunks]), sink), { code: 'DigestMismatch' });
        assert.equal(sink.state, 'queued');
        assert.equal(sink.bytes().length, Buffer.concat(chunks).length + 1 - (chunks.at(-1)?.length ?? 0));
      }),
      { numRuns: 50 },
    );
  });

  test('is not misled by empty chunks at the end', async () => {
    const sink = createSink();
    const chunks = [Buffer.from('data'), Buffer.alloc(0)];
    await assert.rejects(run(planFor({ digest: hashOf(Buffer.from('other')) }), sourceOf(chunks), sink));
    assert.equal(sink.bytes().length, 0);
  });

  test('refuses a source without bytes', async () => {
    const sink = createSink();
    await assert.rejects(run(planFor(), sourceOf([Buffer.alloc(0)]), sink), { code: 'EmptySource' });
    assert.equal(sink.state, 'queued');
  });

  test('refuses data in another format, short or long, before the end', async () => {
    for (const length of [600, 100_000]) {
      const data = Buffer.alloc(length);
      const sink = createSink();
      await assert.rejects(run(planFor({ digest: hashOf(data) }, 'qcow2'), sourceOf([data]), sink), {
        code: 'FormatMismatch',
      });
      assert.equal(sink.state, 'queued');
    }
  });

  test('calls an error page an error page, though its digest is wrong too', async () => {
    const page = Buffer.from('<!doctype html><title>Login</title>');
    const plan = planFor({ digest: hashOf(Buffer.from('image')) });
    await assert.rejects(run(plan, sourceOf([page])), /an HTML page/);
  });

  test('refuses a source whose end cannot be told from a cut, unless a digest tells', async () => {
    const data = Buffer.from('data');
    let opened = 0;
    const upload: Upload = async () => {
      opened++;
    };
    await assert.rejects(run(planFor(), sourceOf([data], undefined, false), { upload }), /declare a digest/);
    assert.equal(opened, 0);
    await run(planFor({ digest: hashOf(data) }), sourceOf([data], undefined, false));
  });

  test('computes sha512 where no digest is declared', async () => {
    const data = Buffer.from('data');
    assert.equal((await run(planFor(), sourceOf([data]))).digest, hashOf(data, 'sha512'));
  });

  test('counts what Glance has taken', async () => {
    const seen: number[] = [];
    const chunks = [Buffer.alloc(10), Buffer.alloc(20), Buffer.alloc(30)];
    const result = await run(planFor(), sourceOf(chunks), { onProgress: ({ bytes }) => seen.push(bytes) });
    assert.deepEqual(seen, [10, 30]);
    assert.equal(result.bytes, 60);
  });

  test('holds no more than two chunks, however slow the upload is', async () => {
    let made = 0;
    let taken = 0;
    const openSource: OpenSource = async (plan) => ({
      url: plan.source.url,
      size: undefined,
      etag: undefined,
      endIsCertain: true,
      body: (async function* () {
        while (made < 100) {
          made++;
          yield Buffer.alloc(1000);
        }
      })(),
    });
    const upload: Upload = async (_imageID, body) => {
      for await (const _chunk of body) {
        taken++;
        assert(made - taken <= 2);
      }
    };
    await run(planFor(), openSource, { upload });
    assert.equal(taken, 100);
  });
});

describe('the error of a transfer', () => {
  const conflict = new OperatorError('Glance answered 409', { code: 'Conflict', retry: retry.backoff });

  test('is what the source said, not the broken PUT that followed', async () => {
    const broken = new OperatorError('the connection broke', { code: 'SourceTooShort', retry: retry.backoff });
    await assert.rejects(run(planFor(), sourceOf([Buffer.alloc(10)], broken)), broken);
  });

  test('is what the source said even if the upload claims success', async () => {
    const broken = new OperatorError('the connection broke', { code: 'SourceTooShort', retry: retry.backoff });
    const upload: Upload = async (_imageID, body) => {
      try {
        for await (const _chunk of body);
      } catch {}
    };
    await assert.rejects(run(planFor(), sourceOf([Buffer.alloc(10)], broken), { upload }), broken);
  });

  test('is the early answer of Glance, though the source is cut off because of it', async () => {
    let closed = false;
    const openSource: OpenSource = async (plan, signal) => ({
      url: plan.source.url,
      size: undefined,
      etag: undefined,
      endIsCertain: true,
      body: (async function* () {
        yield Buffer.alloc(10);
        yield Buffer.alloc(10);
        // A source that has nothing to say until it is closed.
        await new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => {
            closed = true;
            reject(signal.reason);
          }),
        );
      })(),
    });
    const upload: Upload = async (_imageID, body) => {
      const chunks = body[Symbol.asyncIterator]();
      await chunks.next();
      chunks.next().catch(() => {});
      throw conflict;
    };
    await assert.rejects(run(planFor(), openSource, { upload }), conflict);
    assert.equal(closed, true);
  });

  test('is the answer of Glance after all was sent and verified', async () => {
    const upload: Upload = async (_imageID, body) => {
      for await (const _chunk of body);
      throw conflict;
    };
    await assert.rejects(run(planFor(), sourceOf([Buffer.alloc(10)]), { upload }), conflict);
  });

  test('says so when Glance is content with a part of the data', async () => {
    const upload: Upload = async (_imageID, body) => {
      for await (const _chunk of body) break;
    };
    const chunks = [Buffer.alloc(10), Buffer.alloc(10), Buffer.alloc(10)];
    await assert.rejects(run(planFor(), sourceOf(chunks), { upload }), { code: 'ContentMismatch' });
  });

  test('is the reason of the signal when the transfer is cancelled', async () => {
    const controller = new AbortController();
    const reason = new Error('deleted');
    const upload: Upload = async (_imageID, body, { signal }) => {
      for await (const _chunk of body) controller.abort(reason);
      signal.throwIfAborted();
    };
    await assert.rejects(run(planFor(), sourceOf([Buffer.alloc(10)]), { upload, signal: controller.signal }), reason);
    await assert.rejects(run(planFor(), sourceOf([]), { signal: AbortSignal.abort(reason) }), reason);
  });

  test('is the fault of the plan when its digest is none', async () => {
    await assert.rejects(run(planFor({ digest: 'sha256:abc' }), sourceOf([])), { code: 'InvalidSpec' });
  });
});

describe('a transfer from a real server', () => {
  const data = Buffer.alloc(3_000_000, 'disk');
  const transport = createSourceTransport(createEgressPolicy({ allow: ['127.0.0.1'], deny: [] }));
  const openSource = createSourceOpener(transport, systemClock);
  let answer: (response: ServerResponse) => void = () => {};
  const server = createServer((_request, response) => answer(response));
  let url = '';
  before(async () => {
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const address = server.address();
    assert(address !== null && typeof address === 'object');
    url = `http://127.0.0.1:${address.port}/image.raw?token=hunter2`;
  });
  after(async () => {
    await transport.close();
    server.close();
    server.closeAllConnections();
  });

  test('arrives whole, with its size announced to Glance', async () => {
    answer = (response) => response.writeHead(200, { 'content-length': data.length }).end(data);
    const sink = createSink();
    const result = await run(planFor({ url, digest: hashOf(data) }), openSource, sink);
    assert(sink.bytes().equals(data));
    assert.equal(sink.size, data.length);
    assert.equal(result.bytes, data.length);
    assert.match(result.url, /^http:\/\/127\.0\.0\.1:\d+\/image\.raw\?…$/);
    assert.match(result.startedAt, /^\d{4}-.*Z$/);
  });

  test('cut at any place never becomes active', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: data.length - 1 }), fc.boolean(), async (cut, chunked) => {
        answer = (response) => {
          response.writeHead(200, chunked ? {} : { 'content-length': data.length });
          response.write(data.subarray(0, cut), () => response.socket?.destroySoon());
        };
        const sink = createSink();
        await assert.rejects(run(planFor({ url }), openSource, sink), { code: 'SourceTooShort' });
        assert.equal(sink.state, 'queued');
        assert(sink.bytes().length < data.length);
      }),
      { numRuns: 20 },
    );
  });

  test('that answers 404 opens no upload', async () => {
    answer = (response) => response.writeHead(404).end('<html>not here</html>');
    let uploads = 0;
    const upload: Upload = async () => {
      uploads++;
    };
    await assert.rejects(run(planFor({ url }), openSource, { upload }), { code: 'SourceNotFound', httpStatus: 404 });
    assert.equal(uploads, 0);
  });

  test('is hung up on when Glance refuses the upload', async () => {
    const hungUp = Promise.withResolvers<void>();
    answer = (response) => {
      response.on('close', () => hungUp.resolve());
      response.writeHead(200, { 'content-length': data.length }).write(data.subarray(0, 1_000_000));
    };
    const full = new OperatorError('Glance answered 413', { code: 'QuotaExceeded', retry: retry.after(60_000) });
    const upload: Upload = async (_imageID, body) => {
      await body[Symbol.asyncIterator]().next();
      throw full;
    };
    await assert.rejects(run(planFor({ url }), openSource, { upload }), full);
    await hungUp.promise;
  });
});
