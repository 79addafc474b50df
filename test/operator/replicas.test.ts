import { after, before, describe, test } from 'node:test';
import { Fleet, type LeaderFault } from './replicas.ts';
import { Work } from './work.ts';
import { World } from './world.ts';

/** Long enough for a machine that has much else to do. */
const lease = { duration: '20s', renewDeadline: '12s', retry: '1s' };
const suspendedMs = 20_500;

/** The short form, with a round of each kind. `npm run campaign` has more of them. */
describe('of several replicas only the one that holds the lease writes', () => {
  let world: World;
  before(async () => {
    world = await World.create({ idle: true });
  });
  after(() => world[Symbol.asyncDispose]());

  test('after every loss of the leader another replica takes over, and all work is done once', async (context) => {
    await using fleet = await Fleet.create(world, 2, lease);
    await using work = new Work(world);
    for (const fault of ['suspended', 'stopped', 'cut off'] satisfies LeaderFault[]) {
      const tookMs = await fleet.replaceLeader(fault, suspendedMs);
      context.diagnostic(`${fault}: another led after ${Math.round(tookMs)} ms`);
    }
    const images = await work.settled();
    const { kubernetes, glance, gapsMs } = await fleet.assertOneWriter();
    context.diagnostic(`${images} images, ${kubernetes} writes to the API server, ${glance} to Glance`);
    context.diagnostic(`between the last lease write of the one and the first of the next: ${gapsMs.join(', ')} ms`);
  });
});
