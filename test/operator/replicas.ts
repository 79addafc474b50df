/**
 * Replicas with leader election, and faults of the leader. Each replica has its own user at the API server and its own
 * proxy in front of each server, so that every write has an author.
 *
 * Invariant: only the replica whose lease write was the last one writes.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { exitCodes } from '../../src/commands/exit.ts';
import { changesSomething, type FaultProxy, startProxy } from '../env/proxy.ts';
import { eventually } from '../env/wait.ts';
import { type Operator, startOperator } from './operator.ts';
import type { World } from './world.ts';

/**
 * `killed`: SIGKILL. `suspended`: SIGSTOP, and SIGCONT when another leads. `cut off`: its API server stops responding.
 * `stopped`: SIGTERM.
 */
export type LeaderFault = 'killed' | 'suspended' | 'cut off' | 'stopped';

export interface LeaseSettings {
  duration: string;
  renewDeadline: string;
  retry: string;
}

export interface Replica {
  readonly user: string;
  readonly kubernetes: FaultProxy;
  readonly glance: FaultProxy;
  operator: Operator;
}

const secretSchema = z.looseObject({ data: z.record(z.string(), z.string()) });
const leaseSchema = z.object({ spec: z.object({ holderIdentity: z.string().default('') }) });

export interface Verdict {
  /** Writes by the leader of their time. */
  kubernetes: number;
  glance: number;
  /** For each change of leader, how long after the last lease write of the one the first of the next came, in milliseconds. */
  gapsMs: number[];
}

export class Fleet implements AsyncDisposable {
  readonly world: World;
  readonly replicas: Replica[] = [];
  readonly #lease: LeaseSettings;
  readonly #flags: readonly string[];
  readonly #since: number;

  /** `flags`: further ones, of each replica. */
  static async create(world: World, size: number, lease: LeaseSettings, flags: readonly string[] = []): Promise<Fleet> {
    const fleet = new Fleet(world, lease, flags, await world.stack.kubernetes.audit.mark());
    for (let at = 0; at < size; at++) await fleet.#add();
    return fleet;
  }

  private constructor(world: World, lease: LeaseSettings, flags: readonly string[], since: number) {
    this.world = world;
    this.#lease = lease;
    this.#flags = flags;
    this.#since = since;
  }

