/** A plan of several resources, some of which cannot be planned. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { z } from 'zod';
import { planCommand } from '../../src/commands/plan.ts';
import { json, startServer, status, writeKubeconfig } from '../kubernetes/server.ts';
import { surroundings } from './surroundings.ts';

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-plan-'));
});
after(() => rmSync(folder, { recursive: true }));

const manifest = (name: string, more: object = {}) => ({
  apiVersion: 'glance-image-operator.dev/v1alpha1',
  kind: 'GlanceImage',
  metadata: { name },
  spec: { cloud: { secretRef: { name: 'openstack' }, name: 'demo' }, image: {}, ...more },
});
const suspended = { suspend: true };

/** The cluster has none of the resources and no Secret, and `forbidden` may not be read. */
async function run(t: TestContext, manifests: readonly object[], args: readonly string[] = []) {
  const file = join(folder, `${t.name.replace(/\W+/g, '-').slice(0, 40)}.json`);
  writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifests }));
  const metadata = { name: 'kube-system', uid: 'cluster', resourceVersion: '1' };
  const answerFor = (path: string) => {
    if (path.endsWith('/namespaces/kube-system')) return json(200, { apiVersion: 'v1', kind: 'Namespace', metadata });
    return path.endsWith('/forbidden') ? status(403, 'Forbidden', 'you may not') : status(404, 'NotFound', 'not found');
  };
  const server = await startServer(t, (response, request) => answerFor(request.url ?? '')(response, request));
  const kubeconfig = await writeKubeconfig(t, server.url, { token: 'token' });
  const around = surroundings();
  const code = await planCommand.run(['--filename', file, '--kubeconfig', kubeconfig, ...args], () => around);
  return { code, out: around.output(), err: around.errors(), seen: server.seen };
}

test('a resource that cannot be planned does not end the plan of the others, and the exit code is 1', async (t) => {
  const { code, out, err } = await run(t, [
    manifest('forbidden', suspended),
    manifest('secretless'),
    manifest('suspended', suspended),
  ]);
  assert.equal(code, 1);
  assert.match(
    out,
    /^GlanceImage images\/forbidden\n {2}cannot be planned: .*you may not.*\n {4}Check the kubeconfig/m,
  );
  assert.match(out, /^GlanceImage images\/secretless .*\n {2}cannot be planned: .*openstack.*\n {4}\S/m);
  assert.match(out, /^GlanceImage images\/suspended .*\n {2}nothing to do: spec\.suspend is true$/m);
  assert.match(out, /Plan: 0 to create,.*; 2 could not be planned\.\n$/);
  assert.equal(err, 'glance-image-operator: the plan is not complete: 2 of 3 failed\n');
});

test('manifests with a problem are named after the plan of the others, in the data too, and the exit code is 1', async (t) => {
  const twice = [manifest('twice', suspended), manifest('twice', suspended)];
  const wrong = manifest('wrong', { ...suspended, minDisk: 1 });
  const { code, out, err } = await run(t, [...twice, wrong, manifest('good', suspended)], ['--output', 'json']);
  assert.equal(code, 1);
  const data = z
    .object({ resources: z.array(z.looseObject({ name: z.string() })), problems: z.array(z.string()) })
    .parse(JSON.parse(out));
  assert.deepEqual(
    data.resources.map(({ name }) => name),
    ['good'],
  );
  assert.match(
    data.problems.join('\n'),
    /GlanceImage wrong: there is no field spec\.minDisk\n.*images\/twice is declared 2 times/,
  );
  assert.match(err, /^Not planned: .*spec\.minDisk\nNot planned: .*images\/twice.*\n.*: 2 of 3 failed\n$/);
});

test('a single resource that cannot be planned is one sentence with its remedy, and no plan', async (t) => {
  const { code, out, err } = await run(t, [manifest('secretless')]);
  assert.deepEqual([code, out], [1, '']);
  assert.match(err, /^glance-image-operator: .*openstack.*\n {2}.*\n$/);
});

test('manifests without one that can be read are an error with each problem', async (t) => {
  const { code, out, err } = await run(t, [manifest('A'), manifest('wrong', { minDisk: 1 })]);
  assert.deepEqual([code, out], [1, '']);
  assert.match(err, /^glance-image-operator: .*item 1: metadata\.name: .*\n.*item 2, GlanceImage wrong: .*\n$/);
});

test('a cloud that cannot be opened is opened once for all of its resources', async (t) => {
  const { seen } = await run(t, [manifest('a'), manifest('b'), manifest('c')]);
  const secrets = seen.filter(({ path }) => path.includes('/secrets/'));
  assert.equal(secrets.length, 1, secrets.map(({ path }) => path).join());
});
