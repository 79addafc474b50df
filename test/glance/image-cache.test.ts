import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { createServerClock } from '../../src/glance/image-cache.ts';
import { type FakeGlance, hour, minute, nameIn, second, setUp } from './cached-glance.ts';

describe('the cache of images', () => {
  test('the cache sends no request until it is read, and then lists marked images, hidden ones included', async () => {
    const { glance, clock, settled } = setUp();
    await clock.advance(hour);
    assert.deepEqual(glance.lists, []);
    glance.put('a', { name: 'visible' });
    glance.put('b', { name: 'hidden', hidden: true });
    assert.equal(nameIn(await settled('a')), 'visible');
    assert.equal(nameIn(await settled('b', 0)), 'hidden');
    const properties = { cluster: 'c' };
    assert.deepEqual(glance.lists, [
      { properties, hidden: false },
      { properties, hidden: true },
    ]);
  });

  test('the cache makes no reader wait for a list, and runs only one', async () => {
    const { glance, clock, cache } = setUp();
    glance.put('a');
    glance.msAList = minute;
    for (let times = 0; times < 100; times++) assert.equal(cache.get('a', 0).kind, 'refreshing');
    await clock.advance(0);
    assert.equal(glance.lists.length, 1);
  });

  test('the cache serves all reads for the same or an earlier time from one list', async () => {
    const { glance, clock, cache, settled } = setUp();
    for (let index = 0; index < 50; index++) glance.put(`image-${index}`);
    const since = clock.monotonic();
    await settled('image-0', since);
    for (let index = 0; index < 50; index++) assert.equal(cache.get(`image-${index}`, since).kind, 'seen');
    assert.equal(glance.lists.length, 2);
  });

  test("the cache then lists only the changes, by the server's time, and reports only those", async () => {
    const { glance, clock, settled, told } = setUp();
    for (let index = 0; index < 50; index++) glance.put(`image-${index}`);
    glance.msAList = 10 * second;
    await settled('image-0');
    assert.equal(told().length, 50);
    await clock.advance(10 * minute);
    const before = glance.now;
    glance.put('image-7', { name: 'changed' });
    assert.equal(nameIn(await settled('image-7')), 'changed');
    assert.deepEqual(told(), ['image-7']);
    const { updatedSince } = glance.lists.at(-1) ?? {};
    assert.ok(
      updatedSince !== undefined && updatedSince.getTime() < before - 10 * minute,
      'since before the last list',
    );
    assert.ok(updatedSince.getTime() >= before - 11 * minute, 'and not long before');
    await clock.advance(10 * minute);
    await settled('image-7');
    assert.deepEqual(told(), []);
  });

  test('after a quiet night, the cache lists changes since its last list, not since the last change', async () => {
    const { glance, clock, settled } = setUp();
    for (let index = 0; index < 50; index++) glance.put(`image-${index}`);
    glance.msAList = 10 * second;
    await settled('image-0');
    for (let times = 0; times < 3; times++) {
      await clock.advance(10 * minute);
      await settled('image-0');
    }
    const { updatedSince } = glance.lists.at(-1) ?? {};
    assert.ok(updatedSince !== undefined && updatedSince.getTime() > glance.now - 12 * minute);
  });

  test('the cache finds a change during a long list in the next list', async () => {
    const { glance, clock, settled } = setUp();
    for (let index = 0; index < 50; index++) glance.put(`image-${index}`);
    glance.msAnImage = 10 * second;
    glance.onImage = (shown) => {
      if (shown === 10) glance.put('image-2', { name: 'late' });
      // A later stamp than that of the change that was not seen.
      if (shown === 40) glance.put('image-45', { name: 'seen' });
    };
    await settled('image-2');
    glance.onImage = () => {};
    glance.msAnImage = 0;
    await clock.advance(minute);
    assert.equal(nameIn(await settled('image-2')), 'late');
    assert.ok(glance.lists.at(-1)?.updatedSince !== undefined, 'a list of changes was enough');
  });

  test('the cache finds a change stamped before the last list and visible only after it', async () => {
    const { glance, settled } = setUp();
    for (let index = 0; index < 50; index++) glance.put(`image-${index}`);
    glance.msAnImage = second;
    // The time of the server is known to the second.
    glance.onImage = () => glance.put('image-49');
    await settled('image-2');
    glance.onImage = () => {};
    glance.msAnImage = 0;
    glance.put('image-2', { name: 'late' }, glance.now - 75 * second);
    assert.equal(nameIn(await settled('image-2')), 'late');
    assert.ok(glance.lists.at(-1)?.updatedSince !== undefined, 'a list of changes was enough');
  });

  test('a server whose clock is ahead of the others does not hide the changes that they make', async () => {
    const { glance, clock, settled } = setUp();
    glance.aheadMs = 0;
    glance.msAList = 5 * second;
    glance.put('a');
    glance.put('b', {}, glance.now + 10 * minute);
    await settled('a');
    await clock.advance(5 * minute);
    glance.put('a', { name: 'changed' });
    await clock.advance(second);
    const sighting = await settled('a');
    assert.ok(sighting.kind === 'seen' && sighting.image.name === 'changed');
    assert.notEqual(glance.lists.at(-1)?.updatedSince, undefined, 'a list of changes was enough');
  });

  test('the cache draws no conclusion from a list that failed or broke off', async () => {
    const { glance, clock, cache, settled, told } = setUp();
    glance.put('a');
    glance.put('b');
    await settled('a');
    told();
    glance.onImage = (shown) => {
      if (shown === 1) glance.failing = true;
    };
    glance.put('a', { name: 'changed' });
    await clock.advance(2 * hour);
    assert.deepEqual(await settled('b'), { kind: 'unknown', why: 'unavailable' });
    assert.deepEqual(told(), ['a'], 'nothing is missing');
    assert.equal(cache.get('b', 0).kind, 'seen', 'the earlier state is kept, with its time');
    const asked = glance.lists.length;
    await settled('b');
    assert.equal(glance.lists.length, asked, 'it is not tried again at once');
    glance.onImage = () => {};
    glance.failing = false;
    await clock.advance(minute);
    assert.equal((await settled('b')).kind, 'seen');
  });

  test('the full list finds a deletion, and takes at most a hundredth of the time', async () => {
    const { glance, clock, settled, told } = setUp();
    glance.put('a');
    glance.put('b');
    glance.msAList = 2 * second;
    await settled('a');
    told();
    glance.images.delete('a');
    await clock.advance(minute);
    assert.equal((await settled('a')).kind, 'seen', 'a list of changes cannot know');
    await clock.advance(6 * minute);
    assert.deepEqual(await settled('a'), { kind: 'unknown', why: 'unlisted' });
    assert.deepEqual(told(), ['a missing']);
    assert.equal(glance.lists.at(-1)?.updatedSince, undefined);
  });

  test('however long it takes, the full list is made every hour', async () => {
    const { glance, clock, settled } = setUp();
    glance.put('a');
    glance.msAList = 5 * minute;
    await settled('a');
    await clock.advance(hour);
    await settled('a');
    assert.equal(glance.lists.at(-1)?.updatedSince, undefined);
  });

  test('when a policy hides the marker, the cache reports the image as unlisted, and metrics count it', async () => {
    const looks: string[] = [];
    const observer = { lookedUp: (answer: string) => void looks.push(answer), listed: () => {}, failed: () => {} };
    const { settled } = setUp({ observer });
    assert.deepEqual(await settled('a'), { kind: 'unknown', why: 'unlisted' });
    assert.equal(looks.at(-1), 'unlisted');
  });

  test('a full list counts the images with our mark that no resource uses, and a list of changes does not', async () => {
    const counts: (number | undefined)[] = [];
    const observer = {
      lookedUp: () => {},
      listed: ({ unused }: { unused?: number }) => void counts.push(unused),
      failed: () => {},
    };
    const { glance, clock, settled } = setUp({ observer, keeps: (id) => id === 'a' });
    for (const id of ['a', 'orphan', 'retired']) glance.put(id);
    glance.msAList = 2 * second;
    await settled('a');
    assert.deepEqual(counts.splice(0), [2]);
    glance.put('a', { name: 'changed' });
    glance.images.delete('orphan');
    await clock.advance(minute);
    await settled('a');
    assert.deepEqual(counts.splice(0), [undefined]);
    await clock.advance(2 * hour);
    await settled('a');
    assert.deepEqual(counts, [1]);
  });

  test('the cache keeps only the compared attributes of images that will be read', async () => {
    const { glance, cache, settled, told } = setUp({ keeps: (id) => id === 'a' });
    glance.put('a', { directUrl: 'rbd://x', locations: [{ url: 'rbd://x', metadata: {} }] });
    for (let index = 0; index < 1000; index++) glance.put(`foreign-${index}`);
    const sighting = await settled('a');
    assert.ok(
      sighting.kind === 'seen' && sighting.image.directUrl === undefined && sighting.image.locations === undefined,
    );
    assert.equal(cache.size, 1);
    assert.deepEqual(told(), ['a']);
  });

  test('a closed cache ends its list and starts no other', async () => {
    const { glance, clock, cache, settled } = setUp();
    glance.put('a');
    glance.msAList = minute;
    assert.equal(cache.get('a', 0).kind, 'refreshing');
    cache.close();
    await clock.advance(2 * minute);
    assert.deepEqual(await settled('a'), { kind: 'unknown', why: 'unavailable' });
    assert.equal(glance.lists.length, 1);
  });
});