  async #add(): Promise<void> {
    const { kubernetes: cluster, openstack } = this.world.stack;
    const user = await cluster.claimUser();
    const kubernetes = await startProxy({ url: cluster.server, ca: cluster.caPem });
    const glance = await startProxy({ url: openstack.imageUrl });
    await this.#showOwnGlance(kubernetes, glance);
    const operator = await this.#start(user, kubernetes);
    this.replicas.push({ user, kubernetes, glance, operator });
  }

  /** All replicas read one Secret; each finds the way to its own proxy in it. */
  async #showOwnGlance(kubernetes: FaultProxy, glance: FaultProxy): Promise<void> {
    const path = `/api/v1/namespaces/${this.world.namespace}/secrets/openstack`;
    const secret = (await this.world.stack.kubernetes.request('GET', path)).as(secretSchema);
    const text = await this.world.project.cloudsYaml({ imageUrl: glance.url });
    const data = { ...secret.data, 'clouds.yaml': Buffer.from(text).toString('base64') };
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ ...secret, data });
    kubernetes.on({
      matches: ({ method, path: asked }) => method === 'GET' && asked === path,
      fault: { kind: 'answer', status: 200, headers, body },
    });
  }

  #start(user: string, kubernetes: FaultProxy): Promise<Operator> {
    const { namespace, stack } = this.world;
    const { duration, renewDeadline, retry } = this.#lease;
    const flags = ['--namespaces', namespace, '--lease-namespace', namespace];
    flags.push('--source-allow', '127.0.0.0/8', '--cloud-allow', '127.0.0.0/8');
    flags.push('--lease-duration', duration, '--lease-renew-deadline', renewDeadline, '--lease-retry', retry);
    flags.push(...this.#flags);
    const kubeconfig = stack.kubernetes.kubeconfig(user, { server: kubernetes.url });
    return startOperator({ kubeconfig, flags, awaited: 'Synced' });
  }

  /** The replica that the lease names, as soon as it names one that is not `other`. */
  async leader(other?: Replica): Promise<Replica> {
    const path = `/apis/coordination.k8s.io/v1/namespaces/${this.world.namespace}/leases/glance-image-operator`;
    let holder = '';
    return eventually(
      async () => {
        const answer = await this.world.stack.kubernetes.request('GET', path);
        holder = answer.status === 404 ? '' : answer.as(leaseSchema).spec.holderIdentity;
        const found = this.replicas.find(({ operator }) => holder !== '' && leads(operator, holder));
        return found !== other && found;
      },
      () => `no other replica leads; the lease names "${holder}"\n${this.logs()}`,
    );
  }

  /**
   * One round: the fault hits the leader, another takes over, and the former leader is started again. Resolves with the
   * time that took.
   */
  async replaceLeader(fault: LeaderFault, suspendedMs: number): Promise<number> {
    const former = await this.leader();
    const startedAt = performance.now();
    const restore = await inject(former, fault);
    await this.leader(former);
    const tookMs = performance.now() - startedAt;
    if (fault === 'suspended') {
      await sleep(Math.max(0, suspendedMs - (performance.now() - startedAt)));
      former.operator.signal('SIGCONT');
    }
    const code = await former.operator.ended;
    assert.equal(code, expectedCode[fault], `${fault}:\n${former.operator.log.slice(-20).join('\n')}`);
    restore();
    former.operator = await this.#start(former.user, former.kubernetes);
    return tookMs;
  }

  /** Throws if a replica wrote whose lease write was not the last one before. */
  async assertOneWriter(): Promise<Verdict> {
    const { audit } = this.world.stack.kubernetes;
    const byUser = await Promise.all(this.replicas.map(({ user }) => audit.writes(user, this.#since)));
    const records = byUser.flat();
    const elections = records
      .filter(({ resource, status }) => resource === 'leases' && (status ?? 0) < 300)
      .sort((a, b) => (a.at < b.at ? -1 : 1));
    const holderAt = (at: string) => elections.findLast((election) => election.at <= at)?.user;
    const writes = records.filter(({ resource }) => resource !== 'leases');
    const foreign = writes.filter(({ user, at }) => holderAt(at) !== user);
    assert.deepEqual(foreign, [], 'writes to the API server by one that did not lead');

    const told = this.replicas.flatMap(({ user, glance }) => {
      const changes = glance.requests.filter(changesSomething);
      return changes.map(({ method, path, at, status, answeredAt }) => ({
        user,
        method,
        path,
        at,
        status,
        answeredAt,
      }));
    });
    const late = told.filter(({ user, at, status, answeredAt }) => {
      const times = status > 0 && status < 300 ? [at, answeredAt] : [at];
      return times.some((time) => holderAt(new Date(time).toISOString()) !== user);
    });
    assert.deepEqual(late, [], 'writes to Glance by one that did not lead');
    const gapsMs = elections.flatMap(({ user, at }, index) => {
      const before = elections[index - 1];
      return before === undefined || before.user === user ? [] : [Date.parse(at) - Date.parse(before.at)];
    });
    return { kubernetes: writes.length, glance: told.length, gapsMs };
  }

  logs(): string {
    return this.replicas.map(({ user, operator }) => `${user}:\n${operator.log.slice(-15).join('\n')}`).join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { operator, kubernetes, glance } of this.replicas) {
      await operator.kill();
      await kubernetes[Symbol.asyncDispose]();
      await glance[Symbol.asyncDispose]();
    }
  }
}

function leads({ log }: Operator, identity: string): boolean {
  return log.some((line) => line.includes('"msg":"Leading"') && line.includes(identity));
}

/** null: ended by a signal. */
const expectedCode: Record<LeaderFault, number | null> = {
  killed: null,
  suspended: exitCodes.leaseLost,
  'cut off': exitCodes.leaseLost,
  stopped: exitCodes.stopped,
};

/** Resolves with the end of what was done. */
async function inject({ operator, kubernetes }: Replica, fault: LeaderFault): Promise<() => void> {
  switch (fault) {
    case 'killed':
      await operator.kill();
      return () => {};
    case 'suspended':
      operator.signal('SIGSTOP');
      return () => {};
    case 'cut off':
      return kubernetes.on({ matches: () => true, fault: { kind: 'hold', released: new Promise(() => {}) } });
    case 'stopped':
      operator.signal('SIGTERM');
      return () => {};
  }
}
