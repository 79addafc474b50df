/**
 * The program of a worker thread: a source file when run from source, a file next to the bundle, or an asset of the one executable,
 * which is text.
 *
 * Guarantees: a thread has the heap that its limits say, whatever the options of the process are.
 */
import { getAsset, isSea } from 'node:sea';
import { setFlagsFromString } from 'node:v8';
import { Worker, type WorkerOptions } from 'node:worker_threads';

export interface ThreadProgram {
  program: URL | string;
  isText: boolean;
}

/** `from`: the URL of the module that starts the thread. `source` is relative to it, `bundled` to the bundle that it is part of. */
export function threadProgram(from: string, { source, bundled }: { source: string; bundled: string }): ThreadProgram {
  if (isSea()) return { program: getAsset(bundled, 'utf8'), isText: true };
  return { program: new URL(from.endsWith('.ts') ? source : `./${bundled}`, from), isText: false };
}

/**
 * A thread that runs the program. Options of the process for the size of the heap override the limits of a thread, so they are unset
 * before a thread starts. The heap of the main thread has them by then, and keeps them.
 */
export function startWorker({ program, isText }: ThreadProgram, options: Omit<WorkerOptions, 'eval'>): Worker {
  for (const flag of heapFlags) setFlagsFromString(`--${flag}=0`);
  return new Worker(program, { ...options, eval: isText });
}

/** A share of the memory of the container sets the first one. */
const heapFlags = ['max-old-space-size', 'max-semi-space-size'];
