/**
 * The memory into which a connection receives. By default each read of a socket gets 64 KiB of its own, and each record of TLS 16 KiB, which
 * the garbage collector has to find again. With a reader that gives the memory back, a download needs a few buffers for any number of bytes,
 * and larger ones, for fewer reads. Connections that read a file together have one pool, because each of them reads only a part of it.
 * Records of TLS that arrive together are received one after the other into one buffer, so that they are one piece (`tls-records.ts`).
 *
 * Guarantees: memory is used again only after its reader has given back its last piece, or a later one of the same connection; where no
 * reader gives anything back, connections get new memory, of the usual size.
 */
import type { OnReadOpts, Socket } from 'node:net';
import type { buildConnector } from 'undici';
import { passingOnTogether, passOnInTime } from './tls-records.ts';

type Connector = buildConnector.connector;

const kib = 1024;
const mib = 1024 * kib;
/** Of a buffer whose reader does not give it back. Larger ones would be mapped and unmapped by the system each time. */
const smallBytes = 64 * kib;
/**
 * Of one that is given back, where the thread has one connection. A transfer takes the same steps for each read, whatever it brings, and of
 * a fast source the system holds several MiB. A transfer has about five buffers in use, so several connections share this length.
 */
const largestBytes = mib;
const leastLargeBytes = 256 * kib;
/** The rest of a buffer is not read into if it is less than this part of it: each read costs a call of the system. */
const leastPart = 1 / 4;
/**
 * In use at once, at most, by a connection that reads a file alone, and by one of several: the memory of further ones is left to the garbage
 * collector. Readers have fewer in use, but none gives back what the client has joined with the next bytes.
 */
const mostLentAlone = 8;
const mostLentBytes = 8 * mib;
/**
 * Kept for each open connection: as much as one of several that read a file together may be ahead of its reader. Without them, the collector
 * would look at all objects for each few dozens of new buffers, which took a third of the time of such a download.
 */
const mostFreeBytes = 4 * mib;

/** By its memory: the connection that a piece came from. */
const lenders = new WeakMap<ArrayBufferLike, { giveBack(piece: Uint8Array): void }>();

/**
 * Nothing reads any more what a connection has received up to the end of this piece. Pieces of other origin are ignored. Only for bytes
 * that reach the caller unchanged, to be called in their order.
 */
export function giveBack(piece: Uint8Array): void {
  lenders.get(piece.buffer)?.giveBack(piece);
}

interface Pool {
  /** That are open. */
  connections: number;
  /** Whether any reader gives memory back. */
  isGivenBack: boolean;
  readonly all: AllConnections;
}

/** Those of all pools, which use each other's memory. */
interface AllConnections {
  open: number;
  /** Buffers that nothing reads, all of the length that new ones have. */
  readonly free: Uint8Array<ArrayBuffer>[];
}

const ofThread = noConnections();

export function noConnections(): AllConnections {
  return { open: 0, free: [] };
}

/**
 * A connector whose connections receive into buffers of one pool. `make` makes the connector of one connection. TLS in a tunnel receives
 * into memory of its own: Node takes no buffers for it.
 */
export function receiving(make: (options: { onread?: OnReadOpts }) => Connector): Connector {
  const plain = make({});
  const pool = createPool();
  return (server, callback) => {
    if (server.httpSocket !== undefined) return plain(server, callback);
    const buffers = createReceiveBuffers(pool, server.protocol === 'https:' ? 'records' : 'reads');
    return make({ onread: buffers.onread })(server, (...result) => {
      // After an error, undici passes no socket at all, unlike its types say.
      const [error, socket] = result;
      if (error === null) buffers.receiveFor(socket);
      callback(...result);
    });
  };
}

/** `all`: whose connections share the memory. Default: those of the thread. */
export function createPool(all = ofThread): Pool {
  return { connections: 0, isGivenBack: false, all };
}

