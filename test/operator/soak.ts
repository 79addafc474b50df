/**
 * The soak: one operator with endless work and every kind of fault, in compressed time.
 *
 * Invariant: the declared state is reached in the end; nothing has ever been waited for too long; the first process is
 * still running and was live all the time; and its resources do not grow.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { startProxy } from '../env/proxy.ts';
import type { Stack } from '../env/stack.ts';
import { ask, type Family, sampleOf, scrape } from './scrape.ts';
import { Churn } from './soak-churn.ts';
import { type Random, type Servers, shortenTokens, strike, troubleWatches } from './soak-faults.ts';
import { quantileOf, type Trend, trendOf } from './soak-trend.ts';
import { World } from './world.ts';

export interface SoakOptions {
  seconds: number;
  /** How many images there are, more or less. */
  images: number;
  /** Between two changes, between two faults, and between two rotations of the Secret. */
  changeMs: number;
  faultMs: number;
  rotationMs: number;
  tokenLifeMs: number;
  /** Of so many watches one meets a fault. */
  watchPeriod: number;
  sampleMs: number;
  /** The longest that a change may be waited for. */
  patienceMs: number;
  random: Random;
}

/** The measured quantities, from the operator's own metrics. */
const measures = {
  rss: 'process_resident_memory_bytes',
  /** The heap of the main thread, as far as it is in use. */
  heap: 'nodejs_heap_size_used_bytes',
  reserved: 'nodejs_heap_size_total_bytes',
  external: 'nodejs_external_memory_bytes',
  descriptors: 'process_open_fds',
  handles: 'nodejs_active_handles_total',
  resources: 'nodejs_active_resources_total',
  lag: 'nodejs_eventloop_lag_p99_seconds',
} as const;
/** `outside`: what is resident and not of that heap, the transfer thread among it. */
export type Measure = keyof typeof measures | 'outside';

interface Sample {
  at: number;
  families: ReadonlyMap<string, Family>;
}

function measured({ families }: Sample, measure: Measure): number {
  if (measure === 'outside') return valueIn(families, measures.rss) - valueIn(families, measures.reserved);
  return valueIn(families, measures[measure]);
}

function valueIn(families: Sample['families'], name: string): number {
  const value = sampleOf(families, name);
  if (value === undefined) throw new Error(`the operator has no metric ${name}`);
  return value;
}

export interface Verdict {
  seconds: number;
  counts: Churn['counts'];
  /** Images in the end. */
  images: number;
  /** How long changes took to come true, in milliseconds. */
  took: { median: number; p99: number; longest: number };
  trends: Record<Measure, Trend>;
  samples: number;
  relists: number;
  missed: number;
}

export class Soak implements AsyncDisposable {
  readonly #world: World;
  readonly #servers: Servers;
  readonly #options: SoakOptions;
  readonly #churn: Churn;
  /** Different credentials for the same project. */
  readonly #secrets: readonly string[];
  readonly #samples: Sample[] = [];
  readonly #startedAt = performance.now();

  static async create(stack: Stack, options: SoakOptions): Promise<Soak> {
    const { server: url, caPem: ca } = stack.kubernetes;
    const { authUrl, imageUrl } = stack.openstack;
    const [kubernetes, keystone, glance] = await Promise.all([
      startProxy({ url, ca }),
      startProxy({ url: new URL(authUrl).origin }),
      startProxy({ url: imageUrl }),
    ]);
    const servers = { kubernetes, keystone, glance };
    troubleWatches(servers, options.watchPeriod);
    const clouds = { imageUrl: glance.url, authUrl: keystone.url + new URL(authUrl).pathname };
    // A busy machine must not cost the lease, which is not what is tried here.
    const lease = ['--lease-duration', '60s', '--lease-renew-deadline', '40s', '--lease-name', 'soak'];
    const flags = ['--leader-elect=true', ...lease];
    const through = { server: kubernetes.url };
    const world = await World.create({ stack, clouds, through, flags }).catch(async (error: unknown) => {
      await closeAll(servers);
      throw error;
    });
    const auths = ['password', 'applicationCredential', 'applicationCredential'] as const;
    const secrets = await Promise.all(auths.map((auth) => world.project.cloudsYaml({ ...clouds, auth })));
    return new Soak(world, servers, options, secrets);
  }

  private constructor(world: World, servers: Servers, options: SoakOptions, secrets: readonly string[]) {
    this.#world = world;
    this.#servers = servers;
    this.#options = options;
    this.#secrets = secrets;
    this.#churn = new Churn(world, options.images, options.random);
  }

