/** Metrics with a login on a real API server, by an operator that has only the permissions of the chart. */
import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { eventually } from '../env/wait.ts';
import { ask } from '../operator/scrape.ts';
import { World } from '../operator/world.ts';
import { permissionsOf, render, rolesOf } from './chart.ts';
import { Installation } from './installation.ts';

const values = { metrics: { secure: { enabled: true } } };
const serving = z.looseObject({ msg: z.literal('Serving metrics over TLS'), port: z.int() });

describe('metrics with a login, in a cluster', () => {
  let world: World;
  let installation: Installation;
  before(async () => {
    world = await World.create({ idle: true });
    installation = await Installation.create(world, { values });
    await installation.start('Synced');
  });
  after(async () => {
    await installation[Symbol.asyncDispose]();
    await world[Symbol.asyncDispose]();
  });

  async function get(token: string | undefined): Promise<{ status: number | undefined; text: string }> {
    const { log } = installation.operator;
    const line = await eventually(
      () => log.find((each) => each.includes('Serving metrics over TLS')),
      () => `it does not serve:\n${log.join('\n')}`,
    );
    const { port } = serving.parse(JSON.parse(line));
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const options = { host: '127.0.0.1', port, path: '/metrics', headers, rejectUnauthorized: false };
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request(options, resolve).on('error', reject).end();
    });
    return { status: response.statusCode, text: Buffer.concat(await response.toArray()).toString() };
  }

  test('only users of the cluster who may get /metrics get them: the rights of the chart are enough for the check', async () => {
    const { kubernetes } = world.stack;
    assert.equal((await get(undefined)).status, 401);
    assert.equal((await get('not-a-token')).status, 401);
    const reader = await kubernetes.claimUser('tenant');
    const token = kubernetes.token(reader);
    const forbidden = await get(token);
    assert.equal(forbidden.status, 403);
    assert.match(forbidden.text, new RegExp(`User ${reader} may not get the path /metrics`));
    const admin = await get(kubernetes.adminToken);
    assert.equal(admin.status, 200, admin.text);
    assert.match(admin.text, /^glance_image_operator_build_info\{/m);

    const objects = await render(kubernetes, { release: installation.name, namespace: 'n', values });
    const role = objects.find(({ metadata }) => metadata.name.endsWith('-metrics-reader'));
    assert.ok(role !== undefined);
    const name = `${installation.name}-reader`;
    const binding = {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: reader }],
    };
    await kubernetes.apply(JSON.stringify({ ...role, metadata: { name } }));
    await kubernetes.apply(JSON.stringify(binding));
    await eventually(
      async () => (await get(token)).status === 200,
      () => 'the ClusterRole of the chart does not admit its user',
    );
  });

  test('the port of the probes serves no metrics then', async () => {
    assert.equal((await ask(installation, '/livez')).status, 200);
    assert.equal((await ask(installation, '/metrics')).status, 404);
  });

  test('the chart grants the reviews only where metrics need a login, and in the whole cluster', async () => {
    const rolesWith = async (more: object) =>
      rolesOf(await render(world.stack.kubernetes, { release: 'r', namespace: 'n', values: { ...more } }));
    const reviews = ['create authentication.k8s.io/tokenreviews', 'create authorization.k8s.io/subjectaccessreviews'];
    const plain = permissionsOf(await rolesWith({}));
    assert.deepEqual(permissionsOf(await rolesWith(values)), [...plain, ...reviews].sort());
    const namespaced = await rolesWith({ ...values, watchNamespaces: ['a'], settings: { clusterName: 'c' } });
    const clusterWide = namespaced.filter(({ kind }) => kind === 'ClusterRole');
    assert.deepEqual(permissionsOf(clusterWide), reviews);
  });
});
