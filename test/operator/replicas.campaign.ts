import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Fleet, type LeaderFault } from './replicas.ts';
import { Work } from './work.ts';
import { World } from './world.ts';

const faults: readonly LeaderFault[] = ['suspended', 'killed', 'cut off', 'stopped', 'suspended'];
const rounds = 15;
const suspendedMs = 20_000;
/** After a clean stop, the successor does not wait for the lease to expire. */
const handOverMs = 2000;

describe('of several replicas only the one that holds the lease writes', () => {
  for (const size of [2, 3]) {
    describe(`${size} replicas, ${rounds} rounds, with the default lease`, () => {
      let world: World;
      before(async () => {
        world = await World.create({ idle: true });
      });
      after(() => world[Symbol.asyncDispose]());

      test('after each loss of the leader another replica takes over, and all work is done once', async (context) => {
        await using fleet = await Fleet.create(world, size, { duration: '15s', renewDeadline: '10s', retry: '2s' });
        await using work = new Work(world);
        for (let round = 0; round < rounds; round++) {
          const fault = faults[round % faults.length] ?? 'killed';
          const ms = Math.round(await fleet.replaceLeader(fault, suspendedMs));
          const { gapsMs } = await fleet.assertOneWriter();
          const gap = gapsMs.at(-1) ?? 0;
          context.diagnostic(`${fault}: another led after ${ms} ms, ${gap} ms after the last lease write of the first`);
          if (fault === 'stopped') assert.ok(gap <= handOverMs, `a clean hand-over took ${gap} ms`);
        }
        const images = await work.settled();
        const { kubernetes, glance } = await fleet.assertOneWriter();
        context.diagnostic(`${work.steps} steps of work, ${images} images in the end`);
        context.diagnostic(`${kubernetes} writes to the API server, ${glance} to Glance, each by the leader`);
      });
    });
  }
});
