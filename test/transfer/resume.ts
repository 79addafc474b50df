/** A source that breaks again and again under a transfer to the real Glance. */
import assert from 'node:assert/strict';
import { digestOf, generated } from '../env/content.ts';
import type { SourceFault } from '../env/source.ts';
import type { RunOptions, Scene } from './real.ts';

export interface BreakingOptions extends RunOptions {
  size: number;
  /** How often it breaks. */
  breaks: number;
  /** Chooses the bytes at which it breaks. */
  seed: string;
  transferMs: number;
}

/** Runs it, and asserts that Glance saw one PUT and has every byte. */
export async function transferWithBreaks(scene: Scene, options: BreakingOptions): Promise<void> {
  const { size, breaks, seed, transferMs, ...runOptions } = options;
  const { source, path, plan, run, project, puts } = scene;
  const body = generated(size);
  const dice = generated(4 * breaks, seed).slice(0, 4 * breaks);
  const places = Array.from({ length: breaks }, (_, at) => 1 + (dice.readUInt32BE(4 * at) % (size - 1)));
  const kinds = ['resetAt', 'closeAt'] as const;
  const faults: SourceFault[] = places
    .sort((a, b) => a - b)
    .map((byte, index) => ({ kind: kinds[index % 2] ?? 'resetAt', byte }));
  const at = path();
  const wanted = await plan({ url: source.add(at, { body, faults }), digest: `sha256:${digestOf(body)}` });
  const result = await run(wanted, { signal: AbortSignal.timeout(transferMs), ...runOptions });
  const requests = source.requests.filter((request) => request.path === at);
  assert.equal(requests.length, breaks + 1);
  assert.equal(result.resumes, breaks);
  assert.equal(puts(wanted), 1);
  const image = await project.getImage(wanted.imageID);
  assert.deepEqual([image.status, image.size], ['active', size]);
  assert.equal(image.os_hash_value, digestOf(body, 'sha512'));
}
