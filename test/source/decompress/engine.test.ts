import assert from 'node:assert/strict';
import { describe, mock, test } from 'node:test';
import { createGunzip, createZstdDecompress, gzipSync } from 'node:zlib';
import { chunkSize, Engine } from '../../../src/source/decompress/engine.ts';
import { decompress } from '../../../src/source/decompress/index.ts';
import { compressors, mixed } from './files.ts';
import { body, limits, url } from './reading.ts';

const zeros = Buffer.alloc(50_000_000);

describe('an engine', () => {
  test('an engine decodes at most one chunk ahead of its reader', async () => {
    const decoder = createGunzip({ chunkSize });
    const engine = new Engine(decoder, (error) => error);
    const outputs = engine.write(gzipSync(zeros));
    let bytes = 0;
    for await (const chunk of outputs) {
      bytes += chunk.length;
      await new Promise(setImmediate);
      assert.ok(chunk.length <= chunkSize);
      assert.ok(decoder.readableLength <= chunkSize);
    }
    assert.equal(bytes, zeros.length);
    engine.close();
  });

  test('an engine can be closed during a write', async () => {
    const decoder = createGunzip({ chunkSize });
    const closed = new Promise((resolve) => decoder.once('close', resolve));
    const engine = new Engine(decoder, (error) => error);
    for await (const _ of engine.write(gzipSync(zeros))) break;
    engine.close();
    await closed;
    assert.ok(decoder.destroyed);
  });
});

const decoders = { gzip: createGunzip(), zstd: createZstdDecompress() };
for (const name of ['gzip', 'zstd'] as const)
  test(`the decoder of ${name} is closed at the end of the body, on abort and on failure`, async () => {
    const destroy = mock.method(Object.getPrototypeOf(decoders[name]), 'destroy');
    const file = compressors[name](mixed(600_000));
    const read = async (bytes: Uint8Array, givesUp: boolean) => {
      const before = destroy.mock.callCount();
      try {
        for await (const _ of decompress(body(bytes, [1000]), { mode: 'Auto', url, limits }).body) if (givesUp) break;
      } catch {}
      assert.ok(destroy.mock.callCount() > before);
    };
    await read(file, false);
    await read(file, true);
    await read(file.subarray(0, 5000), false);
    destroy.mock.restore();
  });
