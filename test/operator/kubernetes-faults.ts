/**
 * The fault campaign against the API server: during a fault, one image is created, one edited and one deleted.
 *
 * Invariant: the declared state is reached in Kubernetes and in Glance, nothing is written twice on the way, and an
 * operator that does not lead writes nothing.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { apiVersion, kind, plural } from '../../src/api/group.ts';
import { exitCodes } from '../../src/commands/exit.ts';
import { raw } from '../env/images.ts';
import { changesSomething, type FaultProxy, type ProxiedRequest, startProxy } from '../env/proxy.ts';
import type { Stack } from '../env/stack.ts';
import { eventually } from '../env/wait.ts';
import { digestOf } from './digest.ts';
import { type Case, type Phase, phases, refusal } from './kubernetes-fault-cases.ts';
import { World } from './world.ts';

const inPages: readonly Phase[] = ['the first page of a list', 'a later page of a list', 'a watch'];
/** Phases through which an operator comes when it starts. */
const beginning: readonly Phase[] = [
  'a streaming list',
  'the list of Secrets',
  // One that the watch says is the same is not read again.
  'reading a Secret',
  ...inPages,
  'reading the Lease',
  'taking the Lease',
];
/** Long enough for a machine that has much else to do, short enough to wait for. In milliseconds. */
const lease = { duration: 20_000, renewDeadline: 12_000, retry: 1000 };

/** A case in four has data. */
const dataEvery = 4;
const dataBytes = 256 * 1024;

export class FaultScene implements AsyncDisposable {
  readonly #world: World;
  readonly #kubernetes: FaultProxy;
  readonly #glance: FaultProxy;
  readonly #cases: readonly Case[];
  /** Where it elects a leader; else there is no election. */
  readonly #leaseName: string | undefined;
  /** What Glance should hold, as `name a=value`. */
  readonly #declared = new Set<string>();

