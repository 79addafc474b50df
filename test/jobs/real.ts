/** A world whose operator runs transfers as Jobs, in a namespace with restricted Pod Security and with the kubelet of the tests. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { type Kubelet, startKubelet } from '../env/kubelet/kubelet.ts';
import { World } from '../operator/world.ts';

const named = z.object({ items: z.array(z.object({ metadata: z.object({ name: z.string() }) })) });

export class JobWorld implements AsyncDisposable {
  readonly world: World;
  readonly kubelet: Kubelet;
  readonly #folder: string;

  static async create(template: object = {}): Promise<JobWorld> {
    const world = await World.create({ idle: true });
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
    const path = join(folder, 'template.json');
    const given = {
      namespace,
      image: 'example.com/image:1',
      serviceAccountName: 'transfer',
      progressConfigMap: 'progress',
    };
    writeFileSync(path, JSON.stringify({ ...given, ...template }));
    const one = new JobWorld(world, startKubelet({ kubernetes, namespace }), folder);
    await one.start();
    return one;
  }

  private constructor(world: World, kubelet: Kubelet, folder: string) {
    this.world = world;
    this.kubelet = kubelet;
    this.#folder = folder;
  }

  /** `above`: in bytes. */
  start(above = '1Mi'): Promise<void> {
    const template = join(this.#folder, 'template.json');
    return this.world.start(['--transfer-job-above', above, '--transfer-job-template', template]);
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
