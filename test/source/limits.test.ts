import assert from 'node:assert/strict';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { createEgressPolicy } from '../../src/http/egress.ts';
import { createSourceTransport } from '../../src/source/transport.ts';
import { generated } from '../env/content.ts';
import { type Source as Server, startSource } from '../env/source.ts';
import { assertFailed, assertHungUp, download, loopback } from './download.ts';
import { listen } from './server.ts';

const transport = loopback();
let server: Server;
before(async () => {
  server = await startSource();
});
after(async () => {
  await assertHungUp([server]);
  await transport.close();
  await server.stop();
});

const get = (url: string, limits = {}) => download([url], { servers: [server], transport, limits });

describe('a source that wastes our time ends with a reason of its own', () => {
  test('a source that never responds to a request ends with its own reason', async () => {
    const url = server.add('/silent', { body: generated(1000), fault: { kind: 'never-answers' } });
    assertFailed(await get(url), 'SourceSilent', /did not respond: the wait for its response took longer than 30 s/);
  });

  test('a source that responds and then sends nothing ends with its own reason', async () => {
    const url = server.add('/empty', { body: generated(1000), fault: { kind: 'stallAt', byte: 0 } });
    assertFailed(await get(url), 'SourceStalled', /sent fewer than 1000 bytes in 60 s, after 0 of 1000 bytes/);
  });

  test('a source that sends without end ends with its own reason', async () => {
    const endless = { size: Number.MAX_SAFE_INTEGER, slice: (start: number, end: number) => Buffer.alloc(end - start) };
    const url = server.add('/endless', { body: endless, contentLength: 'none' });
    const result = await get(url, { maxBytes: 5_000_000 });
    assertFailed(result, 'SourceTooLong', /sent \d+ bytes; the limit is 5000000 bytes/);
    assert.ok(result.bytes.length <= 5_000_000);
  });

  test('a source with endless redirects ends with its own reason', async () => {
    server.add('/there', { body: generated(1000), fault: { kind: 'redirect', to: '/back' } });
    const url = server.add('/back', { body: generated(1000), fault: { kind: 'redirect', to: '/there' } });
    assertFailed(await get(url), 'SourceInvalid', /redirects lead in a circle/);
  });

  test('a source that never completes the TLS handshake ends with its own reason', async () => {
    const sockets: Socket[] = [];
    const mute = createTcpServer((socket) => sockets.push(socket));
    const url = `https://127.0.0.1:${await listen(mute)}/image.raw`;
    const hasty = createSourceTransport(createEgressPolicy({ allow: ['127.0.0.1'], deny: [] }), {
      connectTimeoutMs: 50,
    });
    const result = await download([url], { servers: [server], transport: hasty });
    assertFailed(result, 'SourceUnreachable', /timeout/i);
    assert.equal(sockets.length, 4);
    await hasty.close();
    for (const socket of sockets) socket.destroy();
    mute.close();
  });
});

describe('a coding that was not asked for', () => {
  const coded = (path: string, coding: string) =>
    get(server.add(path, { body: generated(1000), headers: { 'content-encoding': coding } }));

  test('an unrequested coding is rejected, because its bytes differ from the file', async () => {
    for (const [path, coding] of [
      ['/image.raw', 'gzip'],
      ['/image.gz', 'br'],
      ['/image.gz', 'gzip, gzip'],
      ['/image.raw', 'constructor'],
    ] as const)
      assertFailed(
        await coded(path, coding),
        'SourceInvalid',
        /content-encoding .* the server must send the file unchanged/,
      );
  });

  test('a coding that only names the compression of the file is accepted', async () => {
    for (const [path, coding] of [
      ['/image.raw.gz', 'gzip'],
      ['/image.RAW.GZ', 'x-gzip'],
      ['/image.tar.xz', 'xz'],
      ['/image.zst', 'zstd'],
      ['/image.bz2', 'x-bzip2'],
      ['/image.raw', 'identity'],
    ] as const) {
      const result = await coded(path, coding);
      assert.equal(result.error, undefined);
      assert.deepEqual(result.bytes, generated(1000).slice(0, 1000));
    }
  });
});
