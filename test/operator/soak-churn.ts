/**
 * A user who constantly declares, edits and deletes images, and changes them in Glance behind the operator's back.
 *
 * Invariant: the expected state is known at every moment, and since when it has been expected.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { findCondition } from '../../src/api/conditions.ts';
import { glanceImageSchema } from '../../src/api/glanceimage.ts';
import { apiVersion, kind, plural } from '../../src/api/group.ts';
import { raw } from '../env/images.ts';
import { digestOf } from './digest.ts';
import { pick, type Random, sourceFaults } from './soak-faults.ts';
import type { World } from './world.ts';

interface Declared {
  /** Value of the property `n`. */
  n: number;
  /** Of its data; undefined where it has none. */
  bytes: number | undefined;
  /** In milliseconds, when it was declared so; undefined once that is so. */
  since: number | undefined;
}

const listSchema = z.object({ items: z.array(glanceImageSchema) });

export class Churn {
  readonly #world: World;
  readonly #random: Random;
  /** As many there are, more or less. */
  readonly #most: number;
  readonly #declared = new Map<string, Declared>();
  readonly #deleted = new Map<string, number>();
  /** How long each change took to come true, in milliseconds. */
  readonly tookMs: number[] = [];
  readonly counts = { created: 0, edited: 0, deleted: 0, drifted: 0 };
  #n = 0;

  constructor(world: World, most: number, random: Random) {
    this.#world = world;
    this.#most = most;
    this.#random = random;
  }

  /** One change. */
  async step(): Promise<void> {
    const names = [...this.#declared.keys()];
    if (names.length < this.#most) return this.#create();
    const name = pick(names, this.#random);
    const dice = this.#random();
    if (dice < 0.5) return this.#edit(name);
    if (dice < 0.85) return this.#delete(name);
    return this.#drift(name);
  }

  async #create(): Promise<void> {
    const name = `image-${++this.#n}`;
    const bytes = this.#random() < 0.4 ? 1024 * (64 + Math.floor(this.#random() * 192)) : undefined;
    this.#declared.set(name, { n: this.#n, bytes, since: performance.now() });
    this.counts.created++;
    const spec = {
      cloud: { secretRef: { name: 'openstack' }, name: 'demo' },
      interval: '10s',
      image: { diskFormat: 'raw', properties: { n: String(this.#n) } },
      ...(bytes === undefined ? {} : { content: this.#content(name, bytes) }),
    };
    (await this.#ask('POST', this.#path(), { apiVersion, kind, metadata: { name }, spec })).ok();
  }

  #content(name: string, bytes: number) {
    const body = raw(bytes, name);
    const url = this.#world.source.add(`/${name}`, { body, faults: sourceFaults(bytes, this.#random) });
    return { http: { url, digest: digestOf(body) } };
  }

  async #edit(name: string): Promise<void> {
    const declared = this.#declared.get(name);
    if (declared === undefined) return;
    this.#declared.set(name, { ...declared, n: ++this.#n, since: performance.now() });
    this.counts.edited++;
    const patch = { spec: { image: { properties: { n: String(this.#n) } } } };
    (await this.#ask('PATCH', this.#path(name), patch, 'application/merge-patch+json')).ok();
  }

  async #delete(name: string): Promise<void> {
    this.#declared.delete(name);
    this.#deleted.set(name, performance.now());
    this.counts.deleted++;
    (await this.#ask('DELETE', this.#path(name))).ok();
  }

  /** The image may not exist yet, or be in transfer; then nothing is changed. */
  async #drift(name: string): Promise<void> {
    const image = (await this.#world.images()).find((each) => each.name === name);
    if (image?.status !== 'active') return;
    this.counts.drifted++;
    const changed = [{ op: 'add', path: '/stray', value: 'x' }];
    await this.#world.project.image('PATCH', `/v2/images/${image.id}`, changed);
  }

  /** Looks at what has come true since. Resolves with the longest wait that is not over, in milliseconds, and whose it is. */
  async look(): Promise<{ ms: number; of: string }> {
    const at = performance.now();
    const { items } = (await this.#ask('GET', this.#path())).as(listSchema);
    const there = new Map(items.map((each) => [each.metadata.name, each]));
    for (const [name, since] of this.#deleted) {
      if (there.has(name)) continue;
      this.#deleted.delete(name);
      this.#world.source.remove(`/${name}`);
      this.tookMs.push(at - since);
    }
    for (const [name, declared] of this.#declared) {
      const resource = there.get(name);
      if (resource === undefined || declared.since === undefined || declared.since > at) continue;
      const { spec, status, metadata } = resource;
      const isSeen = spec.image.properties?.['n'] === String(declared.n);
      const isCurrent = isSeen && status.observedGeneration === metadata.generation;
      if (!isCurrent || findCondition(status.conditions, 'Ready')?.status !== 'True') continue;
      this.tookMs.push(at - declared.since);
      declared.since = undefined;
    }
    const waits = [...this.#declared].flatMap(([of, { since }]) =>
      since === undefined ? [] : [{ ms: at - since, of }],
    );
    const deletions = [...this.#deleted].map(([of, since]) => ({ ms: at - since, of }));
    const none = { ms: 0, of: 'nobody' };
    return [...waits, ...deletions].reduce((a, b) => (a.ms > b.ms ? a : b), none);
  }

  /** Checks that every declared image exists once and completely, and no other. Resolves with the number of images. */
  async assertThere(): Promise<number> {
    for (const name of this.#declared.keys()) await this.#world.ready(name);
    for (const name of this.#deleted.keys()) await this.#world.gone(name);
    const wanted = [...this.#declared].map(([name, { n, bytes }]) => {
      const data = bytes === undefined ? 'queued null' : `active ${bytes}`;
      return `${name} ${data} n=${n} undefined`;
    });
    wanted.sort();
    // A late change behind the operator's back is found by the next comparison.
    for (let tries = 0; ; tries++) {
      const images = await this.#world.images();
      const there = images
        .map(({ name, status, size, n, stray }) => `${name} ${status} ${size} n=${n} ${stray}`)
        .sort();
      if (isDeepStrictEqual(there, wanted)) return images.length;
      if (tries === 60) assert.deepEqual(there, wanted);
      await sleep(500);
    }
  }

  async deleteAll(): Promise<void> {
    for (const name of [...this.#declared.keys()]) await this.#delete(name);
    await this.assertThere();
  }

  #ask(method: string, path: string, body?: object, contentType = 'application/json') {
    return this.#world.stack.kubernetes.request(method, path, body, { contentType });
  }

  #path(name?: string): string {
    const path = `/apis/${apiVersion}/namespaces/${this.#world.namespace}/${plural}`;
    return name === undefined ? path : `${path}/${name}`;
  }
}
