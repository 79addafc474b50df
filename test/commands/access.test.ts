/** What commands say of names, and of a cluster whose uid they may not read. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { z } from 'zod';
import type { Command } from '../../src/commands/command.ts';
import { diffCommand } from '../../src/commands/diff.ts';
import { orphansCommand } from '../../src/commands/orphans.ts';
import { planCommand } from '../../src/commands/plan.ts';
import { rollbackCommand } from '../../src/commands/rollback.ts';
import { statusCommand } from '../../src/commands/status.ts';
import { json, startServer, writeKubeconfig } from '../kubernetes/server.ts';
import { surroundings } from './surroundings.ts';

/** An API server that rejects every request. */
const requests: string[] = [];
const server = createServer((request, response) => {
  requests.push(request.url ?? '');
  response.statusCode = 403;
  const status = { kind: 'Status', apiVersion: 'v1', status: 'Failure', message: 'no rights', reason: 'Forbidden' };
  response.end(JSON.stringify({ ...status, code: 403 }));
});
let folder: string;
let kubeconfig: string;
before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = z.object({ port: z.number() }).parse(server.address());
  folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-access-'));
  kubeconfig = join(folder, 'config');
  const cluster = { server: `http://127.0.0.1:${port}` };
  const user = { token: 'x' };
  const all = { clusters: [{ name: 'x', cluster }], users: [{ name: 'x', user }] };
  const contexts = [{ name: 'x', context: { cluster: 'x', user: 'x' } }];
  writeFileSync(kubeconfig, JSON.stringify({ ...all, contexts, 'current-context': 'x' }));
});
after(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

async function run(command: Command, args: readonly string[]) {
  const around = surroundings();
  requests.length = 0;
  const code = await command.run([...args, '--kubeconfig', kubeconfig], () => around);
  return { code, out: around.output(), err: around.errors(), requests: [...requests] };
}

test('a text that no resource or namespace can have as its name is wrong usage, and no request is made with it', async () => {
  for (const command of [statusCommand, rollbackCommand])
    for (const [args, message] of [
      [['glanceimage/ubuntu'], /"glanceimage\/ubuntu" is no name of a GlanceImage: it must consist of lower case/],
      [['../secrets/x'], /"\.\.\/secrets\/x" is no name of a GlanceImage/],
      [[''], /"" is no name of a GlanceImage/],
      [['ubuntu', '--namespace', 'a/b'], /--namespace: must be up to 63 lower case letters/],
      [['ubuntu', '-n', ''], /--namespace: must be up to 63 lower case letters/],
    ] as const) {
      const { code, out, err, requests } = await run(command, args);
      assert.deepEqual([code, out, requests], [1, '', []], args.join(' '));
      assert.match(err, message);
    }
});

test('without the right to read the uid of the cluster, the message names the flag that replaces it, and no field', async () => {
  const { code, out, err } = await run(orphansCommand, []);
  assert.deepEqual([code, out], [1, '']);
  assert.match(
    err,
    /^glance-image-operator: these credentials may not read the namespace kube-system, .*: give the --cluster-name of the operator, .*no rights/,
  );
  assert.doesNotMatch(err, /field|the operator may/);
  assert.match((await run(diffCommand, ['ubuntu'])).err, /403 Forbidden .*no rights/);
});

test('a resource that this version cannot read is an error of one sentence, which names the first field', async (t) => {
  const metadata = { name: 'ubuntu', namespace: 'images', uid: 'u', resourceVersion: '1', generation: 1 };
  const object = {
    apiVersion: 'glance-image-operator.dev/v1alpha1',
    kind: 'GlanceImage',
    metadata: { ...metadata, creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { cloud: 7, image: { visibility: 'of-a-newer-version', tags: 7 } },
  };
  const newer = await startServer(t, json(200, object));
  const args = ['ubuntu', '--kubeconfig', await writeKubeconfig(t, newer.url, { token: 'x' })];
  for (const command of [diffCommand, rollbackCommand, planCommand]) {
    const around = surroundings();
    assert.equal(await command.run(args, () => around), 1);
    assert.match(
      around.errors(),
      /^glance-image-operator: The response to GET \S+ cannot be used: spec\.cloud: [^\n{}]* \(and \d+ more problems\)\n$/,
    );
  }
});
