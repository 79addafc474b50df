import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { Socket } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildConnector } from 'undici';
import {
  createPool,
  createReceiveBuffers,
  giveBack,
  noConnections,
  receiving,
} from '../../src/http/receive-buffers.ts';
import { listen } from '../openstack/stub.ts';

const mib = 2 ** 20;

/** What Node does with the buffers of a connection that receives pieces of these lengths. Returns the end of the connection. */
function receive(
  lengths: readonly number[],
  onPiece: (piece: Uint8Array) => void,
  pool = createPool(noConnections()),
): () => void {
  const buffers = createReceiveBuffers(pool, 'reads');
  const socket = new Socket();
  socket.push = (piece) => {
    onPiece(piece);
    return true;
  };
  buffers.receiveFor(socket);
  const { buffer, callback } = buffers.onread;
  assert(typeof buffer === 'function');
  let next = buffer();
  for (const length of lengths) {
    const bytes = Math.min(length, next.length);
    next.fill((Math.imul(length, 31) + bytes) & 0xff, 0, bytes);
    callback(bytes, next);
    next = buffer();
  }
  return () => void socket.emit('close');
}

test('a piece that was not given back keeps its bytes, whatever was given back before it', () => {
  const step = fc.record({ length: fc.integer({ min: 1, max: 300_000 }), readers: fc.integer({ min: 0, max: 20 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const held: { piece: Uint8Array; copy: Buffer }[] = [];
      let at = 0;
      const lengths = steps.map(({ length }) => length);
      receive(lengths, (piece) => {
        held.push({ piece, copy: Buffer.from(piece) });
        const { readers = 0 } = steps[at++] ?? {};
        let last: Uint8Array | undefined;
        while (held.length > readers) last = held.shift()?.piece;
        if (last !== undefined) giveBack(last);
        for (const { piece: kept, copy } of held) assert(copy.equals(kept));
      });
    }),
    { numRuns: 60 },
  );
});

test('a connection whose pieces are given back needs the same few buffers for any number of bytes', () => {
  const memory = new Set<ArrayBufferLike>();
  const lengths = Array.from({ length: 4096 }, () => 64 * 1024);
  receive(lengths, (piece) => {
    memory.add(piece.buffer);
    giveBack(piece);
  });
  assert(memory.size <= 4, `${memory.size} buffers`);
});

test('connections that read parts of a file one after the other use the same buffers, except the last two of each', () => {
  const memory = new Set<ArrayBufferLike>();
  const pool = createPool(noConnections());
  const lengths = Array.from({ length: 64 }, () => 64 * 1024);
  for (let connection = 0; connection < 50; connection++)
    receive(
      lengths,
      (piece) => {
        memory.add(piece.buffer);
        giveBack(piece);
      },
      pool,
    );
  // They receive into some 1600 in all.
  assert(memory.size <= 110, `${memory.size} buffers`);
});

test('of what is given back no more than 4 MiB is kept for each open connection, however much it is at once', () => {
  const pool = createPool(noConnections());
  const kept = () => pool.all.free.reduce((sum, { length }) => sum + length, 0);
  const lengths = Array.from({ length: 60 }, () => 128 * 1024);
  receive(lengths.slice(0, 3), giveBack, pool)();
  const connections = Array.from({ length: 8 }, () => {
    const pieces: Uint8Array[] = [];
    const end = receive(lengths, (piece) => void pieces.push(piece), pool);
    return { last: pieces.at(-1) ?? assert.fail(), end };
  });
  for (const { last } of connections) giveBack(last);
  assert.equal(kept(), 32 * mib);
  for (const [ended, { end }] of connections.entries()) {
    end();
    assert(kept() <= Math.max(7 - ended, 1) * 4 * mib, `${kept()} bytes`);
  }
});

for (const { others, readers, most } of [
  { others: 63, readers: 1, most: 2 },
  { others: 0, readers: 3, most: 8 },
])
  test(`one of ${others + readers} connections, of which ${readers} read one file, refers to ${most} MiB of what no reader gives back`, () => {
    const pool = createPool({ ...noConnections(), open: others });
    let last: Uint8Array | undefined;
    for (let reader = 0; reader < readers; reader++)
      receive(
        Array.from({ length: 100 }, () => 256 * 1024),
        (piece) => {
          if (last === undefined) giveBack(piece);
          last = piece;
        },
        pool,
      );
    giveBack(last ?? assert.fail());
    // All but the one that is being filled.
    const kept = pool.all.free.reduce((sum, { length }) => sum + length, 0);
    assert(kept < most * mib && kept > (most - 1) * mib, `${kept} bytes`);
  });

test('several connections share the length of the reads of one, and none reads less than 256 KiB', () => {
  const all = noConnections();
  const connect = () => {
    const seen: number[] = [];
    const pool = createPool(all);
    const end = receive(
      [1, ...Array.from({ length: 8 }, () => 2 * mib)],
      (piece) => {
        seen.push(piece.length);
        giveBack(piece);
      },
      pool,
    );
    return { length: seen.at(-1), end };
  };
  const open = Array.from({ length: 6 }, connect);
  assert.deepEqual(
    open.map(({ length }) => (length ?? 0) / 1024),
    [1024, 512, 320, 256, 256, 256],
  );
  for (const { end } of open) end();
  assert.equal(connect().length, mib);
});

test('a file uses the memory of the one before, and memory that no connection can use is returned to the system at once', () => {
  const all = noConnections();
  const isReturned = (buffer: ArrayBufferLike | undefined) => buffer instanceof ArrayBuffer && buffer.detached;
  const download = () => {
    const used: Uint8Array[] = [];
    const lengths = [1, ...Array.from({ length: 9 }, () => mib)];
    const end = receive(lengths, (piece) => used.push(piece) < lengths.length && giveBack(piece), createPool(all));
    const last = used.at(-1) ?? assert.fail();
    return { large: used.slice(2).map(({ buffer }) => buffer), end, giveLast: () => giveBack(last) };
  };
  const first = download();
  first.giveLast();
  first.end();
  const second = download();
  assert(second.large.some((buffer) => first.large.includes(buffer)));
  second.giveLast();
  // With two connections, each has shorter buffers.
  const third = download();
  assert(isReturned(second.large.at(-1)));
  second.end();
  third.giveLast();
  assert(isReturned(third.large.at(-1)));
});

test('memory that is kept has the length of the next reads: other memory is returned when a connection is made or ends', () => {
  const all = noConnections();
  const kept = () => new Set(all.free.map(({ length }) => length));
  const download = () => {
    const pieces: Uint8Array[] = [];
    const end = receive([1, mib, mib, mib], (piece) => pieces.push(piece) === 1 && giveBack(piece), createPool(all));
    giveBack(pieces.at(-1) ?? assert.fail());
    return end;
  };
  const endFirst = download();
  assert.deepEqual(kept(), new Set([mib]));
  const endSecond = receive([], giveBack, createPool(all));
  assert.deepEqual(kept(), new Set());
  endFirst();
  download()();
  assert.deepEqual(kept(), new Set());
  endSecond();
  download();
  assert.deepEqual(kept(), new Set([mib]));
});

test('a connection whose reader gives nothing back uses none of the memory that others have given back', () => {
  // With so many, one more changes the length of none.
  const all = { ...noConnections(), open: 8 };
  const pieces: Uint8Array[] = [];
  receive([1, mib, mib, mib], (piece) => pieces.push(piece) === 1 && giveBack(piece), createPool(all));
  giveBack(pieces.at(-1) ?? assert.fail());
  assert(all.free.length > 0);
  receive([mib, mib], (piece) => assert.equal(piece.length, 64 * 1024), createPool(all));
});

test('nothing is received into the last quarter of a buffer, because each read costs the same', () => {
  const seen: number[] = [];
  receive([1, mib, ...Array.from({ length: 20 }, () => 800 * 1024)], (piece) => {
    seen.push(piece.length);
    giveBack(piece);
  });
  assert.deepEqual(new Set(seen.slice(3)), new Set([800 * 1024]));
});

test('a buffer is used again as soon as its last piece is given back, and not before', () => {
  for (const { given, isUsedAgain } of [
    { given: 2, isUsedAgain: false },
    { given: 3, isUsedAgain: true },
  ]) {
    const pieces: Uint8Array[] = [];
    // Two pieces fill the first, small buffer. Of the others each has two.
    receive([1, mib, ...Array.from({ length: 6 }, () => mib / 2)], (piece) => {
      pieces.push(piece);
      if (pieces.length === 1) giveBack(piece);
      if (pieces.length === 6) giveBack(pieces[given] ?? assert.fail());
    });
    assert.equal(pieces[6]?.buffer === pieces[2]?.buffer, isUsedAgain);
  }
});

test('memory that the system receives into next is not given back, though all that it holds was read', () => {
  for (const lengths of [[1000], [1, mib, mib / 2]]) {
    const pool = createPool(noConnections());
    const pieces: Uint8Array[] = [];
    receive(
      lengths,
      (piece) => {
        if (pieces.length === 0 && lengths.length > 1) giveBack(piece);
        pieces.push(piece);
      },
      pool,
    );
    const last = pieces.at(-1) ?? assert.fail();
    giveBack(last);
    assert(!pool.all.free.some(({ buffer }) => buffer === last.buffer));
    assert.equal(last.length, Math.min(lengths.at(-1) ?? 0, mib));
  }
});

test('pieces that were not given back keep their bytes when there are more than a connection refers to, and after it has ended', () => {
  const pool = createPool({ ...noConnections(), open: 63 });
  const held: { piece: Uint8Array; copy: Buffer }[] = [];
  const lengths = Array.from({ length: 20 }, (_, at) => 200_000 + at);
  const end = receive(
    [1, ...lengths],
    (piece) => {
      if (piece.length === 1) giveBack(piece);
      else held.push({ piece, copy: Buffer.from(piece) });
    },
    pool,
  );
  end();
  receive(lengths, giveBack, pool);
  // Nothing refers to its memory any more.
  giveBack(held[0]?.piece ?? assert.fail());
  for (const { piece, copy } of held) assert(copy.equals(piece));
});

test('a piece of other origin is not given back', () => {
  giveBack(Buffer.alloc(10));
  giveBack(new Uint8Array(10));
});

test('a piece that is given back several times frees nothing that is in use', () => {
  const seen: { piece: Uint8Array; copy: Buffer }[] = [];
  receive(
    Array.from({ length: 500 }, (_, at) => 40_000 + at),
    (piece) => {
      seen.push({ piece, copy: Buffer.from(piece) });
      const late = seen.at(-20)?.piece;
      if (late !== undefined) for (let times = 0; times < 3; times++) giveBack(late);
      for (const { piece: kept, copy } of seen.slice(-19)) assert(copy.equals(kept));
    },
  );
});

test('a connection that fails passes its error on', async (t) => {
  const server = createServer();
  const port = await listen(t, server);
  await new Promise((resolve) => server.close(resolve));
  const connect = receiving((buffers) => buildConnector({ ...buffers, timeout: 5_000 }));
  const failed = new Promise((resolve) => {
    connect({ hostname: '127.0.0.1', host: `127.0.0.1:${port}`, protocol: 'http:', port: `${port}` }, (...[error]) =>
      resolve(error),
    );
  });
  assert.match(String(await failed), /ECONNREFUSED/);
});
