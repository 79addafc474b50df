/** The roll to a newer file of a publisher, with a mishap at each of its writes, on a Glance and an API server in memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findCondition } from '../../src/api/conditions.ts';
import { reconcileAtAnnotation } from '../../src/api/group.ts';
import { createCandidates } from '../../src/image/publishers/candidates.ts';
import type { Following } from '../../src/image/publishers/resolution.ts';
import type { Clock } from '../../src/lib/clock.ts';
import type { Reading } from '../../src/source/resolve/publishers.ts';
import { createWorld, type World } from './world.ts';
import { sha256 } from './world-glance.ts';

const url = 'https://images.example.com/disk.raw';
const list = 'https://images.example.com/SHA256SUMS';

/** A list of one file, which a new process reads when it is due, and whose reading ends before the next reconcile. */
function publisherOf(start: string) {
  let data = start;
  return {
    publish(next: string) {
      data = next;
    },
    following: (clock: Clock): Following => {
      let known: Reading | undefined;
      let isRunning = false;
      return {
        publishers: {
          read(_key, _asked, { isPinned, sinceMs }) {
            const end = () => {
              isRunning = false;
              known = { kind: 'resolved', resolution: { url, digest: sha256(data) } };
            };
            if (isRunning) end();
            else if ((known === undefined && !isPinned) || sinceMs !== undefined) isRunning = true;
            const isOutdated = sinceMs !== undefined || known === undefined;
            return { reading: isOutdated ? { kind: 'pending' } : (known ?? { kind: 'pending' }), nextMs: undefined };
          },
          forget: () => {},
          close: async () => {},
        },
        candidates: createCandidates(clock, () => 0.5),
      };
    },
  };
}

const spec = {
  image: { name: 'ubuntu', diskFormat: 'raw', protected: true },
  content: { http: { url, digestFrom: { checksums: { url: list } } }, update: { interval: '24h' } },
  revisions: { keep: 1 },
};

/** With the image of `a`, and its list read again after it has `b`. */
async function beforeRoll() {
  const publisher = publisherOf('a');
  const world = createWorld({ spec, following: publisher.following });
  await reached(world, 'a');
  publisher.publish('b');
  world.log.length = 0;
  ask(world, 'first');
  return { world, publisher };
}

function ask(world: World, value: string): void {
  world.setMetadata({ annotations: { ...world.resource?.metadata.annotations, [reconcileAtAnnotation]: value } });
}

/** Reconciles until the image to use has the data. */
async function reached(world: World, data: string): Promise<void> {
  for (let reconciles = 0; reconciles < 60; reconciles++) {
    const outcome = await world.step();
    await world.clock.advance(0);
    if (outcome?.kind === 'requeueAfter' && !world.isTransferring())
      await world.clock.advance(Math.min(outcome.afterMs, 60_000));
    const { imageID, source } = world.status ?? {};
    const isThere = imageID !== undefined && world.data.get(imageID) === data && source?.digest === sha256(data);
    if (isThere && world.ready() === 'True Ready' && world.images.get(imageID)?.name === 'ubuntu') return;
  }
  assert.fail(`${world.ready()}: ${world.message()}\n${world.log.join('\n')}\n${world.show().join('\n')}`);
}

const created = (world: World) => world.log.filter((line) => line.startsWith('create ')).length;

async function writesOfRoll(): Promise<number> {
  const { world } = await beforeRoll();
  let writes = 0;
  world.decide(({ op }) => {
    if (op !== 'usage' && op !== 'servers') writes++;
    return 'ok';
  });
  await reached(world, 'b');
  return writes;
}

for (const mishap of ['crash-before', 'crash-after', 'status lost'] as const) {
  test(`a newer file of a publisher gets one image, with the mishap "${mishap}" at any write`, async () => {
    const writes = await writesOfRoll();
    assert.ok(writes > 5, `${writes} writes`);
    for (let nth = 1; nth <= writes; nth++) {
      const { world } = await beforeRoll();
      let seen = 0;
      world.decide(({ op }) => {
        if (op === 'usage' || op === 'servers') return 'ok';
        if (++seen !== nth) return 'ok';
        if (mishap !== 'status lost') return mishap;
        const { log } = world;
        const length = log.length;
        world.watch(() => {
          if (log.length === length) return;
          world.watch(() => {});
          world.loseStatus();
        });
        return 'ok';
      });
      await steps(world);
      // An operator that was killed right after the request was recorded has forgotten it.
      ask(world, 'second');
      await reached(world, 'b');
      assert.equal(created(world), 1, `write ${nth}\n${world.log.join('\n')}`);
      assert.equal(findCondition(world.status?.conditions, 'Updating'), undefined);
    }
  });
}

async function steps(world: World): Promise<void> {
  for (let i = 0; i < 12; i++) {
    await world.step();
    await world.clock.advance(0);
  }
}
