/**
 * Whether the heap fits into the container. Logged at start-up, because the kernel OOM-kills a process that exceeds its
 * container limit without any message. Buffers are outside the heap, so the heap may not use all of it.
 */
import { getHeapStatistics } from 'node:v8';
import type { Logger } from '../lib/log.ts';

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
