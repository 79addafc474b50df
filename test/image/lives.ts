/**
 * The life of a resource and its images: random edits, losses, changes by others and moves between clusters, on a Glance and API servers
 * in memory. At its end everything heals, and the images are as declared.
 *
 * Invariants, at each change: no write to an image that is not ours; at most one image has the declared name; an image that existed
 * before is not deleted before another one with declared data has replaced it.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { identityAnnotation } from '../../src/api/group.ts';
import { clusterProperty, ownerProperty } from '../../src/image/model/identity.ts';
import { existing, id as original } from './adopting.ts';
import { createWorld, type World } from './world.ts';
import { type Fate, sha256 } from './world-glance.ts';

/** What stays the same for a whole life. */
export interface Start {
  /** created: the operator makes the image. Otherwise one exists before. */
  kind: 'created' | 'adopted' | 'observed';
  named: boolean;
  tagged: boolean;
  keep: 0 | 1 | 2;
  /** Of the content at first; undefined: none is declared. */
  data: 'a' | 'b' | undefined;
}

export type Event =
  | { kind: 'declare'; data: 'a' | 'b' | 'c' }
  | { kind: 'step'; times: number }
  | { kind: 'settle' }
  /** What becomes of a later write. */
  | { kind: 'mishap'; fate: 'crash-before' | 'crash-after' | 'lost' | 'refused'; after: number }
  /** At once, or right after a later write. */
  | { kind: 'lose'; what: 'status' | 'operation'; after: number }
  | { kind: 'restart' }
  | { kind: 'unmark'; which: number }
  | { kind: 'foreignDelete'; which: number }
  | { kind: 'deactivate'; which: number }
  | { kind: 'wait'; ms: number }
  | { kind: 'move'; status: boolean; stripped: 'first' | 'later' }
  | { kind: 'retain' };

const anyAfter = fc.integer({ min: 0, max: 6 });
const anyWhich = fc.integer({ min: 0, max: 3 });

export const anyStart: fc.Arbitrary<Start> = fc.record({
  kind: fc.constantFrom('created' as const, 'adopted' as const, 'adopted' as const, 'observed' as const),
  named: fc.boolean(),
  tagged: fc.boolean(),
  keep: fc.constantFrom(0 as const, 1 as const, 2 as const),
  data: fc.constantFrom('a' as const, 'a' as const, 'b' as const, undefined),
});

export const anyEvent: fc.Arbitrary<Event> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('declare' as const), data: fc.constantFrom('a', 'b', 'c') }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('step' as const), times: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 5, arbitrary: fc.constant({ kind: 'settle' as const }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('mishap' as const),
      fate: fc.constantFrom('crash-before', 'crash-after', 'lost', 'refused'),
      after: anyAfter,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('lose' as const),
      what: fc.constantFrom('status', 'operation'),
      after: anyAfter,
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('unmark' as const), which: anyWhich }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('foreignDelete' as const), which: anyWhich }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('deactivate' as const), which: anyWhich }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      ms: fc.constantFrom(61_000, 7_200_000, 40 * 86_400_000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('move' as const),
      status: fc.boolean(),
      stripped: fc.constantFrom('first', 'later'),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'retain' as const }) },
);

const declaredName = 'declared';
const declaredTags = ['x', 'y'];

const uidOf = (number: number) => `${String(number).padStart(8, '0')}-1111-4111-8111-111111111111`;

export class Life {
  readonly start: Start;
  world: World;
  /** The declared content. */
  private data: 'a' | 'b' | 'c' | undefined;
  private policy: 'Observe' | 'Manage';
  private readonly imported: boolean;
  private moves = 0;
  private mishap: { fate: Fate; after: number } | undefined;
  private loss: { what: 'status' | 'operation'; after: number } | undefined;
  /** An administrator did. */
  private readonly deactivated = new Set<string>();
  private isOriginalGone = false;
  /** A memory and an image were lost: no one knows any more which tags the image had. */
  private readonly lost = new Set<'memory' | 'image'>();
  /** The content that was declared first, with which the original is compared. */
  private readonly everDeclared = new Set<string>();

  constructor(start: Start) {
    this.start = start;
    this.imported = start.kind !== 'created';
    this.policy = start.kind === 'observed' ? 'Observe' : 'Manage';
    this.data = this.policy === 'Observe' ? undefined : (start.data ?? (this.imported ? undefined : 'a'));
    this.world = createWorld({ spec: this.spec(), cluster: 'cluster-0' });
    if (this.imported) {
      this.world.put(existing());
      this.world.data.set(original, 'a');
    }
    this.attend(this.world);
  }