  /** One world for all cases, each of which has an image to edit and one to delete in it from the start. */
  static async create(stack: Stack, cases: readonly Case[], elects = false): Promise<FaultScene> {
    const { server: url, caPem: ca } = stack.kubernetes;
    const [kubernetes, glance] = await Promise.all([
      startProxy({ url, ca }),
      startProxy({ url: stack.openstack.imageUrl }),
    ]);
    const clouds = { imageUrl: glance.url };
    const leaseName = elects ? `faults-${randomUUID()}` : undefined;
    // The list of Secrets is one of the occasions.
    const flags = ['--watch-secrets', 'true', ...(leaseName === undefined ? [] : electing(leaseName))];
    const world = await World.create({ stack, clouds, through: { server: kubernetes.url }, flags }).catch(
      async (error: unknown) => {
        await Promise.all([kubernetes[Symbol.asyncDispose](), glance[Symbol.asyncDispose]()]);
        throw error;
      },
    );
    const scene = new FaultScene(world, kubernetes, glance, cases, leaseName);
    const names = cases.flatMap((_, at) => [`edited-${at}`, `deleted-${at}`]);
    try {
      for (const name of names) await scene.#create(name);
      for (const name of names) await world.ready(name);
      return scene;
    } catch (error) {
      await scene[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(
    world: World,
    kubernetes: FaultProxy,
    glance: FaultProxy,
    cases: readonly Case[],
    leaseName: string | undefined,
  ) {
    this.#world = world;
    this.#kubernetes = kubernetes;
    this.#glance = glance;
    this.#cases = cases;
    this.#leaseName = leaseName;
  }

  /** Brings the operator through the phase of the case, and the fault over it. Resolves with the seconds that it took. */
  async play(at: number): Promise<number> {
    const each = this.#cases[at];
    assert.ok(each);
    const world = this.#world;
    const begins = beginning.includes(each.phase);
    if (begins) await this.#end();
    const asked = this.#kubernetes.requests.length;
    const uploaded = this.#glance.requests.length;
    const disarm = this.#arm(each);
    const startedAt = performance.now();
    const started = begins ? world.start() : undefined;
    started?.catch(() => {});
    await Promise.all([each.outcome === 'goes on' ? started : undefined, this.#change(at, each)]);
    if (each.outcome === 'ends') await this.#assertEnds(each, asked, uploaded);
    if (each.outcome === 'waits') await this.#assertWaits(each, asked, uploaded);
    if (each.outcome !== 'goes on') disarm();
    await (each.outcome === 'ends' ? this.#restart() : started);
    await Promise.all([world.ready(`created-${at}`), world.ready(`edited-${at}`), world.gone(`deleted-${at}`)]);
    await this.#untilStruck(each, asked);
    const seconds = (performance.now() - startedAt) / 1000;
    disarm();
    this.#declared.delete(`deleted-${at} a=1`);
    this.#declared.delete(`edited-${at} a=1`);
    this.#declared.add(`edited-${at} a=2`);
    if (each.outcome !== 'ends') await this.#untilReleased(asked);
    this.#assertWrittenOnce(at, each, asked, uploaded);
    if (this.#leaseName !== undefined) this.#assertLed(asked, uploaded);
    return seconds;
  }

  /** After all cases: Glance is equal to what is declared, and an operator that starts has nothing to write. */
  async assertEnd(): Promise<void> {
    const images = await this.#world.images();
    assert.deepEqual(images.map(({ name, a }) => `${name} a=${a}`).sort(), [...this.#declared].sort());
    assert.ok(images.filter(({ size }) => size === dataBytes).every(({ status }) => status === 'active'));
    await this.#end();
    const before = [this.#kubernetes.requests.length, this.#glance.requests.length] as const;
    await this.#world.start();
    await sleep(1000);
    const after = [...this.#kubernetes.requests.slice(before[0]), ...this.#glance.requests.slice(before[1])];
    const written = after.filter((request) => changesSomething(request) && !isOfLease(request));
    assert.deepEqual(written.map(callOf), []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#world[Symbol.asyncDispose]();
    await Promise.all([this.#kubernetes[Symbol.asyncDispose](), this.#glance[Symbol.asyncDispose]()]);
  }

  /** The next one need not wait for its Lease. */
  async #end(): Promise<void> {
    await this.#world.operator.kill();
    if (this.#leaseName === undefined) return;
    const path = `/apis/coordination.k8s.io/v1/namespaces/default/leases/${this.#leaseName}`;
    await this.#world.stack.kubernetes.request('DELETE', path);
  }

  async #restart(): Promise<void> {
    await this.#end();
    await this.#world.start();
  }

  #writes(asked: number, uploaded: number): ProxiedRequest[] {
    const all = [...this.#kubernetes.requests.slice(asked), ...this.#glance.requests.slice(uploaded)];
    return all.filter((request) => changesSomething(request) && !isOfLease(request));
  }

  async #assertEnds(each: Case, asked: number, uploaded: number): Promise<void> {
    const { operator } = this.#world;
    assert.equal(await operator.ended, exitCodes.leaseLost, operator.log.slice(-20).join('\n'));
    assert.ok(this.#strikes(each, asked) > 0);
    this.#assertLed(asked, uploaded);
  }

  async #assertWaits(each: Case, asked: number, uploaded: number): Promise<void> {
    await this.#untilStruck(each, asked, 3);
    assert.deepEqual(this.#writes(asked, uploaded).map(callOf), [], 'written by one that does not lead');
  }

  /** Every write follows a completed renewal that is recent enough to rule out another leader. */
  #assertLed(asked: number, uploaded: number): void {
    const renewals = this.#kubernetes.requests.filter(
      (request) => isOfLease(request) && changesSomething(request) && isDone(request),
    );
    const uncovered = this.#writes(asked, uploaded).filter(({ at }) => {
      const last = renewals.findLast((renewal) => renewal.answeredAt <= at);
      return last === undefined || at - last.at > lease.duration;
    });
    assert.deepEqual(uncovered.map(callOf), [], 'written without a lease');
  }

  #strikes({ fault }: Case, since: number): number {
    return this.#kubernetes.requests.slice(since).filter((request) => request.fault === fault).length;
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

  async #change(at: number, each: Case): Promise<void> {
    const { kubernetes } = this.#world.stack;
    await this.#create(`created-${at}`, hasData(at, each));
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
      cloud: { secretRef: { name: 'openstack' }, name: 'demo' },
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

  /** Events are sent a little later than the rest. */
  async #untilStruck(each: Case, since: number, times = 1): Promise<void> {
    const { phase, name } = each;
    await eventually(
      () => this.#strikes(each, since) >= times,
      () => `${name} did not strike ${phase}`,
    );
  }

  /** The API server has deleted an object before the proxy has recorded the response to the removal of its finalizer. */
  async #untilReleased(asked: number): Promise<void> {
    const isFinalizer = phases['writing the finalizer'];
    const written = () =>
      this.#kubernetes.requests.slice(asked).filter((request) => isFinalizer(request) && isDone(request));
    await eventually(
      () => written().length >= 2,
      () => `the finalizer was written ${written().length} times`,
    );
  }

  #assertWrittenOnce(at: number, each: Case, asked: number, uploaded: number): void {
    const done = (requests: readonly ProxiedRequest[]) =>
      requests.filter((request) => changesSomething(request) && isDone(request));
    const toGlance = done(this.#glance.requests.slice(uploaded)).map(({ method }) => method);
    const upload = hasData(at, each) ? ['PUT'] : [];
    const once = ['DELETE', 'PATCH', 'POST', ...upload].sort();
    // When the operator ends, the response may be lost; its successor reads the result.
    if (each.outcome === 'ends') assert.equal(new Set(toGlance).size, toGlance.length, `Glance: ${toGlance}`);
    else assert.deepEqual(toGlance.sort(), once, 'the writes to Glance');

    const toKubernetes = done(this.#kubernetes.requests.slice(asked));
    const finalizers = toKubernetes.filter(phases['writing the finalizer']);
    if (each.outcome === 'ends') assert.ok(finalizers.length <= 2, 'finalizers');
    else assert.equal(finalizers.length, 2, 'one finalizer is added and one removed');
    const last = new Map<string, string>();
    for (const request of toKubernetes.filter(phases['writing the status'])) {
      assert.notEqual(request.body, last.get(request.path), `the same status was written twice: ${request.body}`);
      // A write whose response was lost has to be sent again.
      if (request.fault === undefined) last.set(request.path, request.body);
    }
  }
}

/** A transfer that ends with its process starts again; other tests cover that. */
function hasData(at: number, { outcome }: Case): boolean {
  return at % dataEvery === 0 && outcome !== 'ends';
}

function isOfLease({ path }: ProxiedRequest): boolean {
  return path.includes('/leases');
}

function isDone({ status }: ProxiedRequest): boolean {
  return status >= 200 && status < 300;
}

function electing(name: string): string[] {
  const { duration, renewDeadline, retry } = lease;
  const times = ['--lease-duration', `${duration / 1000}s`, '--lease-renew-deadline', `${renewDeadline / 1000}s`];
  return ['--leader-elect=true', '--lease-name', name, ...times, '--lease-retry', `${retry}ms`];
}

function callOf({ method, path }: ProxiedRequest): string {
  return `${method} ${path}`;
}
