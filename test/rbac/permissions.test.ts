import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { group, plural } from '../../src/api/group.ts';
import { World } from '../operator/world.ts';
import { cases } from './cases.ts';
import { permission, permissionsOf, render, rolesOf } from './chart.ts';
import { Installation, type InstallationOptions } from './installation.ts';
import { doMainJob, federatedAccount } from './main-job.ts';
import { type Attributes, allowed } from './review.ts';

/** As many operators at once as a small machine bears. */
const concurrency = 4;

/** The last one with every right that a value of the chart adds. */
const scopes: readonly InstallationOptions[] = [
  { watch: 'namespace' },
  { watch: 'cluster' },
  {
    watch: 'namespace',
    settings: { watchSecrets: true },
    values: { publish: { enabled: true } },
    tokensOf: [federatedAccount],
  },
];

/** The operator's requests to the API server since the mark, and the rejected ones. */
async function asked({ world, user }: Installation, mark: number) {
  const records = await world.stack.kubernetes.audit.read(user, mark);
  const requests = records.filter(({ resource }) => resource !== '');
  const used = requests.map(({ verb, apiGroup, resource }) => permission(verb, apiGroup, resource));
  const refused = requests.filter(({ status }) => status === 403).map(({ uri }) => uri);
  const namespaces = new Set(requests.flatMap(({ namespace }) => (namespace === undefined ? [] : [namespace])));
  return { used: [...new Set(used)].sort(), refused, namespaces };
}

/** Requests that an attacker with the operator's token would try. */
function temptations({ namespace }: World, own: string): Attributes[] {
  const leases = { group: 'coordination.k8s.io', resource: 'leases', namespace: own };
  return [
    ...['create', 'update', 'patch', 'delete'].map((verb) => ({ verb, resource: 'secrets', namespace })),
    { verb: 'get', resource: 'secrets', namespace: 'kube-system' },
    { verb: 'create', resource: 'pods', namespace },
    { verb: 'create', resource: 'serviceaccounts', subresource: 'token', namespace: own },
    { verb: 'create', resource: 'serviceaccounts', subresource: 'token', namespace, name: 'default' },
    { verb: 'delete', group, resource: plural, namespace },
    { verb: 'update', ...leases, name: 'of-another' },
    { verb: 'list', ...leases },
    { verb: 'get', resource: 'namespaces', name: 'default' },
    { verb: 'list', resource: 'namespaces' },
  ];
}

describe('an operator with the rights that the chart gives it', { concurrency }, () => {
  for (const options of scopes) {
    const { watch, settings, tokensOf, values } = options;
    const granted = [...Object.keys({ ...settings, ...values }), ...(tokensOf === undefined ? [] : ['tokens'])];
    const scope = [watch, ...granted].join(' with ');
    test(`an operator with the chart's permissions works, uses each of them and needs no other: ${scope}`, async () => {
      await using world = await World.create({ idle: true });
      await using installation = await Installation.create(world, options);
      await using elsewhere = await World.create({ idle: true });
      const mark = await world.stack.kubernetes.audit.mark();
      const operator = await installation.start();
      await elsewhere.apply('other', { interval: '0' }, { labels: { installation: installation.name } });
      await doMainJob(installation);
      if (watch === 'cluster') await elsewhere.ready('other');
      else assert.equal((await elsewhere.get('other'))?.status.observedGeneration, -1);
      assert.equal(await operator.stop(), 0, operator.log.join('\n'));

      const { used, refused, namespaces } = await asked(installation, mark);
      assert.deepEqual(refused, []);
      assert.deepEqual(used, installation.permissions);
      assert.equal(namespaces.has(elsewhere.namespace), watch === 'cluster');
      const things = temptations(world, installation.account.namespace);
      const can = await allowed(world.stack.kubernetes, installation.user, things);
      // A Secret is needed in every namespace with an image.
      const everywhere = { verb: 'get', resource: 'secrets', namespace: 'kube-system' };
      assert.deepEqual(can, watch === 'cluster' ? [everywhere] : []);
    });
  }
});

describe('an operator without one permission', { concurrency }, () => {
  let world: World;
  before(async () => {
    world = await World.create({ idle: true });
  });
  after(() => world[Symbol.asyncDispose]());

  for (const [lost, { symptom, options, show }] of Object.entries(cases)) {
    test(`without permission to ${lost}, the operator ${symptom}`, async () => {
      await using installation = await Installation.create(world, { ...options, lost });
      await show(installation);
    });
  }

  test('every permission of the chart has a case, and no other has one', async () => {
    const rendering = { release: 'r', namespace: 'n' };
    const permissions = async (values: Readonly<Record<string, unknown>> = {}) =>
      permissionsOf(rolesOf(await render(world.stack.kubernetes, { ...rendering, values })));
    const cluster = await permissions();
    const namespaced = await permissions({ watchNamespaces: ['a', 'b'], settings: { clusterName: 'c' } });
    const all = await permissions({
      settings: { watchSecrets: true },
      publish: { enabled: true },
      serviceAccountTokens: { a: [federatedAccount] },
    });
    assert.deepEqual(all, Object.keys(cases).sort());
    assert.deepEqual(
      all.filter((right) => !cluster.includes(right)),
      [
        ...['create configmaps', 'create serviceaccounts/token', 'delete configmaps', 'get configmaps'],
        ...['get serviceaccounts', 'list secrets', 'patch configmaps', 'watch secrets'],
      ],
    );
    const publish = { enabled: true, namespaces: ['team-a'] };
    const inOne = rolesOf(await render(world.stack.kubernetes, { ...rendering, values: { publish } }));
    const publishers = inOne.filter(({ rules }) => rules.some(({ resources }) => resources.includes('configmaps')));
    assert.deepEqual(
      publishers.map((role) => [role.kind, role.metadata.namespace]),
      [['Role', 'team-a']],
    );
    assert.deepEqual(
      cluster.filter((right) => !namespaced.includes(right)),
      ['get namespaces'],
    );
    assert.deepEqual(
      namespaced.filter((right) => !cluster.includes(right)),
      [],
    );
  });
});
