/** A world whose operator runs transfers as Jobs, in a namespace with restricted Pod Security and with the kubelet of the tests. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { JobTemplate } from '../../src/jobs/template.ts';
import { type Kubelet, startKubelet } from '../env/kubelet/kubelet.ts';
import { World, type WorldOptions } from '../operator/world.ts';

const named = z.object({ items: z.array(z.object({ metadata: z.object({ name: z.string() }) })) });

export class JobWorld implements AsyncDisposable {
  readonly world: World;
  readonly kubelet: Kubelet;
  readonly #folder: string;

  static async create(options: Pick<WorldOptions, 'stack' | 'through'> = {}): Promise<JobWorld> {
    const world = await World.create({ ...options, idle: true });
    const { kubernetes } = world.stack;
    const { namespace } = world;
    const role = { name: 'transfer', namespace };
    await kubernetes.apply(
      [
        {
          apiVersion: 'v1',
          kind: 'Namespace',
          metadata: { name: namespace, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
        },
        { apiVersion: 'v1', kind: 'ServiceAccount', metadata: role },
        { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'progress', namespace } },
        {
          apiVersion: 'rbac.authorization.k8s.io/v1',
          kind: 'Role',
          metadata: role,
          rules: [{ apiGroups: [''], resources: ['configmaps'], resourceNames: ['progress'], verbs: ['patch'] }],
        },
        {
          apiVersion: 'rbac.authorization.k8s.io/v1',
          kind: 'RoleBinding',
          metadata: role,
          roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'transfer' },
          subjects: [{ kind: 'ServiceAccount', name: 'transfer', namespace }],
        },
      ]
        .map((object) => JSON.stringify(object))
        .join('\n---\n'),
    );
    const folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-jobs-'));
    const one = new JobWorld(world, startKubelet({ kubernetes, namespace }), folder);
    await one.start();
    return one;
  }

  private constructor(world: World, kubelet: Kubelet, folder: string) {
    this.world = world;
    this.kubelet = kubelet;
    this.#folder = folder;
  }

  /** Of an operator that gives files above 1 MiB to Jobs. `more`: fields of their template. */
  flags(more: Partial<JobTemplate> = {}): string[] {
    const path = join(this.#folder, 'template.json');
    const { namespace } = this.world;
    const own = { serviceAccountName: 'transfer', progressConfigMap: 'progress' };
    writeFileSync(path, JSON.stringify({ namespace, image: 'example.com/image:1', ...own, ...more }));
    return ['--transfer-job-above', '1Mi', '--transfer-job-template', path];
  }

  start(more: Partial<JobTemplate> = {}): Promise<void> {
    return this.world.start(this.flags(more));
  }

  /** A quota of the namespace that admits no further pod. No controller of quotas runs here, so its status is written by hand. */
  async rejectPods(): Promise<{ release: () => Promise<void> }> {
    const { kubernetes } = this.world.stack;
    const path = `/api/v1/namespaces/${this.world.namespace}/resourcequotas`;
    const hard = { pods: '0' };
    const quota = { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'none' }, spec: { hard } };
    (await kubernetes.request('POST', path, quota)).ok();
    const contentType = 'application/merge-patch+json';
    (await kubernetes.request('PATCH', `${path}/none/status`, { status: { hard, used: hard } }, { contentType })).ok();
    return { release: async () => void (await kubernetes.request('DELETE', `${path}/none`)).ok() };
  }

  /** Names of the objects that transfers leave in the namespace. */
  async left(): Promise<string[]> {
    const { kubernetes } = this.world.stack;
    const selector = 'labelSelector=glance-image-operator.dev/lease';
    const paths = ['/apis/batch/v1', '/api/v1', '/api/v1'].map((root) => `${root}/namespaces/${this.world.namespace}`);
    const answers = await Promise.all(
      ['jobs', 'pods', 'secrets'].map((kind, index) =>
        kubernetes.request('GET', `${paths[index]}/${kind}?${selector}`),
      ),
    );
    return answers.flatMap((answer) => answer.as(named).items.map(({ metadata }) => metadata.name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kubelet.stop();
    await this.world[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true });
  }
}
