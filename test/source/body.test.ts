import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { type Clock, systemClock } from '../../src/lib/clock.ts';
import { readBody } from '../../src/source/body.ts';
import { createVirtualClock } from '../clock.ts';
import { failsWith, limits, read, useServer } from './server.ts';

const { open } = useServer();

/** The options for a body that is the whole of a file of `size` bytes. */
const whole = (body: Readable, size: number | undefined) => ({
  ...{ body, start: 0, end: size, wanted: 0, size },
  stop: (error: Error) => void body.destroy(error),
});

describe('a broken body', () => {
  test('a body shorter than announced is SourceTooShort', async () => {
    const source = await open((_request, response) => {
      response.socket?.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nfirst bytes');
    });
    await assert.rejects(read(source), failsWith('SourceTooShort', /after 11 of 100 bytes/, 'backoff'));
  });

  test('a body that ends before the end of its range is SourceTooShort, whatever its framing', async () => {
    const body = Readable.from([Buffer.from('first bytes')]);
    const chunks = readBody({
      ...whole(body, 100),
      url: 'http://example.com/',
      ...{ clock: systemClock, limits },
      signal: new AbortController().signal,
    });
    await assert.rejects(
      async () => {
        for await (const _ of chunks);
      },
      failsWith('SourceTooShort', /after 11 of 100 bytes/),
    );
  });

  for (const connection of ['keep-alive', 'close'])
    for (const framing of ['content-length: 100', 'transfer-encoding: chunked'])
      test(`a body cut by a reset is SourceTooShort (${framing}, connection: ${connection})`, async () => {
        const reset = Promise.withResolvers<void>();
        const source = await open((_request, response) => {
          const start = framing.startsWith('transfer') ? 'b\r\nfirst bytes\r\n' : 'first bytes';
          response.socket?.write(`HTTP/1.1 200 OK\r\nconnection: ${connection}\r\n${framing}\r\n\r\n${start}`);
          reset.promise.then(() => response.socket?.resetAndDestroy());
        });
        const body = source.body[Symbol.asyncIterator]();
        assert.equal(Buffer.from((await body.next()).value).toString(), 'first bytes');
        reset.resolve();
        await assert.rejects(body.next(), failsWith('SourceTooShort', /after 11 /, 'backoff'));
      });

  test('a chunked body that ends without its last chunk is SourceTooShort', async () => {
    for (const connection of ['keep-alive', 'close']) {
      const source = await open((_request, response) => {
        const head = `HTTP/1.1 200 OK\r\nconnection: ${connection}\r\ntransfer-encoding: chunked\r\n\r\n`;
        response.socket?.end(`${head}b\r\nfirst bytes\r\n`);
      });
      await assert.rejects(read(source), failsWith('SourceTooShort', /after 11 bytes/));
    }
  });

  test('a body longer than announced is SourceTooLong', async () => {
    const bytes = Readable.from([Buffer.from('12345'), Buffer.from('678901')]);
    const { signal } = new AbortController();
    const url = new URL('http://example.com/x');
    const body = readBody({ ...whole(bytes, 10), url, clock: systemClock, limits, signal });
    assert.equal((await body.next()).value?.length, 5);
    await assert.rejects(body.next(), failsWith('SourceTooLong', /more than the 10 bytes/));
    assert.equal(bytes.destroyed, true);
  });
});

