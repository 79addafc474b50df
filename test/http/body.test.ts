/** Bounded reads, and bodies whose last chunk is held back. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type BodyCheck, holdBack, readBounded } from '../../src/http/body.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

async function* bodyOf(...chunks: (string | Error)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) {
    if (chunk instanceof Error) throw chunk;
    yield bytes(chunk);
  }
}

async function read(body: AsyncIterable<Uint8Array>): Promise<{ text: string; error?: unknown }> {
  let text = '';
  try {
    for await (const chunk of body) text += Buffer.from(chunk).toString();
    return { text };
  } catch (error) {
    return { text, error };
  }
}

const passes: BodyCheck = { finish: () => {} };

describe('a bounded read', () => {
  test('a bounded read returns a body that is as long as the limit', async () => {
    const { end, bytes: read } = await readBounded(bodyOf('ab', 'cd'), 4);
    assert.deepEqual([end, read.toString()], ['complete', 'abcd']);
  });

  test('a bounded read cuts a longer body at the limit and closes it', async () => {
    let closed = false;
    async function* endless() {
      try {
        for (;;) yield bytes('abc');
      } finally {
        closed = true;
      }
    }
    const { end, bytes: read } = await readBounded(endless(), 4);
    assert.deepEqual([end, read.toString(), closed], ['limit', 'abca', true]);
  });

  test('a bounded read of a body that fails keeps what came before the failure', async () => {
    const reset = new Error('reset');
    const result = await readBounded(bodyOf('ab', reset), 10);
    assert(result.end === 'failed');
    assert.deepEqual([result.bytes.toString(), result.error], ['ab', reset]);
  });
});

describe('a body that is held back', () => {
  test('a body that is held back passes all of its bytes on when its check passes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string()), async (chunks) => {
        assert.deepEqual(await read(holdBack(bodyOf(...chunks), passes)), { text: chunks.join('') });
      }),
    );
  });

  test('a body whose check fails ends before its last chunk, even if an empty one follows', async () => {
    const wrong = new Error('wrong');
    const check = {
      finish() {
        throw wrong;
      },
    };
    assert.deepEqual(await read(holdBack(bodyOf('ab', 'cd', ''), check)), { text: 'ab', error: wrong });
  });

  test('a body that is held back twice keeps one chunk back, and passes both checks in order', async () => {
    const calls: string[] = [];
    const check = (name: string): BodyCheck => ({
      update: (chunk) => calls.push(`${name} ${Buffer.from(chunk)}`),
      finish: () => calls.push(`${name} end`),
      passed: (chunk) => calls.push(`${name} passed ${Buffer.from(chunk)}`),
    });
    const body = holdBack(holdBack(bodyOf('1', '2', '3'), check('a')), check('b'))[Symbol.asyncIterator]();
    assert.deepEqual((await body.next()).value, bytes('1'));
    assert.deepEqual(calls, ['a 1', 'b 1', 'a 2', 'b 2']);
    calls.length = 0;
    await body.next();
    assert.deepEqual(calls, ['a passed 1', 'b passed 1', 'a 3', 'b 3']);
    calls.length = 0;
    assert.deepEqual((await body.next()).value, bytes('3'));
    assert.deepEqual(calls, ['a passed 2', 'b passed 2', 'a end', 'b end']);
  });

  test('each of two checks of a body can keep its last chunk back', async () => {
    const wrong = new Error('wrong');
    const fails: BodyCheck = {
      finish() {
        throw wrong;
      },
    };
    for (const [first, second] of [
      [fails, passes],
      [passes, fails],
    ] as const)
      assert.deepEqual(await read(holdBack(holdBack(bodyOf('a', 'b'), first), second)), { text: 'a', error: wrong });
  });

  test('returning a body that was never read closes its source', async () => {
    let closed = false;
    const source: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next: () => assert.fail('it was read'),
        async return() {
          closed = true;
          return { done: true, value: undefined };
        },
      }),
    };
    await holdBack(source, passes)[Symbol.asyncIterator]().return?.();
    assert.equal(closed, true);
  });

  test('what the source of a body throws is thrown to its reader', async () => {
    const reset = new Error('reset');
    assert.deepEqual(await read(holdBack(bodyOf('a', 'b', reset), passes)), { text: 'a', error: reset });
  });
});
