/**
 * The fault campaign against the API server: while a fault strikes, one image is created, one edited and one deleted. Law: the
 * end state is what was declared, in Kubernetes and in Glance, and nothing was written twice on the way to it.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { apiVersion, kind, plural } from '../../src/api/group.ts';
import { raw } from '../env/images.ts';
import { changesSomething, type FaultProxy, type ProxiedRequest, startProxy } from '../env/proxy.ts';
import type { Stack } from '../env/stack.ts';
import { digestOf } from './digest.ts';
import { type Case, type Phase, phases, refusal } from './kubernetes-fault-cases.ts';
import { World } from './world.ts';

const inPages: readonly Phase[] = ['the first page of a list', 'a later page of a list', 'a watch'];
/** Phases through which an operator comes when it starts. */
const listing: readonly Phase[] = ['a streaming list', 'the list of Secrets', ...inPages];
/** A case in four has data. */
const dataEvery = 4;
const dataBytes = 256 * 1024;

export class FaultScene implements AsyncDisposable {
  readonly #world: World;
  readonly #kubernetes: FaultProxy;
  readonly #glance: FaultProxy;
  readonly #cases: readonly Case[];
  /** What Glance should hold, as `name a=value`. */
  readonly #declared = new Set<string>();

  /** One world for all cases, each of which has an image to edit and one to delete in it from the start. */
  static async create(stack: Stack, cases: readonly Case[]): Promise<FaultScene> {
    const { server: url, caPem: ca } = stack.kubernetes;
    const [kubernetes, glance] = await Promise.all([
      startProxy({ url, ca }),
      startProxy({ url: stack.openstack.imageUrl }),
    ]);
    const clouds = { imageUrl: glance.url };
    const world = await World.create({ stack, clouds, through: { server: kubernetes.url } }).catch(
      async (error: unknown) => {
        await Promise.all([kubernetes[Symbol.asyncDispose](), glance[Symbol.asyncDispose]()]);
        throw error;
      },
    );
    const scene = new FaultScene(world, kubernetes, glance, cases);
    const names = cases.flatMap((_, at) => [`edited-${at}`, `deleted-${at}`]);
    for (const name of names) await scene.#create(name);
    for (const name of names) await world.ready(name);
    return scene;
  }

  private constructor(world: World, kubernetes: FaultProxy, glance: FaultProxy, cases: readonly Case[]) {
    this.#world = world;
    this.#kubernetes = kubernetes;
    this.#glance = glance;
    this.#cases = cases;
  }

