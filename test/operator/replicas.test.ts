import { after, before, describe, test } from 'node:test';
import { Fleet, type Mishap } from './replicas.ts';
import { Work } from './work.ts';
import { World } from './world.ts';

/** The short form, with short leases and a round of each kind. `npm run campaign` takes the usual ones, and more of them. */
describe('of several replicas only the one that holds the lease writes', () => {
  let world: World;
  before(async () => {
    world = await World.create({ idle: true });
  });
  after(() => world[Symbol.asyncDispose]());

  test('after every loss of the leader another replica takes over, and all work is done once', async (context) => {
    await using fleet = await Fleet.create(world, 2, { duration: '8s', renewDeadline: '5s', retry: '1s' });
    await using work = new Work(world);
    for (const mishap of ['suspended', 'stopped', 'cut off'] satisfies Mishap[]) {
      const tookMs = await fleet.befall(mishap, 8500);
      context.diagnostic(`${mishap}: another led after ${Math.round(tookMs)} ms`);
    }
    const images = await work.settled();
    const { kubernetes, glance, gapsMs } = await fleet.assertOneWriter();
    context.diagnostic(`${images} images, ${kubernetes} writes to the API server, ${glance} to Glance`);
    context.diagnostic(`between the last lease write of the one and the first of the next: ${gapsMs.join(', ')} ms`);
  });
});
