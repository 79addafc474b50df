/**
 * Random lives of an image that rolls, on a Glance and an API server in memory: edits of the data, the formats, the record and the retention,
 * pins, images in use, full quotas, clocks that jump, lost memories and crashes.
 *
 * Invariants, at each change of either server: at most one image has the declared name; no name is longer than Glance allows; the image that
 * the status names has its data; once there was one, an image is visible where none is declared hidden; an image that was the one to use
 * goes only if as many others that were are left as are to be kept. In the end the image is as declared, and no more revisions are left than
 * are kept.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { OperatorError } from '../../src/lib/errors.ts';
import { createWorld, type World } from './world.ts';
import { type Fate, sha256, specOf } from './world-glance.ts';

const hour = 3_600_000;

export type Act =
  | { kind: 'edit'; data: string; image: DeclaredImage; revisions: Revisions; isAwaited: boolean }
  | { kind: 'mishap'; fate: Fate; after: number }
  | { kind: 'loseStatus' | 'loseMemory' | 'restart' }
  /** Hours until the next act, or by which the clock is set. */
  | { kind: 'wait' | 'setClock'; hours: number }
  /** Servers use an image, or Glance does not delete it. */
  | { kind: 'use' | 'hold'; nth: number; isOn: boolean }
  | { kind: 'novaFails' | 'quotaIsFull'; isOn: boolean };

interface DeclaredImage {
  name?: string;
  hidden?: boolean;
  protected?: boolean;
  tags?: string[];
  diskFormat?: string;
}
interface Revisions {
  keep?: number;
  keepFor?: string;
  retired?: { hidden?: boolean; name?: string };
  /** The data whose digest is pinned. */
  pin?: string;
}

const data = fc.constantFrom('a', 'b', 'c', 'd');
const revisions: fc.Arbitrary<Revisions> = fc.record(
  {
    keep: fc.integer({ min: 0, max: 3 }),
    keepFor: fc.constantFrom('0s', '1h', '5h'),
    retired: fc.record(
      {
        hidden: fc.boolean(),
        name: fc.constantFrom(
          '{name} ({date})',
          'old {number}',
          '{date}',
          '{name}{name}{number}',
          `${'😀'.repeat(240)}{number}`,
        ),
      },
      { requiredKeys: [] },
    ),
    pin: data,
  },
  { requiredKeys: [] },
);
const image: fc.Arbitrary<DeclaredImage> = fc.record(
  {
    name: fc.constantFrom('ubuntu', 'ubuntu (2026-01-02)', 'old 1', '😀'.repeat(255), 'x'.repeat(250)),
    hidden: fc.boolean(),
    protected: fc.boolean(),
    tags: fc.constantFrom([], ['x']),
    diskFormat: fc.constantFrom('raw', 'vhd'),
  },
  { requiredKeys: [] },
);
const isOn = fc.boolean();
const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('edit'), data, image, revisions, isAwaited: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('mishap'),
      fate: fc.constantFrom<Fate>('crash-before', 'crash-after', 'lost', 'refused'),
      after: fc.nat(12),
    }),
  },
  fc.record({ kind: fc.constantFrom('loseStatus', 'loseMemory', 'restart') }),
  fc.record({ kind: fc.constant('wait'), hours: fc.nat(6) }),
  fc.record({ kind: fc.constant('setClock'), hours: fc.integer({ min: -20, max: 20 }) }),
  fc.record({ kind: fc.constantFrom('use', 'hold'), nth: fc.nat(3), isOn }),
  fc.record({ kind: fc.constantFrom('novaFails', 'quotaIsFull'), isOn }),
);
export const anyLife = fc.array(act, { minLength: 2, maxLength: 10 });

interface Declared {
  data: string;
  image: DeclaredImage;
  revisions: Revisions;
}

function specIn({ data: text, image: record, revisions: { pin, ...retention } }: Declared): Record<string, unknown> {
  const pinned = pin === undefined ? {} : { pin: sha256(pin) };
  return specOf(text, { ...record }, { revisions: { ...retention, ...pinned } });
}

export async function playLife(acts: readonly Act[]): Promise<void> {
  let declared: Declared = { data: 'a', image: {}, revisions: {} };
  const world = createWorld({ spec: specIn(declared) });
  const trouble = troubleIn(world);
  const watch = watchNames(world);
  const declare = (next: Declared) => {
    watch.declare(next);
    declared = next;
    world.edit(specIn(next));
  };
  await world.settle();
  for (const one of acts) {
    if (one.kind === 'edit') {
      declare(one);
      if (one.isAwaited) await world.settle(12);
      else await world.step();
    } else {
      if (one.kind === 'loseStatus' || one.kind === 'loseMemory') watch.forget();
      await trouble.cause(one);
    }
  }
  trouble.end();
  const { name } = declared.image;
  declare({ data: declared.data, image: name === undefined ? {} : { name }, revisions: { keep: 1 } });
  // The operator looks again at images that were in use.
  for (let rounds = 0; rounds < 6; rounds++) {
    await world.settle(20);
    await world.clock.advance(3 * hour);
  }
  await world.settle(20);
  assertEnd(world, declared);
  world.delete();
  await world.settle(20);
  assert.deepEqual([world.resource, world.show()], [undefined, []]);
}