  /** Brings the operator through the phase of the case, and the fault over it. Resolves with the seconds that it took. */
  async play(at: number): Promise<number> {
    const each = this.#cases[at];
    assert.ok(each);
    const world = this.#world;
    const begins = listing.includes(each.phase);
    if (begins) await world.operator.kill();
    const asked = this.#kubernetes.requests.length;
    const uploaded = this.#glance.requests.length;
    const disarm = this.#arm(each);
    const startedAt = performance.now();
    await Promise.all([begins ? world.start() : undefined, this.#change(at)]);
    await Promise.all([
      world.ready(`created-${at}`, 240_000),
      world.ready(`edited-${at}`, 240_000),
      world.gone(`deleted-${at}`, 240_000),
    ]);
    await this.#untilStruck(each, asked);
    const seconds = (performance.now() - startedAt) / 1000;
    disarm();
    this.#declared.delete(`deleted-${at} a=1`);
    this.#declared.delete(`edited-${at} a=1`);
    this.#declared.add(`edited-${at} a=2`);
    this.#assertWrittenOnce(at, asked, uploaded);
    return seconds;
  }

  /** After all cases: Glance is equal to what is declared, and an operator that starts has nothing to write. */
  async assertEnd(): Promise<void> {
    const images = await this.#world.images();
    assert.deepEqual(images.map(({ name, a }) => `${name} a=${a}`).sort(), [...this.#declared].sort());
    assert.ok(images.filter(({ size }) => size === dataBytes).every(({ status }) => status === 'active'));
    await this.#world.operator.kill();
    const before = [this.#kubernetes.requests.length, this.#glance.requests.length] as const;
    await this.#world.start();
    await sleep(1000);
    const after = [...this.#kubernetes.requests.slice(before[0]), ...this.#glance.requests.slice(before[1])];
    assert.deepEqual(after.filter(changesSomething).map(callOf), []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#world[Symbol.asyncDispose]();
    await Promise.all([this.#kubernetes[Symbol.asyncDispose](), this.#glance[Symbol.asyncDispose]()]);
  }

  #arm({ phase, fault, times }: Case): () => void {
    const proxy = this.#kubernetes;
    const removals = [proxy.on({ matches: phases[phase], fault, times })];
    // What a server without streaming lists does is met in its own phases; and few images make few pages.
    if (inPages.includes(phase)) {
      removals.push(proxy.on({ matches: phases['a streaming list'], fault: refusal(422, 'Invalid') }));
      const limit = `limit=${Math.max(2, Math.ceil(this.#cases.length / 2))}`;
      const rewrite = { kind: 'rewrite', path: (path: string) => path.replace('limit=500', limit) } as const;
      for (const page of ['the first page of a list', 'a later page of a list'] as const)
        removals.push(proxy.on({ matches: phases[page], fault: rewrite }));
    }
    return () => {
      for (const remove of removals) remove();
    };
  }

  async #change(at: number): Promise<void> {
    const { kubernetes } = this.#world.stack;
    await this.#create(`created-${at}`, at % dataEvery === 0);
    const edit = { spec: { image: { properties: { a: '2' } } } };
    const contentType = 'application/merge-patch+json';
    (await kubernetes.request('PATCH', this.#path(`edited-${at}`), edit, { contentType })).ok();
    await this.#world.delete(`deleted-${at}`);
  }

  async #create(name: string, hasData = false): Promise<void> {
    const { stack, source, namespace } = this.#world;
    const body = raw(dataBytes);
    const http = { url: source.add(`/${name}.raw`, { body }), digest: digestOf(body) };
    const spec = {
      cloud: { secretName: 'openstack', name: 'demo' },
      interval: '0',
      image: { diskFormat: 'raw', properties: { a: '1' } },
      ...(hasData ? { content: { http } } : {}),
    };
    const resource = { apiVersion, kind, metadata: { name, namespace }, spec };
    (await stack.kubernetes.request('POST', this.#path(), resource)).ok();
    this.#declared.add(`${name} a=1`);
  }

  #path(name?: string): string {
    const path = `/apis/${apiVersion}/namespaces/${this.#world.namespace}/${plural}`;
    return name === undefined ? path : `${path}/${name}`;
  }

  /** Events are told a little later than the rest. */
  async #untilStruck({ phase, name, fault }: Case, since: number): Promise<void> {
    const struck = () => this.#kubernetes.requests.slice(since).some((request) => request.fault === fault);
    for (let tries = 0; !struck(); tries++) {
      if (tries > 100) throw new Error(`${name} did not strike ${phase}`);
      await sleep(50);
    }
  }

  #assertWrittenOnce(at: number, asked: number, uploaded: number): void {
    const done = (requests: readonly ProxiedRequest[]) =>
      requests.filter((request) => changesSomething(request) && request.status >= 200 && request.status < 300);
    const toGlance = done(this.#glance.requests.slice(uploaded)).map(({ method }) => method);
    const upload = at % dataEvery === 0 ? ['PUT'] : [];
    assert.deepEqual(toGlance.sort(), ['DELETE', 'PATCH', 'POST', ...upload].sort(), 'what Glance was made to do');

    const toKubernetes = done(this.#kubernetes.requests.slice(asked));
    const finalizers = toKubernetes.filter(phases['writing the finalizer']);
    assert.equal(finalizers.length, 2, 'one finalizer is added and one removed');
    const last = new Map<string, string>();
    for (const request of toKubernetes.filter(phases['writing the status'])) {
      assert.notEqual(request.body, last.get(request.path), `the same status was written twice: ${request.body}`);
      // One whose answer was lost has to be sent again.
      if (request.fault === undefined) last.set(request.path, request.body);
    }
  }
}

function callOf({ method, path }: ProxiedRequest): string {
  return `${method} ${path}`;
}