/** Which names each image has had, and until when. */
class Chronicle {
  readonly glance: FakeGlance;
  readonly #ended = new Map<string, { name: string | null; atMs: number }[]>();
  #count = 0;

  constructor(glance: FakeGlance) {
    this.glance = glance;
  }

  put(id: string, hidden: boolean, lateMs: number): void {
    this.#end(id);
    // Stamped when its transaction began, a while before it becomes visible.
    this.glance.put(id, { name: `name-${this.#count++}`, hidden }, this.glance.now - lateMs);
  }

  remove(id: string): void {
    this.#end(id);
    this.glance.images.delete(id);
  }

  assertHeld(id: string, name: string | null, sinceMs: number): void {
    const now = this.glance.images.get(id);
    if (now?.name === name) return;
    const last = this.#ended.get(id)?.find((state) => state.name === name);
    assert.ok(last !== undefined, `${id} was never called ${name}`);
    // A deletion alone may be known only after the longest time between two full lists.
    const slackMs = now === undefined && this.#ended.get(id)?.at(-1) === last ? 1.5 * hour : 0;
    assert.ok(last.atMs + slackMs >= sinceMs, `${id} was called ${name} until ${last.atMs}, not at ${sinceMs}`);
  }

  #end(id: string): void {
    const before = this.glance.images.get(id);
    if (before === undefined) return;
    const ended = this.#ended.get(id) ?? [];
    this.#ended.set(id, [...ended, { name: before.name, atMs: this.glance.clock.monotonic() }]);
  }
}