function troubleIn(world: World) {
  let mishap: { fate: Fate; after: number } | undefined;
  let novaFails = false;
  const unanswered = new OperatorError('Nova does not respond', { code: 'Forbidden' });
  world.decide(({ server, op }): Fate => {
    if (op === 'servers') return novaFails ? unanswered : 'ok';
    if (['usage', 'download', 'tasks'].includes(op) || mishap === undefined || mishap.after-- > 0) return 'ok';
    const { fate } = mishap;
    mishap = undefined;
    // A response of the API server that is lost shows in the next reconcile like a crash.
    return server === 'kubernetes' && (fate === 'lost' || fate === 'refused') ? 'crash-after' : fate;
  });
  return {
    async cause(one: Exclude<Act, { kind: 'edit' }>): Promise<void> {
      switch (one.kind) {
        case 'mishap':
          mishap = { fate: one.fate, after: one.after };
          return;
        case 'loseStatus':
          return world.loseStatus();
        case 'loseMemory':
          return world.loseOperation();
        case 'restart':
          return world.restart();
        case 'wait':
          await world.clock.advance(one.hours * hour);
          await world.settle(6);
          return;
        case 'setClock':
          return world.clock.jump(one.hours * hour);
        case 'use':
        case 'hold': {
          const id = [...world.images.keys()][one.nth];
          const ids = one.kind === 'use' ? world.serverImages : world.inUse;
          if (id !== undefined && one.isOn) ids.add(id);
          else if (id !== undefined) ids.delete(id);
          return;
        }
        case 'novaFails':
          novaFails = one.isOn;
          return;
        case 'quotaIsFull':
          world.calls.usage = one.isOn ? { image_count_total: { limit: 1, usage: 1 } } : {};
          return;
      }
    },
    end(): void {
      mishap = undefined;
      novaFails = false;
      world.serverImages.clear();
      world.inUse.clear();
      world.calls.usage = {};
    },
  };
}

function watchNames(world: World) {
  let name = 'ubuntu';
  let mayBeHidden = false;
  let wasUsable = false;
  let keep = 1;
  let isKnown = true;
  const used = new Set<string>();
  /** Retired images may have had a name before it was declared. */
  let hadName = new Set<string>();
  let before = new Set<string>();
  world.watch(() => {
    const { resource } = world;
    const all = [...world.images.values()];
    const shown = world.show().join(', ');
    const named = all.filter((one) => one.name === name);
    const most = Math.max(1, named.filter(({ id }) => hadName.has(id)).length);
    assert.ok(named.length <= most, `two images have the name: ${shown}`);
    for (const one of all) assert.ok([...(one.name ?? '')].length <= 255, `a name is too long: ${one.name}`);
    if (resource === undefined || resource.metadata.deletionTimestamp !== undefined) return;
    const { imageID } = resource.status;
    wasUsable ||= imageID !== undefined;
    if (imageID !== undefined) used.add(imageID);
    const left = all.filter(({ id }) => id !== imageID && used.has(id));
    const gone = [...before].filter((id) => used.has(id) && !world.images.has(id));
    if (isKnown && gone.length > 0) assert.ok(left.length >= keep, `${gone.join()} is gone, keep is ${keep}: ${shown}`);
    before = new Set(world.images.keys());
    if (imageID !== undefined)
      assert.equal(world.images.get(imageID)?.status, 'active', `imageID ${imageID}: ${shown}`);
    if (!wasUsable || mayBeHidden) return;
    assert.ok(
      all.some(({ status, hidden }) => status === 'active' && !hidden),
      `no image is visible: ${shown}`,
    );
  });
  return {
    /** An image that was declared hidden is so until the next declaration is applied. */
    declare({ image: next, revisions: { keep: most = 1 } }: Pick<Declared, 'image' | 'revisions'>): void {
      name = next.name ?? 'ubuntu';
      mayBeHidden ||= next.hidden === true;
      keep = most;
      hadName = new Set([...world.images.values()].flatMap((one) => (one.name === name ? one.id : [])));
    },
    /** Without its memory, the operator does not know which images were the one to use. */
    forget(): void {
      isKnown = false;
    },
  };
}

function assertEnd(world: World, { data: text, image: record }: Declared): void {
  const shown = world.show().join(', ');
  assert.equal(world.ready(), 'True Ready', `${world.message()} ${shown}`);
  const { imageID = '' } = world.status ?? {};
  const current = world.images.get(imageID);
  assert.equal(world.data.get(imageID), text, shown);
  assert.deepEqual([current?.name, current?.hidden, current?.status], [record.name ?? 'ubuntu', false, 'active']);
  assert.ok(world.images.size <= 2, `more are left than are kept: ${shown}`);
}
