/** A download from servers that misbehave at random: its bytes are those of one file, or it fails. */
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Socket } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { createEgressPolicy } from '../../../src/http/egress.ts';
import { giveBack } from '../../../src/http/receive-buffers.ts';
import { OperatorError } from '../../../src/lib/errors.ts';
import { createMemoryBudget } from '../../../src/lib/memory-budget.ts';
import { openHttpSource } from '../../../src/source/http.ts';
import { createSharedDownloads, downloadsOf, readAheadBytes } from '../../../src/source/parallel/downloads.ts';
import { mostConnections } from '../../../src/source/parallel/width.ts';
import { createSourceTransport } from '../../../src/source/transport.ts';
import { generated } from '../../env/content.ts';
import { type Conduct, misbehaving, type Script } from './misbehaving-server.ts';

const kib = 1024;
const size = 72 * kib * kib + 7;
const versions = [generated(size, 'one').slice(0, size), generated(size, 'two').slice(0, size)] as const;
const mostTicks = 100_000;
/** `SEED` and `RUNS` in the environment repeat a failure, or search longer. */
const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
const numRuns = Number(process.env['RUNS'] ?? 8);

const unit = fc.double({ min: 0, max: 1, noNaN: true });
const sent: Conduct = { kind: 'sent', framing: 'length', headBytes: undefined };
const kinds: readonly fc.Arbitrary<Conduct>[] = [
  fc.record({
    kind: fc.constant('sent'),
    framing: fc.constantFrom('length', 'chunked', 'http/1.0', 'close'),
    headBytes: fc.constantFrom(undefined, 1, 20, 60),
  }),
  fc.record({ kind: fc.constant('paused'), at: unit, ticks: fc.constantFrom(3, 20, 600) }),
  fc.record({ kind: fc.constant('broken'), at: unit, how: fc.constantFrom('end', 'reset') }),
  fc.record({ kind: fc.constant('closed'), when: fc.constantFrom('before', 'in the head', 'after') }),
  fc.constant({ kind: 'silent' }),
  fc.constant({ kind: 'deaf' }),
  fc
    .record({
      kind: fc.constant('other range'),
      begin: fc.constantFrom(-1, 0, 1),
      end: fc.constantFrom(-70_000, -1, 1, 70_000),
      isLabelled: fc.boolean(),
    })
    // No reader could notice other bytes with the right label.
    .map((range) => ({ ...range, isLabelled: range.isLabelled || range.begin !== 0 })),
  fc.record({
    kind: fc.constant('other range'),
    begin: fc.constant(0),
    end: fc.constantFrom(-70_000, -1),
    isLabelled: fc.constant(true),
  }),
  fc.constant({ kind: 'whole' }),
  fc.record({
    kind: fc.constant('status'),
    status: fc.constantFrom(206, 301, 403, 404, 416, 429, 503),
    body: fc.constantFrom('', 'text'),
  }),
  fc.constant({ kind: 'other file' }),
  fc.record({
    kind: fc.constant('followed'),
    by: fc.constantFrom('garbage', 'the same response', 'a line end', 'a failure'),
  }),
];

const script = (onlyParts: boolean): fc.Arbitrary<Script> =>
  fc.record({
    rate: fc.constantFrom(16 * kib, 50_001, 128 * kib),
    // Few kinds in one script: after some of them only one connection is used.
    conducts: fc
      .shuffledSubarray([...kinds], { minLength: 1, maxLength: 3 })
      .chain((some) =>
        fc.array(fc.oneof({ weight: 5, arbitrary: fc.constant(sent) }, ...some), { minLength: 10, maxLength: 80 }),
      )
      // The first connection is in order, and the second one: otherwise no other follows.
      .map((more) => (onlyParts ? [sent, ...more] : [sent, sent, ...more])),
    onlyParts: fc.constant(onlyParts),
    changesAt: onlyParts
      ? fc.constant(undefined)
      : fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.nat(40) }),
  });