type Step =
  | { kind: 'put'; id: string; hidden: boolean; lateMs: number }
  | { kind: 'remove' | 'look'; id: string }
  | { kind: 'pass'; ms: number }
  | { kind: 'fail'; failing: boolean }
  | { kind: 'slow'; msAnImage: number };

async function take(step: Step, chronicle: Chronicle): Promise<void> {
  const { glance } = chronicle;
  switch (step.kind) {
    case 'put':
      return chronicle.put(step.id, step.hidden, step.lateMs);
    case 'remove':
      return chronicle.remove(step.id);
    case 'pass':
      return glance.clock.advance(step.ms);
    case 'fail':
      glance.failing = step.failing;
      return;
    case 'slow':
      glance.msAnImage = step.msAnImage;
      return;
    case 'look':
      return;
  }
}

describe('the laws of the cache', () => {
  const id = fc.constantFrom('a', 'b', 'c', 'd');
  const kind = <K extends Step['kind']>(name: K) => fc.constant(name);
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: kind('put'), id, hidden: fc.boolean(), lateMs: fc.nat(20 * second) }) },
    { weight: 1, arbitrary: fc.record({ kind: kind('remove'), id }) },
    { weight: 4, arbitrary: fc.record({ kind: kind('pass'), ms: fc.nat(15 * minute) }) },
    { weight: 6, arbitrary: fc.record({ kind: kind('look'), id }) },
    { weight: 1, arbitrary: fc.record({ kind: kind('fail'), failing: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ kind: kind('slow'), msAnImage: fc.nat(2 * minute) }) },
  );

  test('in every sequence of events, the cache shows the state of Glance at the requested time or later', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { clock, glance, settled } = setUp();
        glance.msAList = 5 * second;
        const chronicle = new Chronicle(glance);
        for (const one of steps) {
          if (one.kind !== 'look') await take(one, chronicle);
          else {
            const sinceMs = clock.monotonic();
            const sighting = await settled(one.id, sinceMs);
            if (sighting.kind === 'seen') chronicle.assertHeld(one.id, sighting.image.name, sinceMs);
          }
        }
      }),
      { seed: 7, numRuns: 300 },
    );
  });

  test('the estimated server time is never later than the real one', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -1e9, max: 1e9 }),
        fc.array(fc.record({ stampedMs: fc.nat(1e6), readLaterMs: fc.nat(1e5) }), { minLength: 1 }),
        fc.nat(1e7),
        (aheadMs, stamps, atMs) => {
          const times = createServerClock();
          for (const { stampedMs, readLaterMs } of stamps) {
            times.observe(new Date(stampedMs + aheadMs).toISOString(), stampedMs + readLaterMs);
          }
          const guess = times.atLeast(atMs);
          assert.ok(guess !== undefined && guess.getTime() <= atMs + aheadMs);
        },
      ),
      { seed: 7 },
    );
    assert.equal(createServerClock().atLeast(0), undefined);
  });
});
