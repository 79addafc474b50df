import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { root } from '../env/parts.mjs';
import { type Bound, boundOf, type Fleet, simulate } from './fleet.ts';
import { fleetOf, fleets, largeTeam, slow, slowCloud, verySlow } from './fleets.ts';
import { lastOf, scalePage } from './page.ts';

type Row = [name: keyof typeof fleets, all: number, small: number, bound: number, by: Bound['by'], ahead: number];

/** Seconds: of all images, of the last image of a small team, and the least that is possible. */
const rows: readonly Row[] = [
  ['one process', 8000, 4064, 8000, 'the network of the nodes', 1],
  ['5 at once', 2373, 1071, 2100, 'the limit of all', 1],
  ['10 at once', 1197, 546, 1050, 'the limit of all', 1],
  ['20 at once', 630, 294, 525, 'the limit of all', 1],
  ['50 at once', 252, 126, 210, 'the limit of all', 1],
  ['50 at once, 20 of a namespace', 357, 126, 294, 'the limit of a namespace', 4],
  ['50 at once, nothing reserved', 210, 126, 210, 'the limit of all', 1],
  ['50 at once, 2 into a cloud', 273, 168, 273, 'the limit of a cloud', 11],
  ['100 at once', 206, 148, 165, 'the network of the nodes', 11],
  ['100 at once, 8 into a cloud', 185, 148, 165, 'the network of the nodes', 1],
];

/** Simulates the fleet and checks that no limit was exceeded at any moment. */
async function figuresOf(fleet: Fleet) {
  const figures = await simulate(fleet);
  const { most } = figures;
  const { total, perNamespace, perCloud, perHost } = fleet.limits;
  assert(most.total <= total, `${most.total} runs at once`);
  assert(most.namespace <= perNamespace, `${most.namespace} runs of a namespace`);
  assert(most.cloud <= perCloud, `${most.cloud} runs into a cloud`);
  assert(most.host <= perHost, `${most.host} runs from a host`);
  assert(most.node <= Math.ceil(total / fleet.nodes), `${most.node} runs on a node`);
  return figures;
}

describe('a fleet of 500 images for 20 clouds', () => {
  for (const [name, ...expected] of rows)
    test(`the scheduler keeps all limits and takes exactly the known time for a fleet with ${name}`, async () => {
      const { makespanMs, namespaceEndsMs, mostAhead, starts } = await figuresOf(fleets[name]);
      const { ms: boundMs, by } = boundOf(fleets[name]);
      const seconds = [makespanMs, lastOf(namespaceEndsMs, largeTeam), boundMs].map((ms) => ms / 1000);
      assert.deepEqual([...seconds, by, mostAhead], expected);
      assert.equal(starts, 500);
    });

  test('a small team of a fleet would wait for a large one if transfers ran in the order of arrival', async () => {
    const { images, ...rest } = fleetOf({ total: 50, perNamespace: 50 });
    const { cloudEndsMs } = await figuresOf({
      ...rest,
      images: images.map((image) => ({ ...image, cloud: `${image.cloud}/${image.namespace}`, namespace: 'all' })),
    });
    const ends = Object.entries(cloudEndsMs).flatMap(([cloud, end]) => (cloud.endsWith(largeTeam) ? [] : [end]));
    assert.equal(Math.max(...ends), 210_000);
  });

  test('a slow cloud of a fleet does not delay the other clouds', async () => {
    const usual = await figuresOf(fleets['50 at once']);
    const { cloudEndsMs, starts } = await figuresOf(slow);
    const { [slowCloud]: slowEnd, ...others } = cloudEndsMs;
    assert.deepEqual([slowEnd, Math.max(...Object.values(others)), starts], [3_205_000, usual.makespanMs, 500]);
  });

  test('all images of a fleet reach a cloud that is slower than the rate at which a run gives way', async () => {
    const usual = await figuresOf(fleets['50 at once']);
    const { cloudEndsMs, starts } = await figuresOf(verySlow);
    const { [slowCloud]: slowEnd, ...others } = cloudEndsMs;
    assert.deepEqual([slowEnd, Math.max(...Object.values(others)), starts], [53_731_338, usual.makespanMs, 600]);
  });

  test('the page about scale has the figures of the simulated fleets', async () => {
    assert.equal(readFileSync(join(root, 'docs/explanation/scale.md'), 'utf8'), await scalePage());
  });
});