  private spec(deletionPolicy = 'Delete'): Record<string, unknown> {
    if (this.policy === 'Observe') return { managementPolicy: 'Observe', import: { id: original } };
    const { named, tagged, keep } = this.start;
    if (this.data !== undefined) this.everDeclared.add(this.data);
    return {
      ...(this.imported ? { import: { id: original } } : {}),
      deletionPolicy,
      image: {
        ...(named ? { name: declaredName } : {}),
        ...(tagged ? { tags: declaredTags } : {}),
        ...(this.data === undefined ? {} : { diskFormat: 'raw' }),
      },
      revisions: { keep },
      ...(this.data === undefined
        ? {}
        : { content: { http: { url: 'https://example.com/i', digest: sha256(this.data), digestOf: 'Image' } } }),
    };
  }

  /** The name that exactly one image has at the end. */
  private get name(): string {
    if (this.start.named && this.policy === 'Manage') return declaredName;
    return this.imported ? 'golden' : 'ubuntu';
  }

  private attend(world: World): void {
    world.decide((call) => {
      if (['usage', 'download', 'tasks'].includes(call.op) || this.mishap === undefined) return 'ok';
      if (this.mishap.after-- > 0) return 'ok';
      const { fate } = this.mishap;
      this.mishap = undefined;
      if (call.server === 'kubernetes') return fate === 'crash-before' ? fate : 'crash-after';
      return fate;
    });
    world.watch(() => {
      this.check();
      if (this.loss === undefined || this.loss.after-- > 0) return;
      const { what } = this.loss;
      this.loss = undefined;
      this.lose(what);
    });
  }

  private lose(what: 'status' | 'operation'): void {
    this.lost.add('memory');
    if (what === 'status') this.world.loseStatus();
    else this.world.loseOperation();
  }

  private check(): void {
    const all = [...this.world.images.values()];
    for (const name of [declaredName, 'golden', 'ubuntu']) {
      const named = all.filter((image) => image.name === name);
      assert.ok(named.length <= 1, `two images are named ${name}: ${this.show()}`);
    }
    if (this.imported && !this.isOriginalGone && !this.world.images.has(original)) {
      this.isOriginalGone = true;
      assert.ok(this.everDeclared.size > 1 || !this.everDeclared.has('a'), `the original is gone: ${this.show()}`);
      assert.ok(
        all.some(({ id, status }) => id !== original && status === 'active'),
        `nothing is left: ${this.show()}`,
      );
    }
  }

  private pick(which: number) {
    const all = [...this.world.images.values()];
    return all[which % Math.max(1, all.length)];
  }

  async happens(event: Event): Promise<void> {
    const { world } = this;
    switch (event.kind) {
      case 'declare':
        this.policy = 'Manage';
        this.data = event.data;
        return world.edit(this.spec());
      case 'step':
        for (let time = 0; time < event.times; time++) {
          await world.step();
          await world.clock.advance(0);
        }
        return;
      case 'settle':
        await world.settle(12);
        return;
      case 'mishap':
        this.mishap = { fate: event.fate, after: event.after };
        return;
      case 'lose':
        if (event.after === 0) return this.lose(event.what);
        this.loss = { what: event.what, after: event.after };
        return;
      case 'restart':
        return world.restart();
      case 'unmark': {
        const image = this.pick(event.which);
        if (image === undefined) return;
        // Its ID says nothing of an image that was moved.
        if (this.moves > 0 && image.id !== original) return;
        // Without the memory, nothing shows whose image it is.
        if (world.status?.operation?.['uid'] !== world.resource?.metadata.uid) return;
        this.loss = undefined;
        const { [ownerProperty]: _, ...properties } = image.properties;
        world.meddle(image.id, { properties });
        world.edit(this.spec());
        await world.settle(12);
        return;
      }
      case 'foreignDelete': {
        const image = this.pick(event.which);
        if (image === undefined || image.status === 'saving') return;
        this.isOriginalGone ||= image.id === original;
        this.lost.add('image');
        return world.foreignDelete(image.id);
      }
      case 'deactivate': {
        const image = this.pick(event.which);
        if (image?.status !== 'active') return;
        this.deactivated.add(image.id);
        return world.meddle(image.id, { status: 'deactivated' });
      }
      case 'wait':
        return world.clock.advance(event.ms);
      case 'move':
        return this.move(event);
      case 'retain':
        return this.retain();
    }
  }

