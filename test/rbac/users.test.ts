import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { apiVersion, kind, plural } from '../../src/api/group.ts';
import { eventually } from '../env/wait.ts';
import { World } from '../operator/world.ts';
import { ofKind, render } from './chart.ts';

const roles = ['view', 'edit', 'admin'] as const;
type Role = (typeof roles)[number];

describe('the permissions of the built-in roles on GlanceImages after the installation', () => {
  let world: World;
  const users = new Map<Role, string>();
  let collection: string;
  const resource = (name: string) => ({
    apiVersion,
    kind,
    metadata: { name, namespace: world.namespace },
    spec: { cloud: { secretRef: { name: 'openstack' }, name: 'demo' } },
  });
  const ask = async (role: Role, method: string, path: string, body?: object, contentType = 'application/json') => {
    const user = users.get(role) ?? '';
    return (await world.stack.kubernetes.request(method, path, body, { user, contentType })).status;
  };

  before(async () => {
    world = await World.create({ idle: true });
    const { kubernetes } = world.stack;
    const { namespace } = world;
    collection = `/apis/${apiVersion}/namespaces/${namespace}/${plural}`;
    const values = { fullnameOverride: namespace };
    const forUsers = ofKind(await render(kubernetes, { release: 'r', namespace, values }), 'ClusterRole').filter(
      (role) => JSON.stringify(role).includes('aggregate-to-'),
    );
    assert.equal(forUsers.length, 2);
    for (const role of forUsers) await kubernetes.apply(JSON.stringify(role));
    for (const role of roles) {
      const user = await kubernetes.claimUser('tenant');
      users.set(role, user);
      await kubernetes.apply(JSON.stringify(bindingOf(namespace, role, user)));
    }
    await world.apply('there', {});
    // The controller adds up what the labels of the roles ask for, some time after.
    for (const role of roles)
      await eventually(
        async () => (await ask(role, 'GET', collection)) === 200,
        () => `${role} was not aggregated`,
      );
  });
  after(() => world[Symbol.asyncDispose]());

  const merge = 'application/merge-patch+json';
  const dry = '?dryRun=All';
  const writes: [name: string, send: (role: Role) => Promise<number>][] = [
    ['create', (role) => ask(role, 'POST', `${collection}${dry}`, resource('new'))],
    ['change', (role) => ask(role, 'PATCH', `${collection}/there${dry}`, { spec: { suspend: true } }, merge)],
    ['delete', (role) => ask(role, 'DELETE', `${collection}/there${dry}`)],
    ['delete all of', (role) => ask(role, 'DELETE', `${collection}${dry}`)],
  ];

  for (const role of roles) {
    test(`${role} may read, list and watch GlanceImages`, async () => {
      for (const path of ['', '/there', '?watch=true&timeoutSeconds=1'])
        assert.equal(await ask(role, 'GET', `${collection}${path}`), 200, path);
    });
    for (const [name, send] of writes) {
      test(`${role} may ${role === 'view' ? 'not ' : ''}${name} GlanceImages`, async () => {
        const status = await send(role);
        if (role === 'view') assert.equal(status, 403);
        else assert.ok(status === 200 || status === 201, `${status}`);
      });
    }
    test(`${role} may not write the status of GlanceImages`, async () => {
      const path = `${collection}/there/status${dry}`;
      assert.equal(await ask(role, 'PATCH', path, { status: { observedGeneration: 9 } }, merge), 403);
    });
  }
});

function bindingOf(namespace: string, role: Role, user: string): object {
  const apiGroup = 'rbac.authorization.k8s.io';
  return {
    apiVersion: `${apiGroup}/v1`,
    kind: 'RoleBinding',
    metadata: { name: `users-${role}`, namespace },
    roleRef: { apiGroup, kind: 'ClusterRole', name: role },
    subjects: [{ apiGroup, kind: 'User', name: user }],
  };
}
