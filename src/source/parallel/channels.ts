/**
 * Connections that are kept open for parts of a file, and get the request for the next part while they send the one before (pipelining,
 * RFC 9112, section 9.3.2), so that they have no pause between two parts.
 *
 * Guarantees: a channel has at most one connection to each server, and reads its parts one after the other; each connection sends them in
 * that order, because `giveBack` takes all that a connection has sent before as read. A part is read again only from its first missing byte
 * on, only once, and only if its connection had sent another response before. A server may close such a connection at any time, and a server
 * without pipelining loses the request that comes too early. It gets the next requests one by one, and a server that closes its connections
 * gets a connection for each part.
 */
import { OperatorError } from '../../lib/errors.ts';
import type { RangeReader } from '../source.ts';
import type { KeptConnection, Reuse, SourceTransport } from '../transport.ts';
import type { Channel } from './stripes.ts';

export interface ChannelsOptions {
  transport: SourceTransport;
  createReader(transport: Pick<SourceTransport, 'get'>): RangeReader;
  /** Ends all requests. */
  signal: AbortSignal;
}

export interface Channels {
  open(): Channel;
  /** Closes the connections of all. */
  close(): void;
}

interface Connection {
  readonly kept: KeptConnection;
  readonly reuse: Reuse;
  readonly reader: RangeReader;
}

const lesser: Readonly<Record<Reuse, Reuse>> = { pipelined: 'kept', kept: 'none', none: 'none' };

export function createChannels({ transport, createReader, signal }: ChannelsOptions): Channels {
  const open = new Set<KeptConnection>();
  /** How the server lets its connections be used, as far as that is known. */
  let reuse: Reuse = 'pipelined';
  const proven = new Set<Reuse>();

  function connect(): Connection {
    const kept = transport.keep?.(reuse) ?? { get: transport.get, responses: 0, close: () => {} };
    open.add(kept);
    return { kept, reuse, reader: createReader(kept) };
  }

  function close(kept: KeptConnection): void {
    open.delete(kept);
    kept.close();
  }

  function openChannel(): Channel {
    let current = connect();
    /** The end of the part that was requested last. */
    let last = Promise.resolve();
    /** The ends of the parts that are read again. */
    const again = new Set<Promise<void>>();

    /** The connection was closed, or does not respond. */
    function replace(): void {
      if (current.reuse === reuse && !proven.has(reuse)) reuse = lesser[reuse];
      close(current.kept);
      current = connect();
    }

    async function* read(from: number, to: number): AsyncGenerator<Uint8Array, void, undefined> {
      const due = last;
      const { promise, resolve } = Promise.withResolvers<void>();
      last = promise;
      try {
        // The part before may be redirected more often this time: then the server would get the request for this one first.
        if (again.size > 0) await due;
        for (let at = from, isSecond = false; ; ) {
          const used = current;
          const { end, failure } = yield* readOnce(used, at, to, due);
          if (failure === undefined) return;
          signal.throwIfAborted();
          if (used === current) {
            if (isSecond || !isWorthRepeating(used, failure, end > at)) throw failure;
            isSecond = true;
            replace();
          }
          again.add(promise);
          // The part before may be read again too, and comes first.
          await due;
          at = end;
        }
      } finally {
        again.delete(promise);
        resolve();
      }
    }

    async function* readOnce({ reader, kept, reuse: by }: Connection, from: number, to: number, due: Promise<void>) {
      let end = from;
      try {
        for await (const chunk of reader.read(from, to, { tries: 'once', due })) {
          end += chunk.length;
          yield chunk;
        }
        if (kept.responses > 1) proven.add(by);
        return { end };
      } catch (failure) {
        return { end, failure };
      }
    }
    return { read };
  }

  return {
    open: openChannel,
    close() {
      for (const kept of open) close(kept);
    },
  };
}

/** Whether the connection failed, and not what it sent, after it had sent another response. */
function isWorthRepeating({ kept }: Connection, failure: unknown, hasBegun: boolean): boolean {
  if (!(failure instanceof OperatorError) || kept.responses === (hasBegun ? 1 : 0)) return false;
  return failure.code === 'SourceUnreachable' || failure.code === 'SourceTooShort' || failure.code === 'SourceSilent';
}
