/**
 * Faults within a response that is a stream of lines, such as a watch. Invariant: each is placed after a number of
 * lines, never at a time.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

export type StreamFault =
  /** The connection is cut. */
  | 'cut'
  /** No more data comes, and the connection stays open: a half-open connection. */
  | 'silence'
  /** The response ends regularly, but early. */
  | 'end'
  /** The next line is cut in two, and the response ends after the first half. */
  | 'halfLine'
  /** A line that the server did not send; the rest follows. */
  | { insert: string };

const newline = 10;

/** Passes `answer` on and lets the fault strike after so many of its lines. */
export function passLines(answer: IncomingMessage, response: ServerResponse, lines: number, fault: StreamFault): void {
  let left = lines;
  let struck = false;
  const strike = (rest: Buffer) => {
    struck = true;
    if (fault === 'cut') response.socket?.destroySoon();
    else if (fault === 'end') response.end();
    else if (fault === 'halfLine') response.end(rest.subarray(0, Math.ceil(rest.length / 2)));
    else if (fault !== 'silence') {
      response.write(`${fault.insert}\n`);
      response.write(rest);
    }
  };
  // Only half a line has to wait for the line.
  if (left === 0 && fault !== 'halfLine') strike(Buffer.alloc(0));
  answer.on('data', (chunk: Buffer) => {
    if (struck) {
      if (typeof fault === 'object') response.write(chunk);
      return;
    }
    let end = 0;
    for (; left > 0 && end < chunk.length; end++) if (chunk[end] === newline) left--;
    if (end > 0) response.write(chunk.subarray(0, end));
    if (left === 0 && (fault !== 'halfLine' || end < chunk.length)) strike(chunk.subarray(end));
  });
  answer.on('end', () => {
    if (!struck || typeof fault === 'object') response.end();
  });
}