function largeBytes({ open }: AllConnections): number {
  const share = largestBytes / Math.max(open, 1);
  return Math.max(share - (share % smallBytes), leastLargeBytes);
}

function mostLent(pool: Pool): number {
  return pool.connections > 1 ? mostLentBytes : mostLentAlone * largeBytes(pool.all);
}

/** Keeps as many free buffers as the connections may need. */
function trim(all: AllConnections): void {
  const { free, open } = all;
  const bytes = largeBytes(all);
  const most = free[0]?.length === bytes ? (mostFreeBytes / bytes) * Math.max(open, 1) : 0;
  for (const buffer of free.splice(most)) discard(buffer);
}

/** Returns the memory to the system at once. The collector may take minutes to find a few large buffers. */
function discard({ buffer }: Uint8Array<ArrayBuffer>): void {
  buffer.transfer(0);
}

/**
 * `receiveFor` is called before the socket receives anything, because a server responds only to requests. `each`: what the system hands
 * over at once, a read of the socket or a record of TLS.
 */
export function createReceiveBuffers(
  pool: Pool,
  each: 'reads' | 'records',
): {
  onread: OnReadOpts;
  receiveFor(socket: Socket): void;
} {
  const { all } = pool;
  /** With bytes that are still read, in the order in which they were received. The last one is being filled. */
  const lent: { readonly buffer: Uint8Array<ArrayBuffer>; filled: number }[] = [];
  let lentBytes = 0;
  let receiver: Socket | undefined;
  /** Received at the end of the last buffer, and not yet passed on. */
  let waiting = 0;

  const lender = {
    giveBack(piece: Uint8Array) {
      pool.isGivenBack = true;
      const at = lent.findIndex(({ buffer }) => buffer.buffer === piece.buffer);
      const isRead = at < lent.length - 1 && lent[at]?.filled === piece.byteOffset + piece.length;
      for (const { buffer } of lent.splice(0, isRead ? at + 1 : Math.max(at, 0))) {
        lentBytes -= buffer.length;
        if (buffer.length === largeBytes(all)) all.free.push(buffer);
        else discard(buffer);
      }
      trim(all);
    },
  };

  function next(): Uint8Array {
    const bytes = pool.isGivenBack ? largeBytes(all) : smallBytes;
    const buffer = (pool.isGivenBack ? all.free.pop() : undefined) ?? Buffer.allocUnsafeSlow(bytes);
    lenders.set(buffer.buffer, lender);
    lent.push({ buffer, filled: 0 });
    lentBytes += bytes;
    while (lentBytes > mostLent(pool)) lentBytes -= lent.shift()?.buffer.length ?? lentBytes;
    return buffer;
  }

  function passOn(): boolean {
    const last = lent.at(-1);
    if (last === undefined || waiting === 0) return true;
    const from = last.filled - waiting;
    waiting = 0;
    // As a socket without buffers of its own does. False: nothing more is read until the reader has read this.
    return receiver?.push(last.buffer.subarray(from, last.filled)) ?? false;
  }

  const passOnLater = passingOnTogether(passOn);
  return {
    receiveFor(socket) {
      receiver = socket;
      if (each === 'records') passOnInTime(socket, { isWaiting: () => waiting > 0, passOn });
      pool.connections++;
      all.open++;
      trim(all);
      socket.once('close', () => {
        pool.connections--;
        all.open--;
        trim(all);
      });
    },
    onread: {
      buffer() {
        const last = lent.at(-1);
        if (last === undefined) return next();
        const { buffer, filled } = last;
        if (buffer.length - filled >= buffer.length * leastPart) return buffer.subarray(filled);
        passOn();
        return next();
      },
      callback(bytes) {
        const last = lent.at(-1);
        if (last !== undefined) last.filled += bytes;
        waiting += bytes;
        if (each === 'reads') return passOn();
        passOnLater();
        return receiver?.readableLength === 0;
      },
    },
  };
}