describe('deadlines of a source', () => {
  test('the wait for a response ends after 30 s, twice', async () => {
    const clock = createVirtualClock();
    const asked = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let count = 0;
    const failed = assert.rejects(
      open(() => asked[count++]?.resolve(), { clock }),
      failsWith('SourceSilent', /did not respond: .* 30 s/, 'backoff'),
    );
    await asked[0]?.promise;
    await clock.advance(29_999);
    assert.equal(clock.pending, 1);
    await clock.advance(1 + 1000);
    await asked[1]?.promise;
    await clock.advance(30_000);
    await failed;
    assert.equal(clock.pending, 0);
  });

  /** A source that has sent 4 bytes of 8 and sends the rest on demand. */
  async function halfSent() {
    const clock = createVirtualClock();
    const rest = Promise.withResolvers<string>();
    const source = await open(
      (_request, response) => {
        response.writeHead(200, { 'content-length': 8 }).write('half');
        rest.promise.then((text) => response.end(text));
      },
      { clock },
    );
    const body = source.body[Symbol.asyncIterator]();
    await body.next();
    return { clock, body, send: rest.resolve };
  }

  test('a deadline ends a body without further data', async () => {
    const { clock, body } = await halfSent();
    const stalled = failsWith('SourceStalled', /fewer than 100 bytes in 60 s, after 4 of 8 bytes/, 'backoff');
    const failed = assert.rejects(body.next(), stalled);
    await clock.advance(59_999);
    assert.equal(clock.pending, 1);
    await clock.advance(1);
    await failed;
    assert.equal(clock.pending, 0);
  });

  test('a deadline of the body does not run while the reader pauses', async () => {
    const { clock, body, send } = await halfSent();
    await clock.advance(3_600_000);
    const next = body.next();
    await clock.advance(59_999);
    send('more');
    assert.equal((await next).value?.length, 4);
    assert.equal((await body.next()).done, true);
    assert.equal(clock.pending, 0);
  });

  test('a deadline ends a body that trickles, but not one that is merely slow', async () => {
    const url = new URL('http://example.com/x');
    const { signal } = new AbortController();
    const feed = async (chunkBytes: number) => {
      const clock = createVirtualClock();
      const bytes = new Readable({ read() {} });
      const body = readBody({ ...whole(bytes, undefined), url, clock, limits, signal });
      for (let i = 0; i < 20; i++) {
        const [next] = await Promise.allSettled([
          body.next(),
          clock.advance(20_000).then(() => bytes.push(Buffer.alloc(chunkBytes))),
        ]);
        if (next.status === 'rejected') throw next.reason;
      }
      await body.return();
    };
    // Of three chunks in a window the one that falls on its end counts for the next.
    await feed(50);
    await assert.rejects(feed(30), failsWith('SourceStalled', /fewer than 100 bytes/));
  });
});

describe('aborting a source', () => {
  test('an abort while a source opens rejects with the given reason', async () => {
    const controller = new AbortController();
    const reason = new Error('not wanted any more');
    await assert.rejects(
      open(() => controller.abort(reason), { signal: controller.signal }),
      reason,
    );
  });

  test('an abort during reading rejects with the given reason and closes the connection', async () => {
    const controller = new AbortController();
    const reason = new Error('not wanted any more');
    const hungUp = Promise.withResolvers<void>();
    const source = await open(
      (_request, response) => {
        response.on('close', () => hungUp.resolve());
        response.write('bytes');
      },
      { signal: controller.signal },
    );
    const body = source.body[Symbol.asyncIterator]();
    await body.next();
    const next = body.next();
    controller.abort(reason);
    await assert.rejects(next, reason);
    await hungUp.promise;
  });

  test('an abort during the pause before a retry rejects with the given reason', async () => {
    const clock = createVirtualClock();
    const controller = new AbortController();
    const reason = new Error('not wanted any more');
    const pausing = Promise.withResolvers<void>();
    const sleep: Clock['sleep'] = (ms, signal) => {
      pausing.resolve();
      return clock.sleep(ms, signal);
    };
    const opened = open((_request, response) => response.writeHead(503).end(), {
      clock: { ...clock, sleep },
      signal: controller.signal,
    });
    await pausing.promise;
    controller.abort(reason);
    await assert.rejects(opened, reason);
    assert.equal(clock.pending, 0);
  });

  test('an abort closes the connection of a source that was never read', async () => {
    const controller = new AbortController();
    const hungUp = Promise.withResolvers<void>();
    await open(
      (_request, response) => {
        response.on('close', () => hungUp.resolve());
        response.write('bytes');
      },
      { signal: controller.signal },
    );
    controller.abort(new Error('not wanted any more'));
    await hungUp.promise;
  });

  test('a reader that stops early closes the connection', async () => {
    const hungUp = Promise.withResolvers<void>();
    const source = await open((_request, response) => {
      response.on('close', () => hungUp.resolve());
      response.write('bytes');
    });
    for await (const _chunk of source.body) break;
    await hungUp.promise;
  });
});
