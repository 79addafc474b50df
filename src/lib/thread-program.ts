/**
 * The program of a worker thread: a source file when run from source, a file next to the bundle, or an asset of the one executable,
 * which is text.
 */
import { getAsset, isSea } from 'node:sea';

export interface ThreadProgram {
  program: URL | string;
  isText: boolean;
}

/** `from`: the URL of the module that starts the thread. `source` is relative to it, `bundled` to the bundle that it is part of. */
export function threadProgram(from: string, { source, bundled }: { source: string; bundled: string }): ThreadProgram {
  if (isSea()) return { program: getAsset(bundled, 'utf8'), isText: true };
  return { program: new URL(from.endsWith('.ts') ? source : `./${bundled}`, from), isText: false };
}
