import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Input } from '../../../src/source/decompress/input.ts';

test('a body that is closed during a read is not read again, although a decoder reads ahead', async () => {
  const arrived = Promise.withResolvers<Uint8Array>();
  let reads = 0;
  const body: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({
      async next() {
        reads++;
        return { done: false, value: await arrived.promise };
      },
      return: async () => ({ done: true, value: undefined }),
    }),
  };
  const input = new Input(body);
  const reading = input.next(10);
  await input.close();
  arrived.resolve(Buffer.of(1));
  await reading;
  assert.equal(await input.next(10), undefined);
  assert.equal(reads, 1);
});
