import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { exitCodes } from '../../src/commands/exit.ts';
import { raw } from '../env/images.ts';
import { digestOf } from './digest.ts';
import { type Operator, startOperator } from './operator.ts';
import { World } from './world.ts';

describe('how installations share resources', () => {
  let world: World;
  before(async () => {
    world = await World.create({ idle: true });
  });
  after(() => world[Symbol.asyncDispose]());

  async function start(user: string, flags: readonly string[]): Promise<Operator> {
    const all = [
      '--namespaces',
      world.namespace,
      '--source-allow',
      '127.0.0.0/8',
      '--cloud-allow',
      '127.0.0.0/8',
      '--lease-namespace',
      world.namespace,
    ];
    const kubeconfig = world.stack.kubernetes.kubeconfig(user);
    return startOperator({ kubeconfig, flags: [...all, ...flags] });
  }

  test('operators with different selectors work at the same time, each on its own share', async () => {
    const { kubernetes } = world.stack;
    const users = [await kubernetes.claimUser(), await kubernetes.claimUser()] as const;
    const since = await kubernetes.audit.mark();
    const both = await Promise.all(users.map((user, at) => start(user, ['--selector', `shard=${at}`])));
    try {
      for (const name of ['0', '1']) await world.apply(`share-${name}`, {}, { labels: { shard: name } });
      await world.apply('of-nobody', {});
      for (const name of ['0', '1']) await world.ready(`share-${name}`);
      for (const [at, user] of users.entries()) {
        const names = (await kubernetes.audit.writes(user, since)).flatMap(({ resource, name }) =>
          resource === 'glanceimages/status' ? [name] : [],
        );
        assert.deepEqual([...new Set(names)], [`share-${at}`]);
      }
      const leases = await kubernetes.kubectl(['get', 'leases', '-o', 'name'], { namespace: world.namespace });
      assert.equal(leases.stdout.trim().split('\n').length, 2, leases.stdout);
      assert.equal((await world.get('of-nobody'))?.status.observedGeneration, -1);
    } finally {
      for (const operator of both) await operator.kill();
    }
  });

  test('an invalid selector ends the process at the start with the message of the API server', async () => {
    const user = await world.stack.kubernetes.claimUser();
    await assert.rejects(start(user, ['--selector', 'shard in (a']), (error: Error) => {
      assert.match(error.message, new RegExp(`ended with ${exitCodes.usage}`));
      assert.match(
        error.message,
        /--selector: the API server cannot use "shard in \(a": .*unable to parse requirement/,
      );
      return true;
    });
  });

  test('without cluster-wide rights a cluster name is required, and rights in namespaces suffice', async () => {
    const { kubernetes } = world.stack;
    const user = await kubernetes.claimUser('tenant');
    await kubernetes.apply(JSON.stringify(rights(world.namespace, user)));
    await assert.rejects(start(user, []), (error: Error) => {
      assert.match(error.message, /ended with 1/);
      assert.match(error.message, /may not read the namespace kube-system.*set --cluster-name/);
      return true;
    });
    const operator = await start(user, ['--cluster-name', 'team-a', '--lease-name', 'team-a']);
    try {
      await world.apply('namespaced', {});
      await world.ready('namespaced');
      assert.equal(await operator.stop(), exitCodes.stopped);
      assert.deepEqual(
        operator.log.filter((line) => line.includes('Forbidden')),
        [],
      );
    } finally {
      await operator.kill();
    }
  });

  for (const [choice, status, title] of [
    ['drain', 'active', 'a stop drains running transfers and records their results'],
    ['cancel', 'queued', 'a stop cancels running transfers'],
  ] as const) {
    test(title, async () => {
      const name = `stopped-${choice}`;
      const body = raw(2 ** 20);
      const gate = Promise.withResolvers<void>();
      const url = world.source.add(`/${name}`, { body, gate: { at: 2 ** 19, released: gate.promise } });
      const user = await world.stack.kubernetes.claimUser();
      const operator = await start(user, ['--transfers-on-stop', choice, '--lease-name', name, '--cluster-name', 'c']);
      try {
        await world.apply(name, { image: { diskFormat: 'raw' }, content: { http: { url, digest: digestOf(body) } } });
        await world.source.requested(`/${name}`);
        operator.signal('SIGTERM');
        // Everything that the stop does to the transfer happens before the source continues, or waits for it.
        if (choice === 'cancel') assert.equal(await operator.ended, exitCodes.stopped);
        gate.resolve();
        assert.equal(await operator.ended, exitCodes.stopped, operator.log.join('\n'));
        const image = (await world.images()).find((one) => one.name === name);
        assert.equal(image?.status, status);
        const resource = await world.get(name);
        // Only the process that has compared the bytes knows that they are right.
        assert.equal(resource?.status.content?.digest, choice === 'drain' ? digestOf(body) : undefined);
      } finally {
        gate.resolve();
        await operator.kill();
      }
    });
  }
});

/** The permissions of an operator that watches one namespace. */
function rights(namespace: string, user: string): object {
  const rule = (group: string, resources: string[], verbs: string[]) => ({ apiGroups: [group], resources, verbs });
  const role = {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'Role',
    metadata: { name: 'glance-image-operator', namespace },
    rules: [
      rule('glance-image-operator.dev', ['glanceimages'], ['get', 'list', 'watch', 'patch']),
      rule('glance-image-operator.dev', ['glanceimages/status'], ['patch']),
      rule('', ['secrets'], ['get', 'list', 'watch']),
      rule('events.k8s.io', ['events'], ['create', 'patch']),
      rule('coordination.k8s.io', ['leases'], ['get', 'create', 'update']),
    ],
  };
  const binding = {
    apiVersion: role.apiVersion,
    kind: 'RoleBinding',
    metadata: role.metadata,
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'glance-image-operator' },
    subjects: [{ kind: 'User', name: user, apiGroup: 'rbac.authorization.k8s.io' }],
  };
  return { apiVersion: 'v1', kind: 'List', items: [role, binding] };
}
