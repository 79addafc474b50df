/** The inspection as tests call it: on a whole image, in chunks of any size. */
import assert from 'node:assert/strict';
import { reasonOf } from '../../../src/image/status/failure.ts';
import { OperatorError } from '../../../src/lib/errors.ts';
import { createInspector, type Inspected, type InspectorOptions } from '../../../src/source/inspect/index.ts';

export const url = 'https://example.com/image';

export type Judgement =
  | ({ kind: 'accepted' } & Inspected)
  /** `at`: how much had been shown by then; one more than everything means at the end. */
  | { kind: 'refused'; code: string; message: string; retry: string; at: number };

export function judge(chunks: Iterable<Uint8Array>, options: Partial<InspectorOptions> = {}): Judgement {
  const inspector = createInspector({ diskFormat: 'raw', minDiskGiB: 0, maxVirtualBytes: 2 ** 46, url, ...options });
  let shown = 0;
  try {
    for (const chunk of chunks) {
      shown += chunk.length;
      inspector.update(chunk);
    }
    shown++;
    return { kind: 'accepted', ...inspector.finish() };
  } catch (error) {
    assert.ok(error instanceof OperatorError, String(error));
    return { kind: 'refused', code: reasonOf(error), message: error.message, retry: error.retry.kind, at: shown };
  }
}

export function* inPieces(image: Uint8Array, length: number): Generator<Uint8Array> {
  for (let at = 0; at < image.length; at += length) yield image.subarray(at, at + length);
}
