/**
 * The operator as installed by the chart: with its own ServiceAccount, the chart's arguments and only the permissions
 * of the chart's roles.
 *
 * Invariant: the rendered objects are applied unchanged, except for the permission that a test removes.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { group, plural } from '../../src/api/group.ts';
import { type FaultProxy, type Rule, startProxy } from '../env/proxy.ts';
import { eventually, patienceMs } from '../env/wait.ts';
import { type Milestone, type Operator, startOperator } from '../operator/operator.ts';
import type { World } from '../operator/world.ts';
import { attributesOf, ofKind, type Permission, permissionsOf, render, rolesOf, without } from './chart.ts';
import { untilAllowed } from './review.ts';
import { kubeconfigOf, type ServiceAccount, userOf } from './service-account.ts';

export interface InstallationOptions {
  /** Default: the namespace of the world. `cluster` is all namespaces, so that only labelled resources are managed. */
  watch?: 'cluster' | 'namespace';
  lost?: Permission;
  settings?: Readonly<Record<string, unknown>>;
  /** ServiceAccounts in the namespace of the world whose tokens the chart lets it request. */
  tokensOf?: readonly string[];
  /** Further values of the chart. */
  values?: Readonly<Record<string, unknown>>;
}

const deploymentSchema = z.looseObject({
  spec: z.looseObject({
    template: z.looseObject({
      spec: z.looseObject({ containers: z.tuple([z.looseObject({ args: z.array(z.string()) })]) }),
    }),
  }),
});

const templateSchema = z.looseObject({ data: z.looseObject({ 'transfer-jobs.yaml': z.string() }) });

/** No cluster starts the operator again if a busy machine delays the renewal of its Lease. */
const patientLease = { leaseDuration: '10m', leaseRenewDeadline: '9m' };

/** A server that offers no streaming lists says so, and is asked for pages. */
const noStreams: Rule = {
  matches: ({ path }) => path.includes('sendInitialEvents=true'),
  fault: {
    kind: 'answer',
    status: 422,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'Invalid', code: 422 }),
  },
};

export class Installation implements AsyncDisposable {
  readonly world: World;
  /** The value of the label `installation` of its resources. */
  readonly name: string;
  readonly account: ServiceAccount;
  readonly permissions: readonly Permission[];
  /** In front of the API server; it offers no streaming lists, as servers before 1.34. */
  readonly proxy: FaultProxy;
  readonly #args: readonly string[];
  #operator: Operator | undefined;