/** The reader holds so many pieces before it compares the first of them and gives it back. */
const reader = fc.record({
  held: fc.constantFrom(0, 1, 5, 30),
  pause: fc.constantFrom(0, 0, 1, 3),
  slowFrom: fc.constantFrom(0, 100, 200, 400),
});

async function download(plan: Script, { held, pause, slowFrom }: { held: number; pause: number; slowFrom: number }) {
  const server = await misbehaving(versions, plan);
  const transport = createSourceTransport(createEgressPolicy({ allow: ['127.0.0.1'], deny: [] }));
  const readAhead = createMemoryBudget(readAheadBytes);
  const sockets = new Set<Socket>();
  let mostOpen = 0;
  const opened = (message: unknown) => {
    if (typeof message !== 'object' || message === null || !('socket' in message)) return;
    if (!(message.socket instanceof Socket)) return;
    sockets.add(message.socket);
    // A client that is closed while it connects closes its connection only when it is open.
    mostOpen = Math.max(mostOpen, [...sockets].filter(({ readyState }) => readyState === 'open').length);
  };
  subscribe('net.client.socket', opened);
  const controller = new AbortController();
  let at = 0;
  let possible = [0, 1];
  const pieces: Uint8Array[] = [];
  let count = 0;
  const take = () => {
    const piece = pieces.shift();
    if (piece === undefined) return;
    possible = possible.filter((each) => versions[each]?.subarray(at, at + piece.length).equals(piece));
    assert(possible.length > 0, `bytes of no file from ${at} on\n${server.seen.requests.join('\n')}`);
    at += piece.length;
    giveBack(piece);
  };
  const stop = setInterval(() => {
    if (server.seen.ticks > mostTicks) controller.abort(new Error('it does not end'));
  }, 50);
  let failure: unknown;
  try {
    const source = await openHttpSource({
      urls: [server.url],
      transport,
      clock: server.clock,
      random: () => 0.5,
      hasDigest: false,
      downloads: { ...downloadsOf(createSharedDownloads().join(), server.clock), readAhead },
      limits: { maxBytes: size, stallBytes: 1, stallWindowMs: 20_000 },
      signal: controller.signal,
    });
    for await (const piece of source.body) {
      pieces.push(piece);
      count++;
      if (pieces.length > held) take();
      // A reader that is slow from the beginning needs no further connections.
      if (count > slowFrom) for (let turn = 0; turn < pause; turn++) await new Promise(setImmediate);
    }
    while (pieces.length > 0) take();
    assert.equal(at, size);
  } catch (error) {
    failure = error;
  } finally {
    clearInterval(stop);
    unsubscribe('net.client.socket', opened);
  }
  try {
    if (failure !== undefined && !(failure instanceof OperatorError)) throw failure;
    while (pieces.length > 0) take();
    assert.equal(readAhead.used, 0);
    assert(mostOpen <= mostConnections, `${mostOpen} connections`);
    for (let turn = 0; turn < 200 && [...sockets].some(({ destroyed }) => !destroyed); turn++)
      await new Promise(setImmediate);
    assert.equal([...sockets].filter(({ destroyed }) => !destroyed).length, 0, 'connections stay open');
  } finally {
    server.close();
    await transport.close();
  }
  return { failure, mostOpen, requests: server.seen.requests };
}

test('a download from a server that misbehaves at random is exact or fails, and leaves nothing open', async (t) => {
  t.diagnostic(`seed ${seed}`);
  const used: number[] = [];
  const law = fc.asyncProperty(script(false), reader, async (plan, how) => {
    used.push((await download(plan, how)).mostOpen);
  });
  await fc.assert(law, { seed, numRuns, endOnFailure: true });
  assert(used.length < 8 || Math.max(...used) > 4, 'further connections were used');
});

test('a download from a server that sends only the parts wrongly succeeds, as by one connection', async (t) => {
  t.diagnostic(`seed ${seed}`);
  const law = fc.asyncProperty(script(true), reader, async (plan, how) => {
    const { failure, requests } = await download(plan, how);
    assert.equal(failure, undefined, `${failure}\n${requests.join('\n')}`);
  });
  await fc.assert(law, { seed, numRuns, endOnFailure: true });
});