  /** As clusterctl: the target gets the object without its status; or as a restore with it. The source takes no step after it is stripped. */
  private async move({ status, stripped }: Extract<Event, { kind: 'move' }>): Promise<void> {
    const { world } = this;
    const { resource } = world;
    if (resource === undefined) return;
    const { annotations, finalizers, name } = resource.metadata;
    this.lost.add('memory');
    const number = ++this.moves;
    const next = createWorld({
      spec: this.spec(),
      glance: world,
      cluster: `cluster-${number}`,
      inheritFrom: Array.from({ length: number }, (_, index) => `cluster-${index}`),
      metadata: { name, annotations, finalizers, uid: uidOf(number) },
      ...(status ? { status: resource.status } : {}),
    });
    world.decide(() => 'ok');
    world.watch(() => this.check());
    if (stripped === 'later') {
      this.attend(next);
      await next.step();
    }
    await world.restart();
    this.world = next;
    this.attend(next);
  }

  /** Deleted, and created again with the same identity. */
  private async retain(): Promise<void> {
    const { world } = this;
    if (this.policy === 'Observe' || world.resource === undefined) return;
    world.edit(this.spec('Retain'));
    world.delete();
    const before = world.resource?.metadata.annotations[identityAnnotation];
    for (let tries = 0; tries < 10 && world.resource !== undefined; tries++) await world.settle(1);
    assert.equal(world.resource, undefined, 'Retain always succeeds');
    if (before === undefined) return;
    this.lost.add('memory');
    const number = ++this.moves;
    world.watch(() => {});
    this.world = createWorld({
      spec: this.spec(),
      glance: world,
      cluster: `cluster-${number}`,
      inheritFrom: Array.from({ length: number }, (_, index) => `cluster-${index}`),
      metadata: { annotations: { [identityAnnotation]: before }, uid: uidOf(number) },
    });
    this.attend(this.world);
  }

  show(): string {
    const { world } = this;
    return [world.ready(), world.message() ?? '', ...world.show(), ...world.log.slice(-12)].join('\n  ');
  }

  /** Everything heals; and then it is as declared. */
  async end(): Promise<void> {
    this.mishap = undefined;
    this.loss = undefined;
    if (this.world.resource === undefined) return;
    for (let round = 0; round < 4; round++) {
      for (const id of this.deactivated)
        if (this.world.images.get(id)?.status === 'deactivated') this.world.meddle(id, { status: 'active' });
      // Has it compared with Glance.
      this.world.edit(this.spec());
      await this.world.settle(20);
      await this.world.clock.advance(61 * 60_000);
    }
    await this.world.settle(20);
    this.verify();
    await this.release();
  }

  private verify(): void {
    const { world } = this;
    const { images } = world;
    const ready = world.ready();
    const isWithout = this.imported && !images.has(original);
    if (isWithout && /^False (ImportVanished|ImportNotFound)$/.test(ready)) {
      assert.equal(images.size, 0, this.show());
      return;
    }
    // Its content is what it was compared with first, and differs.
    if (ready === 'False ContentDiffers') {
      assert.equal(images.size, 1, this.show());
      return;
    }
    assert.match(ready, /^True (Ready|NotCompared)$/, this.show());
    const image = images.get(world.status?.imageID ?? '');
    assert.ok(image !== undefined, this.show());
    if (this.data !== undefined) assert.equal(world.data.get(image.id), this.data, this.show());
    assert.deepEqual([image.name, image.hidden, image.status], [this.name, false, 'active'], this.show());
    const tags = this.start.tagged && this.policy === 'Manage' ? declaredTags : this.imported ? ['a', 'b'] : [];
    if (this.lost.size < 2) assert.deepEqual([...image.tags].sort(), tags, this.show());
    if (this.policy === 'Observe') return;
    for (const other of images.values()) {
      if (other === image) continue;
      assert.ok(!/pending/.test(other.name ?? ''), `left over: ${this.show()}`);
      if (other.properties[ownerProperty] === undefined) continue;
      assert.notEqual(other.name, image.name);
    }
    const ours = [...images.values()].filter(({ properties }) => properties[ownerProperty] === world.mark);
    assert.ok(ours.length <= Math.max(1, this.start.keep + 1), `too many: ${this.show()}`);
    assert.equal(ours.length, images.size, `an image without an owner: ${this.show()}`);
    for (const { properties } of ours) assert.equal(properties[clusterProperty], `cluster-${this.moves}`, this.show());
  }

  private async release(): Promise<void> {
    const { world } = this;
    const owned = [...world.images.values()].filter(({ properties }) => properties[ownerProperty] === world.mark);
    world.watch(() => {});
    world.delete();
    for (let tries = 0; tries < 20 && world.resource !== undefined; tries++) await world.settle(1);
    assert.equal(world.resource, undefined, this.show());
    for (const { id } of owned) assert.ok(!world.images.has(id), this.show());
  }
}

export async function live(start: Start, events: readonly Event[]): Promise<void> {
  const life = new Life(start);
  for (const event of events) await life.happens(event);
  await life.end();
}
