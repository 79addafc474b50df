/**
 * Limits of the process: of its running transfers, from a file that may change at any time, and of its memory.
 *
 * Invariant: running transfers continue under any new limits.
 */
import { getHeapStatistics } from 'node:v8';
import { parse } from 'yaml';
import * as z from 'zod';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { TransferLimits } from '../transfer/slots.ts';
import { type Follower, followFile } from './followed-file.ts';

const limit = z.int().min(1).max(1000).exactOptional();
export const transferLimitsSchema = z.strictObject({
  total: limit,
  perNamespace: limit,
  perCloud: limit,
  perHost: limit,
});

export interface TransferLimitsOptions {
  path: string;
  /** For values that are absent from the file. */
  otherwise: TransferLimits;
  apply: (limits: TransferLimits) => void;
  clock: Clock;
  log: Logger;
}

export function followTransferLimits({ otherwise, ...options }: TransferLimitsOptions): Follower {
  return followFile({
    ...options,
    what: 'transfer limits',
    read: (text) => ({ ...otherwise, ...transferLimitsSchema.parse(parse(text) ?? {}) }),
    initial: otherwise,
    shown: (limits) => limits,
  });
}

const mebibyte = 2 ** 20;
const largestShare = 0.8;

export interface MemoryLimits {
  heapBytes: number;
  /** undefined where none is set. */
  containerBytes: number | undefined;
}

export function memoryLimits(): MemoryLimits {
  const constrained = process.constrainedMemory();
  // Without a limit this is 0, or a number larger than any machine.
  const isLimit = constrained > 0 && constrained < 2 ** 43;
  return { heapBytes: getHeapStatistics().heap_size_limit, containerBytes: isLimit ? constrained : undefined };
}

/**
 * Logs whether the heap fits into the container, because the kernel OOM-kills a process that exceeds its limit without any
 * message. Buffers are outside the heap, so the heap must not use all of it.
 */
export function reportMemory({ heapBytes, containerBytes }: MemoryLimits, log: Logger): void {
  const limits = {
    heapMiB: Math.round(heapBytes / mebibyte),
    ...(containerBytes === undefined ? {} : { containerMiB: Math.round(containerBytes / mebibyte) }),
  };
  if (containerBytes === undefined || heapBytes <= largestShare * containerBytes) log.info(limits, 'Memory limits');
  else {
    log.warn(
      limits,
      'The heap may outgrow the memory of the container, which would then be killed: set NODE_OPTIONS=--max-old-space-size-percentage=60',
    );
  }
}
