import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { connectStack, type Stack } from '../env/stack.ts';
import { ofKind, type RenderedObject, render } from './chart.ts';

const podSpecSchema = z.looseObject({
  securityContext: z.looseObject({}),
  volumes: z.array(z.looseObject({ name: z.string() })),
  containers: z.array(z.looseObject({ securityContext: z.looseObject({}) })),
});
type PodSpec = z.infer<typeof podSpecSchema>;
const deploymentSchema = z.looseObject({
  spec: z.looseObject({
    template: z.looseObject({
      metadata: z.looseObject({ labels: z.record(z.string(), z.string()) }),
      spec: podSpecSchema,
    }),
  }),
});

/** All that is off by default and of a kind that every cluster has. */
const everything = {
  replicaCount: 2,
  networkPolicy: { enabled: true, apiServer: { to: [{ ipBlock: { cidr: '192.0.2.10/32' } }] } },
  podDisruptionBudget: { enabled: true },
  metrics: { dashboard: { enabled: true } },
  transferLimits: { total: 2 },
};

/** Each relaxes one rule of `restricted`, with the field in the server's message. */
const loosened: [what: string, said: RegExp, loosen: (spec: PodSpec) => unknown][] = [
  [
    'that may be root',
    /runAsNonRoot/,
    (spec) => ({ ...spec, securityContext: { ...spec.securityContext, runAsNonRoot: false } }),
  ],
  [
    'without a seccomp profile',
    /seccompProfile/,
    (spec) => ({ ...spec, securityContext: { ...spec.securityContext, seccompProfile: undefined } }),
  ],
  ['with the network of its node', /hostNetwork/, (spec) => ({ ...spec, hostNetwork: true })],
  [
    'with a folder of its node',
    /hostPath/,
    (spec) => ({ ...spec, volumes: [...spec.volumes, { name: 'v', hostPath: { path: '/etc' } }] }),
  ],
  [
    'that may gain privileges',
    /allowPrivilegeEscalation/,
    (spec) => inContainer(spec, { allowPrivilegeEscalation: true }),
  ],
  ['that keeps capabilities', /capabilities/, (spec) => inContainer(spec, { capabilities: {} })],
  [
    'that is privileged',
    /privileged/,
    (spec) => inContainer(spec, { privileged: true, allowPrivilegeEscalation: true }),
  ],
];

function inContainer(spec: PodSpec, changes: object): unknown {
  const containers = spec.containers.map((one) => ({
    ...one,
    securityContext: { ...one.securityContext, ...changes },
  }));
  return { ...spec, containers };
}

describe('in a namespace that enforces restricted Pod Security', () => {
  let stack: Stack;
  let namespace: string;
  let objects: RenderedObject[];
  let pod: z.infer<typeof deploymentSchema>['spec']['template'];
  before(async () => {
    stack = await connectStack();
    namespace = await stack.kubernetes.createNamespace('restricted');
    const label = (mode: string) => `pod-security.kubernetes.io/${mode}=restricted`;
    const labels = ['enforce', 'warn'].map(label);
    const { code, stderr } = await stack.kubernetes.kubectl(['label', 'namespace', namespace, ...labels]);
    assert.equal(code, 0, stderr);
    const values = { ...everything, fullnameOverride: namespace };
    objects = await render(stack.kubernetes, { release: 'r', namespace, values });
    const [deployment] = ofKind(objects, 'Deployment').map((object) => deploymentSchema.parse(object));
    assert.ok(deployment !== undefined);
    pod = deployment.spec.template;
  });
  after(() => stack.stop());

  const asPod = (spec: unknown): object => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'operator', namespace, labels: pod.metadata.labels },
    spec,
  });
  const create = (object: object) =>
    stack.kubernetes.kubectl(['create', '--dry-run=server', '--validate=strict', '-f', '-'], {
      input: JSON.stringify(object),
    });

  test('the Pod of the chart is accepted without a warning', async () => {
    const { code, stderr } = await create(asPod(pod.spec));
    assert.equal(stderr, '');
    assert.equal(code, 0);
  });

  test('all other objects of the chart are accepted without unknown fields', async () => {
    assert.ok(
      ['NetworkPolicy', 'PodDisruptionBudget', 'Deployment', 'Service', 'ConfigMap'].every(
        (kind) => ofKind(objects, kind).length > 0,
      ),
    );
    const { code, stdout, stderr } = await create({ apiVersion: 'v1', kind: 'List', items: objects.filter(isNew) });
    assert.equal(stderr, '');
    assert.equal(code, 0);
    assert.equal(stdout.trim().split('\n').length, objects.filter(isNew).length);
  });

  test('an unknown field of a Pod is rejected by the server', async () => {
    const { code, stderr } = await create(asPod({ ...pod.spec, terminationGrace: 1 }));
    assert.notEqual(code, 0);
    assert.match(stderr, /unknown field "spec.terminationGrace"/);
  });

  for (const [what, said, loosen] of loosened) {
    test(`a Pod ${what} is rejected`, async () => {
      const { code, stderr } = await create(asPod(loosen(pod.spec)));
      assert.notEqual(code, 0);
      assert.match(stderr, /violates PodSecurity "restricted:/);
      assert.match(stderr, said);
    });
  }
});

/** The stack has the definition already. */
function isNew({ kind }: RenderedObject): boolean {
  return kind !== 'CustomResourceDefinition';
}
