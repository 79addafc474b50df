/**
 * One namespace, one project, one source and one operator, for tests of the whole.
 *
 * Guarantees: two worlds share only the servers, and a world leaves nothing behind.
 */
import { z } from 'zod';
import { findCondition, isConvergedReason } from '../../src/api/conditions.ts';
import { type GlanceImage, glanceImageSchema } from '../../src/api/glanceimage.ts';
import { apiVersion, kind, plural } from '../../src/api/group.ts';
import { hostsAnnotation } from '../../src/source/header-hosts.ts';
import { installCrd } from '../env/crd.ts';
import type { CloudsYamlOptions, ImageRecord, Project } from '../env/project.ts';
import { type Source, startSource } from '../env/source.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { eventually } from '../env/wait.ts';
import { type Operator, startOperator } from './operator.ts';

/** As in a Role. */
export interface PolicyRule {
  apiGroups: readonly string[];
  resources: readonly string[];
  verbs: readonly string[];
}

export interface WorldOptions {
  /** Further flags of the operator. */
  flags?: readonly string[];
  clouds?: CloudsYamlOptions;
  /** No operator is started. */
  idle?: boolean;
  /** Default: the stack of this run. */
  stack?: Stack;
  /** A world of another API server, whose project, files and name of the namespace this one shares. */
  twin?: World;
  /** All that the operator may do, and only in its namespace. Default: everything. */
  rules?: readonly PolicyRule[];
  /** Node options and program to run as the operator. Default: the sources. */
  program?: readonly string[];
  /** The API server that the operator talks to, when it is not to talk to it directly. */
  through?: { server: string; ca?: string };
}

const eventsSchema = z.object({
  items: z.array(z.object({ type: z.string(), reason: z.string(), note: z.string().default('') })),
});

export class World implements AsyncDisposable {
  readonly stack: Stack;
  readonly namespace: string;
  readonly project: Project;
  readonly source: Source;
  /** The user of the API server that only this operator is. */
  readonly user: string;
  operator: Operator;
  readonly #options: WorldOptions;

