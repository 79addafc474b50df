import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createStripes } from '../../../src/source/parallel/stripes.ts';

const byteAt = (at: number) => (at * 7 + (at >> 8)) & 0xff;

test('stripes come in order and without a gap, up to the first byte that a connection did not send, within their bounds', async () => {
  const cases = fc.record({
    size: fc.integer({ min: 1, max: 3000 }),
    from: fc.nat(500),
    stripeBytes: fc.integer({ min: 1, max: 400 }),
    piece: fc.integer({ min: 1, max: 300 }),
    connections: fc.integer({ min: 1, max: 8 }),
    /** The stripe that begins nearest after this byte breaks in its middle. */
    breaksAt: fc.option(fc.nat(3000), { nil: undefined }),
    breaksBy: fc.constantFrom('an error', 'an end'),
    heldStripes: fc.constantFrom(4, 40),
    turns: fc.infiniteStream(fc.nat(4)),
  });
  await fc.assert(
    fc.asyncProperty(
      cases,
      async ({ size, from: wanted, stripeBytes, piece, connections, breaksAt, breaksBy, heldStripes, turns }) => {
        const from = Math.min(wanted, size);
        const heldBytes = stripeBytes * heldStripes;
        let delivered = from;
        let arrived = 0;
        let reading = 0;
        let broken: number | undefined;
        async function* read(begin: number, end: number) {
          reading++;
          assert(reading <= 2 * connections, `${reading} stripes are read at once`);
          assert(end - delivered <= heldBytes, 'too much is held');
          try {
            for (let at = begin; at < end; at += piece) {
              for (let turn = turns.next().value ?? 0; turn > 0; turn--) await new Promise(setImmediate);
              if (broken === undefined && breaksAt !== undefined && at >= breaksAt) {
                broken = at;
                if (breaksBy === 'an end') return;
                throw new Error('broken');
              }
              yield Buffer.from(Array.from({ length: Math.min(piece, end - at) }, (_, offset) => byteAt(at + offset)));
            }
          } finally {
            reading--;
          }
        }
        let channels = 0;
        const openChannel = () => {
          assert(++channels <= connections, `${channels} connections`);
          let last = Promise.resolve();
          return {
            // As a connection does: a stripe comes after the one before.
            async *read(begin: number, end: number) {
              const due = last;
              const { promise, resolve } = Promise.withResolvers<void>();
              last = promise;
              try {
                await due;
                yield* read(begin, end);
              } finally {
                resolve();
              }
            },
          };
        };
        const stripes = createStripes({
          openChannel,
          from,
          to: size,
          stripeBytes: () => stripeBytes,
          heldBytes: () => heldBytes,
          onArrival(bytes) {
            arrived += bytes;
          },
          connections: () => connections,
        });
        for (let chunk = await stripes.next(); chunk !== undefined; chunk = await stripes.next()) {
          for (const byte of chunk) assert.equal(byte, byteAt(delivered++));
        }
        assert.equal(delivered, broken ?? size);
        assert(arrived >= delivered - from);
        if (broken !== undefined) assert.equal(stripes.hasBegun(), false);
      },
    ),
    { numRuns: 100 },
  );
});

test('no stripe is begun while none may be read, and those that were begun are delivered', async () => {
  let allowed = 2;
  const begun: number[] = [];
  async function* read(begin: number, end: number) {
    begun.push(begin);
    yield Buffer.alloc(end - begin);
  }
  const options = { from: 0, to: 100, stripeBytes: () => 10, heldBytes: () => 40, onArrival: () => {} };
  const stripes = createStripes({ ...options, openChannel: () => ({ read }), connections: () => allowed });
  allowed = 0;
  let bytes = 0;
  for (let chunk = await stripes.next(); chunk !== undefined; chunk = await stripes.next()) bytes += chunk.length;
  assert.deepEqual(begun, [0, 10]);
  assert.equal(bytes, 20);
});

test('a reader of stripes shows whether the first stripe has begun to arrive', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  async function* read(begin: number, end: number) {
    await promise;
    yield Buffer.alloc(end - begin);
  }
  const options = {
    from: 0,
    to: 10,
    stripeBytes: () => 10,
    heldBytes: () => 40,
    onArrival: () => {},
    connections: () => 1,
  };
  const stripes = createStripes({ ...options, openChannel: () => ({ read }) });
  assert.equal(stripes.hasBegun(), undefined);
  resolve();
  await stripes.next();
  const broken = async function* (): AsyncGenerator<Uint8Array> {
    yield await Promise.reject<Uint8Array>(new Error('broken'));
  };
  const failing = createStripes({ ...options, openChannel: () => ({ read: broken }) });
  assert.equal(await failing.next(), undefined);
  assert.equal(failing.hasBegun(), false);
});