  static async create(
    world: World,
    { watch = 'namespace', lost, settings = {}, tokensOf, values: more = {} }: InstallationOptions = {},
  ): Promise<Installation> {
    const { kubernetes } = world.stack;
    const name = `rbac-${randomBytes(4).toString('hex')}`;
    const values = {
      fullnameOverride: name,
      crds: { enabled: false },
      settings: {
        sourceAllow: ['127.0.0.0/8'],
        cloudAllow: ['127.0.0.0/8'],
        selector: `installation=${name}`,
        ...patientLease,
        ...(watch === 'namespace' ? { clusterName: name } : {}),
        ...settings,
      },
      ...(watch === 'namespace' ? { watchNamespaces: [world.namespace] } : {}),
      ...(tokensOf === undefined ? {} : { serviceAccountTokens: { [world.namespace]: tokensOf } }),
      ...more,
    };
    const namespace = await kubernetes.createNamespace('operator');
    const objects = await render(kubernetes, { release: name, namespace, values });
    const roles = rolesOf(objects);
    if (lost !== undefined) assert.ok(permissionsOf(roles).includes(lost), `the chart does not grant ${lost}`);
    const left = lost === undefined ? roles : roles.map((role) => without(role, lost));
    const rest = ofKind(objects, 'ServiceAccount', 'RoleBinding', 'ClusterRoleBinding', 'ConfigMap');
    await kubernetes.apply(JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [...rest, ...left] }));
    await untilAllowed(kubernetes, userOf({ namespace, name }), attributesOf(left, world.namespace));
    const proxy = await startProxy({ url: kubernetes.server, ca: kubernetes.caPem });
    proxy.on(noStreams);
    const [deployment] = ofKind(objects, 'Deployment').map((object) => deploymentSchema.parse(object));
    const mounted = deployment?.spec.template.spec.containers[0].args ?? [];
    const template = join(kubernetes.directory, `${name}-transfer-jobs.yaml`);
    const args = mounted.map((arg) => arg.replace(/^(--transfer-job-template)=.*/, `$1=${template}`));
    const [jobs] = ofKind(objects, 'ConfigMap').flatMap((map) => templateSchema.safeParse(map).data ?? []);
    if (jobs !== undefined) await writeFile(template, jobs.data['transfer-jobs.yaml']);
    return new Installation(world, name, { namespace, name }, permissionsOf(left), proxy, args);
  }

  private constructor(
    world: World,
    name: string,
    account: ServiceAccount,
    permissions: readonly Permission[],
    proxy: FaultProxy,
    args: readonly string[],
  ) {
    this.world = world;
    this.name = name;
    this.account = account;
    this.permissions = permissions;
    this.proxy = proxy;
    this.#args = args;
  }

  get user(): string {
    return userOf(this.account);
  }

  get operator(): Operator {
    assert.ok(this.#operator !== undefined, 'it has not been started');
    return this.#operator;
  }

  async start(awaited: Milestone = 'Ready'): Promise<Operator> {
    const kubeconfig = await kubeconfigOf(this.world.stack.kubernetes, this.account, { server: this.proxy.url });
    // Two processes of this machine cannot serve at one port, as two Pods can.
    const flags = this.#args
      .filter((arg) => arg !== 'run' && !arg.startsWith('--health-address='))
      .map((arg) => arg.replace(/^--metrics-address=.*/, '--metrics-address=127.0.0.1:0'));
    this.#operator = await startOperator({ kubeconfig, flags, awaited });
    return this.#operator;
  }

  /** As `World.apply`, for a resource that this installation manages. */
  async apply(name: string, spec: Record<string, unknown> = {}): Promise<void> {
    await this.world.apply(name, { interval: '0', ...spec }, { labels: { installation: this.name } });
  }

  /** Resolves when the operator logs that the API server forbade this request, with the server's message. */
  async untilForbidden(verb: string, resource: string): Promise<void> {
    const words = `cannot ${verb} resource \\"${resource}\\"`;
    await eventually(
      () => this.operator.log.some((line) => line.includes(words)),
      () => `nothing was forbidden (${words}):\n${this.operator.log.slice(-20).join('\n')}`,
    );
  }

  /** Resolves when the API server rejects a request for this path that begins from now on. */
  async untilRefusedAgain(path: string): Promise<void> {
    const from = this.proxy.requests.length;
    const refused = () =>
      this.proxy.requests.slice(from).some((asked) => asked.status === 403 && asked.path.includes(path));
    await eventually(refused, () => `nothing for ${path} was rejected again`);
  }

  async #outOfPatience(what: string): Promise<never> {
    await sleep(patienceMs, undefined, { ref: false });
    throw new Error(`it never came: ${what}\n${this.operator.log.slice(-20).join('\n')}`);
  }

  /** Someone else's finalizer gets onto the resource between the operator's look at it and its own finalizer. */
  async raceForFinalizer(name: string, foreign: string): Promise<void> {
    const path = `/apis/${group}/v1alpha1/namespaces/${this.world.namespace}/${plural}/${name}`;
    const arrived = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    const matches = ({ method, path: asked }: { method: string; path: string }) => {
      const its = method === 'PATCH' && asked.startsWith(`${path}?`);
      if (its) arrived.resolve();
      return its;
    };
    const remove = this.proxy.on({ matches, fault: { kind: 'hold', released: released.promise }, times: 1 });
    await this.apply(name);
    await Promise.race([arrived.promise, this.#outOfPatience(`a finalizer for ${name}`)]);
    const body = { metadata: { finalizers: [foreign] } };
    const options = { contentType: 'application/merge-patch+json' };
    (await this.world.stack.kubernetes.request('PATCH', path, body, options)).ok();
    remove();
    released.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#operator?.kill();
    await this.proxy[Symbol.asyncDispose]();
  }
}
