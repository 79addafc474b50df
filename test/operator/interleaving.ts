/**
 * The interleaving campaign: a run takes one resource through the actions of its script, each at the request that the script
 * names, and then waits for the end state. Several runs share an operator, which their scripts kill.
 *
 * Invariants: whenever the resource says Ready=True, its image is active with the data that this generation declares. In the end
 * it is Ready with the declared data in one image, or gone; no other image has its mark, and no foreign image was changed.
 */
import type { GlanceImage } from '../../src/api/glanceimage.ts';
import { plural } from '../../src/api/group.ts';
import { changesSomething, type FaultProxy, type ProxiedRequest, startProxy } from '../env/proxy.ts';
import type { Stack } from '../env/stack.ts';
import { patienceMs } from '../env/wait.ts';
import { assertEnd, assertGone, falseClaim } from './interleaving-laws.ts';
import { type Action, type Moment, type Script, type Server, scriptOf } from './interleaving-script.ts';
import { claimsReady, isCurrent, Subject, serveBodies } from './interleaving-subject.ts';
import { SharedWorld } from './interleaving-world.ts';

/** The next action does not wait for an attempt that is further ahead. */
const longPauseMs = 3_000;
const lookMs = 2_000;

/** `failure`: the law that was broken, with all that is known of the run. */
export interface Result {
  seed: number;
  failure: string | undefined;
  seconds: number;
  /** The writes and actions, in order. */
  journal: readonly string[];
}

/** Plays the scripts of these seeds at the same time. `replicas`: of the operator. */
export async function playTogether(
  stack: Stack,
  seeds: readonly number[],
  replicas: 1 | 2,
  onEnd: (result: Result) => void,
): Promise<void> {
  await using shared = await SharedWorld.create(stack, replicas);
  serveBodies(shared.world.source);
  await Promise.all(seeds.map(async (seed) => onEnd(await play(shared, scriptOf(seed)))));
}

async function play(shared: SharedWorld, script: Script): Promise<Result> {
  const { seed } = script;
  const startedAt = performance.now();
  await using run = await Run.create(shared, script);
  const failure = await run.play().then(
    () => undefined,
    (error: unknown) => run.account(error),
  );
  return { seed, failure, seconds: (performance.now() - startedAt) / 1000, journal: run.journal };
}

/** A remainder of the action, to wait for after the request has gone on. */
type Rest = Promise<unknown> | undefined;

class Run implements AsyncDisposable {
  readonly #shared: SharedWorld;
  readonly #script: Script;
  readonly #subject: Subject;
  readonly #glance: FaultProxy;
  readonly #startedAt = performance.now();
  readonly journal: string[] = [];
  readonly #falseClaims: string[] = [];
  readonly #looks = new Set<Promise<void>>();
  readonly #removals: (() => void)[] = [];
  readonly #faults: (() => void)[] = [];
  #onRest: (() => void) | undefined;

  static async create(shared: SharedWorld, script: Script): Promise<Run> {
    const { world } = shared;
    const glance = await startProxy({ url: world.stack.openstack.imageUrl });
    const run = new Run(shared, script, glance);
    const text = await world.project.cloudsYaml({ imageUrl: glance.url });
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: run.#subject.name } };
    const path = `/api/v1/namespaces/${world.namespace}/secrets`;
    (await world.stack.kubernetes.request('POST', path, { ...secret, stringData: { 'clouds.yaml': text } })).ok();
    return run;
  }

