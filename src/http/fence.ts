/**
 * The fence around all writes of this process while only the leader may write. Each request checks it in its own path,
 * right before its first byte is sent, by comparing the time with that of the last renewal. A process that slept
 * through its lease is stopped there, although none of its timers has fired yet and no signal has aborted.
 */
import type { Dispatcher } from 'undici';
import type { Clock } from '../lib/clock.ts';
import { formatDuration } from '../lib/duration.ts';
import { OperatorError } from '../lib/errors.ts';
import { withHooks } from './handler.ts';

/** Another may lead by now: nothing may be written any more, and the process has to end. */
export class LeadershipLost extends OperatorError {
  constructor(why: string, cause?: unknown) {
    super(`this process must not write any more: ${why}`, { code: 'LeadershipLost', cause });
  }
}

/** Throws LeadershipLost where nothing may be written. */
export type MayWrite = () => void;

/** For a process that is alone by declaration. */
export const mayAlwaysWrite: MayWrite = () => {};

export interface Fence {
  mayWrite: MayWrite;
  /** Writes pass before this moment of the monotonic clock. */
  openUntil(monotonicMs: number): void;
  /** From now on nothing passes. */
  close(): void;
  /** For the other threads of this process, to be read by `fenceOf`. */
  readonly memory: SharedArrayBuffer;
}

export function createFence(clock: Clock): Fence {
  const memory = new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT);
  const until = new BigInt64Array(memory);
  return {
    mayWrite: fenceOf(memory, clock),
    openUntil: (monotonicMs) => void Atomics.store(until, 0, BigInt(Math.floor(monotonicMs))),
    close: () => void Atomics.store(until, 0, closed),
    memory,
  };
}

/** The same fence, seen from any thread: the system clock's monotonic time is that of the process. */
export function fenceOf(memory: SharedArrayBuffer, clock: Clock): MayWrite {
  const until = new BigInt64Array(memory);
  return () => {
    const untilMs = Atomics.load(until, 0);
    if (untilMs === closed) throw new LeadershipLost('it does not hold the lease');
    const lateMs = clock.monotonic() - Number(untilMs);
    if (lateMs >= 0) throw new LeadershipLost(`its lease should have been renewed ${formatDuration(lateMs)} ago`);
  };
}

const closed = 0n;

/**
 * For `Dispatcher.compose`: a request that is not a read checks the fence when it is queued, and again when a
 * connection is about to send it.
 */
export function fenceRequests(mayWrite: MayWrite): Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => (options, handler) => {
    if (options.method === 'GET' || options.method === 'HEAD') return dispatch(options, handler);
    mayWrite();
    // The client calls it at the moment of sending.
    return dispatch(options, withHooks(handler, { onStart: mayWrite }));
  };
}
