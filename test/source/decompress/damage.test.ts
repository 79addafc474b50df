/**
 * However a file is damaged on its way: the output is right, or there is an error. Never a crash, a hang, or a byte more
 * than the limit.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { magicBytes } from '../../../src/source/decompress/magic.ts';
import { compressions, compressors, mixed, tool } from './files.ts';
import { body, type Outcome, outcome } from './reading.ts';

const first = mixed(9000, 'first');
const second = mixed(3000, 'second');
const whole = Buffer.concat([first, second]);

/** Of two parts, whose end between them is the only place where a cut cannot be seen. */
const files = compressions.map((name) => {
  const parts = [compressors[name](first), compressors[name](second)] as const;
  return { name, file: Buffer.concat(parts), boundary: parts[0].length };
});
const cuts = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 5 });
const limits = { maxBytes: 20_000 };

function holds({ bytes, error }: Outcome, expected: Uint8Array): void {
  assert.ok(bytes.length <= limits.maxBytes);
  if (error === undefined) assert.ok(bytes.equals(expected), `${bytes.length} wrong bytes`);
  else assert.ok(['CompressionInvalid', 'CompressionCutOff', 'CompressionBomb'].includes(error.code));
}

for (const { name, file, boundary } of files)
  describe(`a file of ${name}`, () => {
    const inside = fc.integer({ min: magicBytes, max: file.length - 1 });

    test('a truncated file is an error', async () => {
      await fc.assert(
        fc.asyncProperty(inside, cuts, async (length, lengths) => {
          const { bytes, error } = await outcome(body(file.subarray(0, length), lengths), limits);
          if (length === boundary) assert.ok(error === undefined && bytes.equals(first));
          else assert.match(error?.code ?? '', /^Compression(?:Invalid|CutOff)$/);
        }),
        { seed: 3, numRuns: 100, examples: [[boundary, [1000]]] },
      );
    });

    test('a file with a few changed bytes is correct or an error', async () => {
      const changes = fc.array(fc.tuple(inside, fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 3 });
      await fc.assert(
        fc.asyncProperty(changes, cuts, async (list, lengths) => {
          const changed = Buffer.from(file);
          for (const [at, mask] of list) changed[at] = (changed[at] ?? 0) ^ mask;
          holds(await outcome(body(changed, lengths), limits), whole);
        }),
        { seed: 4, numRuns: 300 },
      );
    });

    test('a file with a part lost, doubled, moved or overwritten is correct or an error', async () => {
      const damage = fc.constantFrom<(before: Buffer, part: Buffer, after: Buffer) => Buffer[]>(
        (before, _part, after) => [before, after],
        (before, part, after) => [before, part, part, after],
        (before, part, after) => [before, after, part],
        (before, part, after) => [before, Buffer.alloc(part.length), after],
        (before, part, after) => [before, Buffer.alloc(part.length, 0xff), after],
      );
      const lengthOf = fc.integer({ min: 1, max: 2000 });
      await fc.assert(
        fc.asyncProperty(damage, inside, lengthOf, cuts, async (damaging, at, length, lengths) => {
          const parts = [file.subarray(0, at), file.subarray(at, at + length), file.subarray(at + length)] as const;
          // Parts that are whole members make a file that is right, but another one.
          fc.pre(at !== boundary && at + length !== boundary && at + length < file.length);
          holds(await outcome(body(Buffer.concat(damaging(...parts)), lengths), limits), whole);
        }),
        { seed: 5, numRuns: 150 },
      );
    });

    test('a valid header followed by garbage is rejected', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.integer({ min: magicBytes, max: 200 }),
          fc.uint8Array({ minLength: 1, maxLength: 5000 }),
          async (length, noise) => {
            const { error } = await outcome(body(Buffer.concat([file.subarray(0, length), noise]), [100]), limits);
            assert.ok(error !== undefined);
          },
        ),
        { seed: 6, numRuns: 100 },
      );
    });
  });

test('a damaged bzip2 file is rejected where the tool rejects it', async () => {
  const [, , , bzip2] = files;
  assert.ok(bzip2 !== undefined);
  const start = bzip2.file.subarray(0, bzip2.boundary);
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 4, max: 200 }), fc.integer({ min: 1, max: 255 }), async (at, mask) => {
      const changed = Buffer.from(start);
      changed[at] = (changed[at] ?? 0) ^ mask;
      let right: Buffer | undefined;
      try {
        right = tool('bzip2 -dc', changed);
      } catch {}
      const { bytes, error } = await outcome(body(changed));
      assert.equal(error === undefined, right !== undefined);
      if (right !== undefined) assert.ok(bytes.equals(right));
    }),
    { seed: 7, numRuns: 100 },
  );
});
