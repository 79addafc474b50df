import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { type FaultProxy, startProxy } from './proxy.ts';
import type { StreamFault } from './stream-faults.ts';

describe('the fault proxy in the middle of a stream', () => {
  // Three lines in four writes, and then nothing more until the client goes.
  const server = createServer((_, response) => {
    response.on('error', () => {});
    for (const piece of ['first\nsec', 'ond\n', 'thi', 'rd\n']) response.write(piece);
  });
  let proxy: FaultProxy;
  before(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    proxy = await startProxy({ url: `http://127.0.0.1:${port}` });
  });
  after(async () => {
    await proxy[Symbol.asyncDispose]();
    server.closeAllConnections();
    server.close();
  });

  /** Reads until `enough` has arrived. Reports how the response went on: it ended, broke off, or stayed open. */
  async function read(lines: number, fault: StreamFault, enough?: string): Promise<[text: string, end: string]> {
    const removed = proxy.on({ matches: () => true, fault: { kind: 'afterLines', lines, what: fault } });
    const client = new AbortController();
    let text = '';
    try {
      const { body } = await fetch(proxy.url, { signal: client.signal });
      for await (const chunk of body ?? []) {
        text += Buffer.from(chunk).toString();
        if (text === enough) return [text, 'open'];
      }
      return [text, 'ended'];
    } catch {
      return [text, 'broken'];
    } finally {
      client.abort();
      removed();
    }
  }

  test('the proxy resets, ends or stalls a stream after a number of lines', async () => {
    assert.deepEqual(await read(1, 'cut'), ['first\n', 'broken']);
    assert.deepEqual(await read(2, 'end'), ['first\nsecond\n', 'ended']);
    assert.deepEqual(await read(0, 'end'), ['', 'ended']);
    assert.deepEqual(await read(1, 'silence', 'first\n'), ['first\n', 'open']);
  });

  test('the proxy cuts a line of a stream in two and ends the stream', async () => {
    const [text, end] = await read(1, 'halfLine');
    assert.match(text, /^first\ns[econd]*$/);
    assert.equal(end, 'ended');
  });

  test('the proxy adds a line to a stream and passes on the rest', async () => {
    const all = 'first\nadded\nsecond\nthird\n';
    assert.deepEqual(await read(1, { insert: 'added' }, all), [all, 'open']);
  });
});