  private constructor(shared: SharedWorld, script: Script, glance: FaultProxy) {
    this.#shared = shared;
    this.#script = script;
    this.#subject = new Subject(`run-${script.seed}`, shared.world, shared.others, script.first);
    this.#glance = glance;
    this.#removals.push(
      glance.onResponse((request) => this.#note(request)),
      shared.kubernetes.onResponse((request) => {
        if (!this.#isAbout(request)) return;
        this.#note(request);
        this.#look();
      }),
    );
  }

  async play(): Promise<void> {
    const { steps } = this.#script;
    await this.#subject.edit({});
    for (const [at, { moment, action, nudges }] of steps.entries()) {
      await (await this.#at(moment, () => this.#act(action, at))).rest;
      if (action.kind === 'delete') {
        await assertGone(this.#subject);
        if (at === steps.length - 1) return this.#end();
        await this.#subject.edit({});
      } else if (nudges) await this.#subject.nudge();
    }
    for (const remove of this.#faults) remove();
    this.#write('the faults stop');
    await this.#subject.edit({ suspend: false });
    await assertEnd(this.#subject, await this.#subject.nudge());
    await this.#subject.delete();
    await assertGone(this.#subject);
    await this.#end();
  }

  /** Everything that is known of the run, after it failed. */
  async account(error: unknown): Promise<string> {
    const resource = await this.#subject.get();
    const images = await this.#subject.marked();
    const { seed, first, steps } = this.#script;
    return [
      `images: ${JSON.stringify(images, null, 1)}`,
      `resource: ${JSON.stringify({ ...resource?.metadata, managedFields: undefined }, null, 1)}`,
      `status: ${JSON.stringify(resource?.status, null, 1)}`,
      'log:',
      this.#shared.log(this.#subject.name),
      `script: ${JSON.stringify(first)}`,
      ...steps.map((step, at) => `${at + 1}. ${JSON.stringify(step)}`),
      'journal:',
      ...this.journal,
      ...this.#falseClaims,
      // Last, because the beginning of a long output gets lost first.
      `seed ${seed} failed after ${since(this.#startedAt)} s: ${error instanceof Error ? error.message : String(error)}`,
    ].join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const remove of [...this.#faults, ...this.#removals]) remove();
    await Promise.all(this.#looks);
    await this.#glance[Symbol.asyncDispose]();
  }

  async #end(): Promise<void> {
    await Promise.all(this.#looks);
    if (this.#falseClaims.length > 0) throw new Error('the status claimed what is not so');
  }

  /** Acts at this moment, or when the operator rests before it comes. */
  #at(moment: Moment, act: () => Promise<Rest>): Promise<{ rest: Rest }> {
    const acted = Promise.withResolvers<{ rest: Rest }>();
    let isDue = true;
    const once = async () => {
      isDue = false;
      this.#onRest = undefined;
      // Wrapped, or the promise would be awaited here.
      await act().then((rest) => acted.resolve({ rest }), acted.reject);
    };
    if (moment.kind === 'now') void once();
    else {
      const remove = moment.kind === 'request' ? this.#intercept(moment, () => isDue, once) : () => {};
      // Not every change of the resource is a request of the operator.
      const timer = setInterval(() => this.#look({ isQuick: true }), lookMs);
      const deadline = setTimeout(
        () => acted.reject(new Error('nothing more happens, and the operator does not rest')),
        patienceMs,
      );
      const stop = () => {
        remove();
        clearInterval(timer);
        clearTimeout(deadline);
      };
      void acted.promise.then(stop, stop);
      this.#onRest = () => void once();
      this.#look();
    }
    return acted.promise;
  }

  #intercept(
    { server, what, nth, when }: Extract<Moment, { kind: 'request' }>,
    isDue: () => boolean,
    once: () => Promise<void>,
  ): () => void {
    const released = Promise.withResolvers<void>();
    let seen = 0;
    return this.#proxy(server).on({
      matches: (request) => {
        if (!isDue() || !this.#isMine(request, server) || !isSuch(request, what) || ++seen !== nth) return false;
        if (when === 'before') void once().finally(() => released.resolve());
        return true;
      },
      fault:
        when === 'before'
          ? { kind: 'hold', released: released.promise }
          : { kind: 'afterAnswer', run: () => (isDue() ? once() : undefined) },
    });
  }

  async #act(action: Action, at: number): Promise<Rest> {
    const subject = this.#subject;
    this.#write(`${at + 1}. ${JSON.stringify(action)}`);
    switch (action.kind) {
      case 'edit':
        await subject.edit(action.change);
        return;
      case 'editContent':
        await subject.editContent(action.change);
        return;
      case 'delete':
        await subject.delete();
        return;
      case 'foreignUpload':
        await subject.uploadElsewhere();
        return;
      case 'foreignEdit':
        await subject.editElsewhere(action.what);
        return;
      case 'foreignDeletion':
        await subject.deleteElsewhere();
        return;
      case 'squat':
        await subject.squat(action.project);
        return;
      case 'kill':
        await this.#shared.kill();
        return;
      case 'changeLeader':
        return this.#shared.changeLeader();
      case 'loseResponse':
        this.#loseNext(action.server);
        return;
      case 'loseStatus':
        await subject.loseStatus(action.what);
        return;
    }
  }

  #loseNext(server: Server): void {
    const matches = (request: ProxiedRequest) => this.#isMine(request, server) && changesSomething(request);
    this.#faults.push(this.#proxy(server).on({ matches, times: 1, fault: { kind: 'loseAnswer' } }));
  }

  /** Whether the operator rests, and what the resource claims. `isQuick`: without a call to Glance. */
  #look({ isQuick = false } = {}): void {
    const look = this.#see(isQuick).catch((error: unknown) => this.#write(`no look: ${error}`));
    this.#looks.add(look);
    void look.finally(() => this.#looks.delete(look));
  }

  async #see(isQuick: boolean): Promise<void> {
    const resource = await this.#subject.get();
    if (resource === undefined) return;
    if (rests(resource)) this.#onRest?.();
    if (isQuick) return;
    const claim = await falseClaim(this.#subject, resource);
    if (claim === undefined) return;
    this.#falseClaims.push(claim);
    this.#write(`FALSE: ${claim}`);
  }

  #note(request: ProxiedRequest): void {
    if (!changesSomething(request)) return;
    const { method, path, status, body, fault } = request;
    const lost = fault === undefined ? '' : ` (${fault.kind})`;
    this.#write(`${method} ${path.replace(/\?.*/, '')} ${status}${lost} ${body.slice(0, 1500)}`);
  }

  #write(line: string): void {
    this.journal.push(`${since(this.#startedAt)} ${line}`);
  }

  #proxy(server: Server): FaultProxy {
    return server === 'glance' ? this.#glance : this.#shared.kubernetes;
  }

  /** The way to Glance is of this run alone. */
  #isMine(request: ProxiedRequest, server: Server): boolean {
    return server === 'glance' || this.#isAbout(request);
  }

  #isAbout({ path }: ProxiedRequest): boolean {
    return new RegExp(`/${plural}/${this.#subject.name}(?:/|\\?|$)`).test(path);
  }
}

function since(startMs: number): string {
  return ((performance.now() - startMs) / 1000).toFixed(2);
}

function isSuch(request: ProxiedRequest, what: Extract<Moment, { kind: 'request' }>['what']): boolean {
  const { method, path } = request;
  switch (what) {
    case 'write':
      return changesSomething(request);
    case 'create':
      return method === 'POST' && path === '/v2/images';
    case 'upload':
      return method === 'PUT' && path.endsWith('/file');
    case 'patch':
      return method === 'PATCH';
    case 'read':
      return method === 'GET' && /^\/v2\/images\/[^/?]+$/.test(path);
  }
}

/** Nothing more happens soon. */
function rests(resource: GlanceImage): boolean {
  const { status, spec } = resource;
  const pauseMs = status.nextAttemptTime === undefined ? 0 : Date.parse(status.nextAttemptTime) - Date.now();
  return isCurrent(resource) && (claimsReady(resource) || spec.suspend || pauseMs > longPauseMs);
}