  static async create(options: WorldOptions = {}): Promise<World> {
    const stack = options.stack ?? (await connectStack());
    const { kubernetes, openstack } = stack;
    await installCrd(stack.kubernetes);
    const { twin } = options;
    const [namespace, project, user] = await Promise.all([
      kubernetes.createNamespace('test', twin?.namespace),
      twin?.project ?? openstack.createProject(),
      kubernetes.claimUser(options.rules === undefined ? 'operator' : 'tenant'),
    ]);
    if (options.rules !== undefined) await grant(stack, namespace, user, options.rules);
    const source = twin?.source ?? (await startSource());
    const world = new World(stack, namespace, project, user, source, options);
    try {
      await world.writeSecret('openstack', { 'clouds.yaml': await project.cloudsYaml(options.clouds) });
      if (options.idle !== true) await world.start();
      return world;
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(
    stack: Stack,
    namespace: string,
    project: Project,
    user: string,
    source: Source,
    options: WorldOptions,
  ) {
    this.stack = stack;
    this.namespace = namespace;
    this.project = project;
    this.user = user;
    this.source = source;
    this.#options = options;
    this.operator = none;
  }

  /** Starts the operator, which must not be running. */
  async start(flags: readonly string[] = []): Promise<void> {
    const kubeconfig = this.stack.kubernetes.kubeconfig(this.user, this.#options.through);
    const own = [
      '--namespaces',
      this.namespace,
      '--source-allow',
      '127.0.0.0/8',
      '--cloud-allow',
      '127.0.0.0/8',
      // One process at a time, which need not wait for the lease of the one that was killed before it.
      '--leader-elect=false',
      ...(this.#options.flags ?? []),
      ...flags,
    ];
    const { program } = this.#options;
    this.operator = await startOperator({ kubeconfig, flags: own, ...(program === undefined ? {} : { program }) });
  }

  /** `hosts`: those that its values may go to. */
  async writeSecret(name: string, data: Record<string, string>, hosts?: string): Promise<void> {
    const annotations = hosts === undefined ? {} : { annotations: { [hostsAnnotation]: hosts } };
    await this.stack.kubernetes.apply(
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name, namespace: this.namespace, ...annotations },
        stringData: data,
      }),
    );
  }

  /** `kubectl apply` of a GlanceImage; the cloud is filled in unless given. */
  async apply(name: string, spec: Record<string, unknown>, metadata: Record<string, unknown> = {}): Promise<void> {
    const cloud = { secretRef: { name: 'openstack' }, name: 'demo' };
    await this.stack.kubernetes.apply(
      JSON.stringify({
        apiVersion,
        kind,
        metadata: { name, namespace: this.namespace, ...metadata },
        spec: { cloud, ...spec },
      }),
    );
  }

  async annotate(name: string, annotation: string, value: string): Promise<void> {
    const patch = { metadata: { annotations: { [annotation]: value } } };
    const contentType = 'application/merge-patch+json';
    (await this.stack.kubernetes.request('PATCH', this.#path(name), patch, { contentType })).ok();
  }

  /** Asks for the deletion and does not wait for it. */
  async delete(name: string): Promise<void> {
    (await this.stack.kubernetes.request('DELETE', this.#path(name))).ok();
  }

  async get(name: string): Promise<GlanceImage | undefined> {
    const answer = await this.stack.kubernetes.request('GET', this.#path(name));
    return answer.status === 404 ? undefined : answer.as(glanceImageSchema);
  }

  /** Resolves with the resource as soon as it is as wanted; fails with what it is instead if that never comes. */
  async until(name: string, what: string, wanted: (resource: GlanceImage) => boolean): Promise<GlanceImage> {
    let resource: GlanceImage | undefined;
    return eventually(
      async () => {
        resource = await this.get(name);
        return resource !== undefined && wanted(resource) && resource;
      },
      () =>
        `${name} is not ${what}: ${JSON.stringify(resource?.status, null, 2)}\n${this.operator.log.slice(-20).join('\n')}`,
    );
  }

  ready(name: string): Promise<GlanceImage> {
    return this.until(name, 'Ready', (resource) => isCurrent(resource) && isConvergedReason(reasonOf(resource)));
  }

  /** Resolves once Ready gives this reason. */
  reason(name: string, reason: string): Promise<GlanceImage> {
    return this.until(name, reason, (resource) => isCurrent(resource) && reasonOf(resource) === reason);
  }

  async gone(name: string): Promise<void> {
    let resource: GlanceImage | undefined;
    await eventually(
      async () => {
        resource = await this.get(name);
        return resource === undefined;
      },
      () => `${name} is still there: ${JSON.stringify(resource?.status, null, 2)}`,
    );
  }

  /** What Glance holds in the project, hidden images too. */
  images(): Promise<ImageRecord[]> {
    return this.project.listImages();
  }

  /** The events of the namespace, as `type reason`. */
  async events(): Promise<{ type: string; reason: string; note: string }[]> {
    const path = `/apis/events.k8s.io/v1/namespaces/${this.namespace}/events`;
    return (await this.stack.kubernetes.request('GET', path)).as(eventsSchema).items;
  }

  /** Changes an image behind the operator's back. */
  async patchImage(id: string | undefined, operations: readonly unknown[]): Promise<void> {
    (await this.project.image('PATCH', `/v2/images/${id}`, operations)).ok();
  }

  /** Resolves once the namespace has an event with this reason. */
  untilEvent(reason: string): Promise<void> {
    return this.untilEvents(reason, 1);
  }

  async untilEvents(reason: string, count: number): Promise<void> {
    let found = 0;
    await eventually(
      async () => {
        found = (await this.events()).filter((event) => event.reason === reason).length;
        return found >= count;
      },
      () => `${found} of ${count} events ${reason}`,
    );
  }

  /** Throws where the operator has warned of itself, as Node does of listeners that pile up. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.operator.kill();
    if (this.#options.twin === undefined) {
      await this.source.stop();
      await this.stack.stop();
    }
    const warnings = this.operator.log.filter((line) => /^\(node:\d+\) /.test(line));
    if (warnings.length > 0) throw new Error(warnings.join('\n'));
  }

  #path(name: string): string {
    return `/apis/${apiVersion}/namespaces/${this.namespace}/${plural}/${name}`;
  }
}

async function grant({ kubernetes }: Stack, namespace: string, user: string, rules: readonly PolicyRule[]) {
  const apiGroup = 'rbac.authorization.k8s.io';
  const common = { apiVersion: `${apiGroup}/v1`, metadata: { name: 'glance-image-operator', namespace } };
  const subjects = [{ apiGroup, kind: 'User', name: user }];
  const roleRef = { apiGroup, kind: 'Role', name: 'glance-image-operator' };
  for (const object of [
    { ...common, kind: 'Role', rules },
    { ...common, kind: 'RoleBinding', subjects, roleRef },
  ])
    await kubernetes.apply(JSON.stringify(object));
}

const none: Operator = {
  pid: -1,
  log: [],
  rss: () => 0,
  ended: Promise.resolve(null),
  signal: () => {},
  stop: async () => null,
  kill: async () => {},
};

export function reasonOf(resource: GlanceImage): string | undefined {
  return findCondition(resource.status.conditions, 'Ready')?.reason;
}

export function messageOf(resource: GlanceImage): string {
  return findCondition(resource.status.conditions, 'Ready')?.message ?? '';
}

/** Whether the status speaks of the present declaration. */
function isCurrent({ metadata, status }: GlanceImage): boolean {
  return status.observedGeneration === metadata.generation;
}

/** The image of a resource that was created last, whether it is ready or not. */
export function newestID({ status }: Pick<GlanceImage, 'status'>): string | undefined {
  return status.revisions?.at(-1)?.imageID;
}
