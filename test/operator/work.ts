/**
 * Work for operators during a test of faults: images are created, edited and deleted, some with slow data.
 *
 * Invariant: the expected end state is known.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { apiVersion, kind, plural } from '../../src/api/group.ts';
import { raw } from '../env/images.ts';
import { digestOf } from './digest.ts';
import type { World } from './world.ts';

const mostImages = 16;
const pauseMs = 150;

export class Work implements AsyncDisposable {
  readonly #world: World;
  /** By name, the value of the property `n`; deleted ones are gone from here. */
  readonly #declared = new Map<string, number>();
  readonly #deleted = new Set<string>();
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  #steps = 0;

  constructor(world: World) {
    this.#world = world;
    this.#ended = this.#run();
    this.#ended.catch(() => {});
  }

  get steps(): number {
    return this.#steps;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#step(++this.#steps);
      await sleep(pauseMs);
    }
  }

  async #step(n: number): Promise<void> {
    const names = [...this.#declared.keys()];
    const name = names[n % Math.max(names.length, 1)];
    if (name !== undefined && n % 11 === 0) {
      this.#declared.delete(name);
      this.#deleted.add(name);
      await this.#world.delete(name);
    } else if (name === undefined || names.length < mostImages) await this.#apply(`image-${n}`, n, n % 3 === 0);
    else await this.#apply(name, n, false);
  }

  /** The content of an image cannot be taken away, so an edit says nothing of it. */
  async #apply(name: string, n: number, withData: boolean): Promise<void> {
    this.#declared.set(name, n);
    const path = `/apis/${apiVersion}/namespaces/${this.#world.namespace}/${plural}/${name}`;
    const spec = {
      cloud: { secretRef: { name: 'openstack' }, name: 'demo' },
      image: { diskFormat: 'raw', properties: { n: String(n) } },
    };
    const body = { apiVersion, kind, metadata: { name }, spec };
    const send = (manager: string, what: object) =>
      this.#world.stack.kubernetes.request('PATCH', `${path}?fieldManager=${manager}&force=true`, what, {
        contentType: 'application/apply-patch+yaml',
      });
    if (withData) {
      const data = raw(768 * 1024);
      const file = { body: data, fault: { kind: 'drip', bytesPerSecond: 384 * 1024 } } as const;
      const url = this.#world.source.add(`/${name}`, file);
      const content = { http: { url, digest: digestOf(data) } };
      (await send('source', { ...body, spec: { ...spec, content } })).ok();
    }
    (await send('user', body)).ok();
  }

  /** Stops, and resolves when all that was declared is there, once, and nothing else. */
  async settled(): Promise<number> {
    this.#stop.abort();
    await this.#ended;
    const world = this.#world;
    for (const name of this.#declared.keys()) await world.ready(name);
    for (const name of this.#deleted) await world.gone(name);
    const images = await world.images();
    const there = images.map((image) => [image.name, image['n'], image.status]);
    assert.deepEqual(
      there.map(([name, n]) => `${name} ${n}`).sort(),
      [...this.#declared].map(([name, n]) => `${name} ${n}`).sort(),
    );
    return this.#declared.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#ended.catch(() => {});
  }
}
