/**
 * The servers and the operator of several runs of the interleaving campaign. What hits the operator hits all of its runs. Each run
 * has its own way to Glance, which shows whose a request is.
 *
 * Invariant: one operator works at a time, or two of which one leads.
 */
import { randomUUID } from 'node:crypto';
import type { Project } from '../env/project.ts';
import { type FaultProxy, startProxy } from '../env/proxy.ts';
import type { Stack } from '../env/stack.ts';
import { type Operator, startOperator } from './operator.ts';
import { World } from './world.ts';

/** Long enough for a machine that has much else to do. */
const leaseTimes = ['--lease-duration', '20s', '--lease-renew-deadline', '12s', '--lease-retry', '500ms'];

export class SharedWorld implements AsyncDisposable {
  readonly world: World;
  readonly kubernetes: FaultProxy;
  /** A project of other people. */
  readonly others: Project;
  readonly #replicas: number;
  readonly #lease: string | undefined;
  /** Of operators that ended by themselves. */
  readonly #deaths: string[] = [];
  readonly #ended: (readonly string[])[] = [];
  #running: Operator[] = [];
  #turn: Promise<void> = Promise.resolve();
  #isStopping = false;

  /** `replicas`: 2 elect a leader. */
  static async create(stack: Stack, replicas: 1 | 2): Promise<SharedWorld> {
    const kubernetes = await startProxy({ url: stack.kubernetes.server, ca: stack.kubernetes.caPem });
    try {
      const others = await stack.openstack.createProject();
      const world = await World.create({ stack, idle: true });
      const shared = new SharedWorld(world, kubernetes, others, replicas);
      for (let started = 0; started < replicas; started++) await shared.#start();
      return shared;
    } catch (error) {
      await kubernetes[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(world: World, kubernetes: FaultProxy, others: Project, replicas: 1 | 2) {
    this.world = world;
    this.kubernetes = kubernetes;
    this.others = others;
    this.#replicas = replicas;
    this.#lease = replicas === 2 ? `interleaving-${randomUUID()}` : undefined;
  }

  /** SIGKILL at once; a new process starts meanwhile. Nothing happens while there is no leader. */
  async kill(): Promise<void> {
    const leader = this.#leader();
    if (leader === undefined) return;
    this.#drop(leader);
    await leader.kill();
    void this.#inTurn(async () => {
      // A dead leader does not give its lease back, and the runs need not wait until it ends.
      if (this.#lease !== undefined) await this.world.stack.kubernetes.request('DELETE', this.#leasePath(this.#lease));
      await this.#restore();
    });
  }

  /** SIGTERM, which returns the lease. Nothing happens while there is no leader. */
  changeLeader(): Promise<void> {
    return this.#inTurn(async () => {
      const leader = this.#leader();
      if (leader === undefined) return;
      this.#drop(leader);
      await leader.stop();
      await this.#restore();
    });
  }

  /** The last lines about one resource. */
  log(name: string): string {
    const lines = [...this.#ended, ...this.#running.map(({ log }) => log)].flat();
    const own = lines.filter((line) => line.includes(`"${name}"`) || line.includes(`/${name}`)).slice(-60);
    return [...this.#deaths, ...own].join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true;
    await this.#turn.catch(() => {});
    for (const operator of this.#running) await operator.kill();
    await this.world[Symbol.asyncDispose]();
    await this.kubernetes[Symbol.asyncDispose]();
  }

  async #restore(): Promise<void> {
    while (this.#running.length < this.#replicas && !this.#isStopping) {
      // The first calls of an operator have deadlines, which a busy machine may exceed. Without another start, all runs would wait in vain.
      await this.#start().catch((error: unknown) => this.#deaths.push(`an operator did not start: ${error}`));
    }
  }

  async #start(): Promise<void> {
    const { stack, namespace, user } = this.world;
    const election =
      this.#lease === undefined
        ? ['--leader-elect=false']
        : ['--lease-namespace', namespace, '--lease-name', this.#lease, ...leaseTimes];
    const operator = await startOperator({
      kubeconfig: stack.kubernetes.kubeconfig(user, { server: this.kubernetes.url }),
      flags: ['--namespaces', namespace, '--source-allow', '127.0.0.0/8', '--cloud-allow', '127.0.0.0/8', ...election],
      awaited: this.#lease === undefined ? 'Ready' : 'Synced',
    });
    this.#running = [...this.#running, operator];
    // A replica whose machine was too slow to renew its lease ends by itself.
    void operator.ended.then((code) => {
      if (this.#isStopping || !this.#running.includes(operator)) return;
      this.#drop(operator);
      this.#deaths.push(`an operator ended by itself with ${code}:`, ...operator.log.slice(-20));
      void this.#inTurn(() => this.#restore());
    });
  }

  #drop(operator: Operator): void {
    this.#running = this.#running.filter((one) => one !== operator);
    this.#ended.push(operator.log);
  }

  #leader(): Operator | undefined {
    const milestone = this.#lease === undefined ? '"msg":"Ready"' : '"msg":"Leading"';
    return this.#running.find(({ log }) => log.some((line) => line.includes(milestone)));
  }

  #leasePath(name: string): string {
    return `/apis/coordination.k8s.io/v1/namespaces/${this.world.namespace}/leases/${name}`;
  }

  #inTurn(what: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(what);
    this.#turn = done.catch(() => {});
    return done;
  }
}
