/**
 * Kills the process during a transfer, at a byte of the source, and starts it again.
 *
 * Invariant: one image exists in the end, with the declared data.
 */
import assert from 'node:assert/strict';
import { generated } from '../env/content.ts';
import type { Stack } from '../env/stack.ts';
import { digestOf } from './digest.ts';
import { World } from './world.ts';

const size = 8 * 2 ** 20;

/** `byte`: where the source pauses, and the operator dies. */
export async function killAt(stack: Stack, byte: number): Promise<void> {
  await using world = await World.create({ stack });
  const released = Promise.withResolvers<void>();
  const body = generated(size, `killed at ${byte}`);
  const url = world.source.add('/image.raw', { body, gate: { at: byte, released: released.promise } });
  await world.apply('killed', { image: { diskFormat: 'raw' }, content: { http: { url, digest: digestOf(body) } } });
  await world.source.requested('/image.raw');
  await world.until('killed', 'under way', ({ status }) => status.transfer !== undefined);
  await world.operator.kill();
  released.resolve();
  await world.start();
  const { status } = await world.ready('killed');
  const images = await world.images();
  assert.deepEqual(
    images.map(({ id, status: state, size: bytes }) => ({ id, state, bytes })),
    [{ id: status.imageID, state: 'active', bytes: size }],
  );
  assert.equal(`sha512:${images[0]?.os_hash_value}`, digestOf(body, 'sha512'));
}

export function randomByte(): number {
  return Math.floor(Math.random() * size);
}
