/** The forecast for the resource of a world in memory. */
import assert from 'node:assert/strict';
import { lookAhead } from '../../src/image/ahead/ahead.ts';
import type { Forecast } from '../../src/image/ahead/forecast.ts';
import { neverAborted } from '../../src/lib/abort.ts';
import { followsNothing } from './stub-glance.ts';
import type { createWorld } from './world.ts';

export type World = ReturnType<typeof createWorld>;

/** `bytes`: of the file that is transferred. */
export function ahead(world: World, bytes = 1): Promise<Forecast> {
  const { resource, cloud, clock } = world;
  assert.ok(resource);
  return lookAhead(
    resource,
    {
      cloudOf: async () => cloud,
      configMap: async () => ({ kind: 'absent' }),
      source: async () => ({ bytes }),
      following: followsNothing,
      publisherHeard: () => Promise.reject(new Error('nothing is left to a publisher')),
      cluster: 'test-cluster',
      inheritFrom: [],
      clock,
    },
    neverAborted(),
  );
}
