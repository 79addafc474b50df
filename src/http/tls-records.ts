/**
 * When records of TLS reach the reader of their connection. Node hands over each record by itself, 16 KiB at most, and a transfer takes the
 * same steps for each piece, whatever it brings: that took half of its processor time. So records that arrive together are one piece, which
 * waits until the event loop has handled all of them.
 *
 * Guarantee: the end of the connection, and its reset, reach the client after all bytes that came before.
 */
import type { Socket } from 'node:net';
import { afterTurn } from '../lib/clock.ts';

/** Bytes that were received and wait. */
export interface Waiting {
  isWaiting(): boolean;
  passOn(): void;
}

/** To be called for each record. */
export function passingOnTogether(passOn: () => void): () => void {
  let isPlanned = false;
  return () => {
    if (isPlanned) return;
    isPlanned = true;
    afterTurn(() => {
      isPlanned = false;
      passOn();
    });
  };
}

/** Passes on what waits before the socket ends, and before its client reads or gets the error of a reset. */
export function passOnInTime(socket: Socket, { isWaiting, passOn }: Waiting): void {
  const push = socket.push.bind(socket);
  const read = socket.read.bind(socket);
  const destroy = socket.destroy.bind(socket);
  /** The client has read everything, and waits for more. */
  let isDrained = true;
  /** Is kept until then. */
  let reset: Error | undefined;

  // Node pushes null at the end.
  socket.push = (piece) => {
    if (piece === null) passOn();
    return push(piece);
  };

  // Before a request, undici reads what an idle connection has received, and rejects a response to no request
  // (https://github.com/nodejs/undici/security/advisories/GHSA-35p6-xmwp-9g52).
  socket.read = (size) => {
    if (size === 0) return read(size);
    passOn();
    const piece: unknown = read(size);
    isDrained = piece === null;
    if (isDrained && reset !== undefined) afterTurn(() => destroy(reset));
    return piece;
  };

  socket.destroy = (error) => {
    const isRead = isDrained && !isWaiting() && socket.readableLength === 0;
    if (isRead || error === undefined || !isReset(error)) return destroy(error);
    reset = error;
    passOn();
    return socket;
  };
}

/** Node destroys a socket whose connection was reset with the error of a read. */
function isReset(error: Error): boolean {
  return 'syscall' in error && error.syscall === 'read';
}