  async run(): Promise<Verdict> {
    const { changeMs, faultMs, rotationMs, sampleMs, tokenLifeMs, seconds } = this.#options;
    const end = this.#startedAt + seconds * 1000;
    shortenTokens(this.#servers, tokenLifeMs);
    const over = new AbortController();
    const every = async (ms: number, work: () => Promise<void>) => {
      try {
        while (performance.now() < end && !over.signal.aborted) {
          await work();
          await sleep(ms);
        }
      } finally {
        over.abort();
      }
    };
    let disarm = () => {};
    const fault = async () => {
      disarm();
      disarm = strike(this.#servers, this.#options.random);
    };
    await Promise.all([
      every(changeMs, () => this.#churn.step()),
      every(faultMs, fault),
      every(rotationMs, () => this.#rotate()),
      every(sampleMs, () => this.#sample()),
    ]);
    disarm();
    return this.#verdict();
  }

  async #rotate(): Promise<void> {
    const next = Math.floor((performance.now() - this.#startedAt) / this.#options.rotationMs) % this.#secrets.length;
    await this.#world.writeSecret('openstack', { 'clouds.yaml': this.#secrets[next] ?? '' });
  }

  async #sample(): Promise<void> {
    for (const proxy of Object.values(this.#servers)) proxy.forget();
    const live = await ask(this.#world, '/livez');
    assert.equal(live.status, 200, `liveness was red: ${live.text}`);
    const families = await scrape(this.#world);
    this.#samples.push({ at: (performance.now() - this.#startedAt) / 1000, families: onlyMeasured(families) });
    const late = await this.#churn.look();
    const { patienceMs } = this.#options;
    if (late.ms > patienceMs) throw new Error(await this.#storyOf(late));
  }

  async #storyOf({ ms, of }: { ms: number; of: string }): Promise<string> {
    const resource = await this.#world.get(of);
    const image = (await this.#world.images()).find(({ name }) => name === of);
    const told = this.#world.operator.log.filter((line) => line.includes(`"name":"${of}"`)).slice(-20);
    const now = JSON.stringify({ status: resource?.status, image }, null, 2);
    return `${of} has been waited for for ${Math.round(ms / 1000)} s: ${now}\n${told.join('\n')}`;
  }

  async #verdict(): Promise<Verdict> {
    const images = await this.#churn.assertThere();
    await this.#sample();
    const metrics = await scrape(this.#world);
    const trend = (measure: Measure) =>
      trendOf(this.#samples.map((sample) => ({ at: sample.at, value: measured(sample, measure) })));
    const { tookMs: took, counts } = this.#churn;
    return {
      seconds: Math.round((performance.now() - this.#startedAt) / 1000),
      counts,
      images,
      took: { median: quantileOf(took, 0.5), p99: quantileOf(took, 0.99), longest: quantileOf(took, 1) },
      trends: {
        rss: trend('rss'),
        outside: trend('outside'),
        heap: trend('heap'),
        reserved: trend('reserved'),
        external: trend('external'),
        descriptors: trend('descriptors'),
        handles: trend('handles'),
        resources: trend('resources'),
        lag: trend('lag'),
      },
      samples: this.#samples.length,
      relists: sampleOf(metrics, 'watch_restarts_total', { resource: 'glanceimages', reason: 'Expired' }) ?? 0,
      missed: sampleOf(metrics, 'watch_missed_changes_total', { resource: 'glanceimages' }) ?? 0,
    };
  }

  /** Ends the work, and then the operator as a user would. Throws where anything is left, or where the operator complained of itself. */
  async finish(): Promise<void> {
    await this.#churn.deleteAll();
    const { operator } = this.#world;
    assert.equal(await operator.stop(), 0, operator.log.slice(-20).join('\n'));
    // A stack is logged only where it is a fault of the operator.
    const complaints = operator.log.filter((line) =>
      /^\(node:|"level":"fatal"|"stack":|"reason":"InternalError"/.test(line),
    );
    assert.deepEqual(complaints, []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#world[Symbol.asyncDispose]();
    await closeAll(this.#servers);
  }
}

function onlyMeasured(families: ReadonlyMap<string, Family>): Sample['families'] {
  const names: readonly string[] = Object.values(measures);
  return new Map([...families].filter(([name]) => names.includes(name)));
}

/** A sequence of its own for each seed, so that a run can be had again (mulberry32). */
export function randomOf(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function closeAll({ kubernetes, keystone, glance }: Servers): Promise<void> {
  await Promise.all([kubernetes, keystone, glance].map((proxy) => proxy[Symbol.asyncDispose]()));
}
