/** Which kubeconfig is read where KUBECONFIG names several files. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, test } from 'node:test';
import { loadKubeconfig } from '../../src/kubernetes/kubeconfig.ts';

const folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-kubeconfig-'));
const before = process.env['KUBECONFIG'];
after(() => {
  rmSync(folder, { recursive: true });
  if (before === undefined) delete process.env['KUBECONFIG'];
  else process.env['KUBECONFIG'] = before;
});

/** A cluster, a user and a context of this name, and `current` as the current context. */
function fileOf(name: string, current: string | undefined, server = `https://${name}.example.com`): string {
  const path = join(folder, `${name}-${current}-${server.replace(/\W/g, '')}.json`);
  writeFileSync(
    path,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      ...(current === undefined ? {} : { 'current-context': current }),
      clusters: [{ name, cluster: { server } }],
      users: [{ name, user: { token: name } }],
      contexts: [{ name, context: { cluster: name, user: name } }],
    }),
  );
  return path;
}

function serverOf(files: readonly string[], context?: string): string | undefined {
  process.env['KUBECONFIG'] = files.join(delimiter);
  return loadKubeconfig(undefined, context).getCurrentCluster()?.server;
}

test('of several files in KUBECONFIG, the first one with a current context or an entry of a name counts, as for kubectl', () => {
  const [dev, prod] = [fileOf('dev', 'dev'), fileOf('prod', 'prod')];
  assert.equal(serverOf([dev, prod]), 'https://dev.example.com');
  assert.equal(serverOf([prod, dev]), 'https://prod.example.com');
  assert.equal(serverOf([dev, prod], 'prod'), 'https://prod.example.com');
  assert.equal(serverOf([fileOf('dev', undefined), prod]), 'https://prod.example.com');
  assert.equal(serverOf([dev, fileOf('dev', 'dev', 'https://other.example.com')]), 'https://dev.example.com');
});

test('a file in KUBECONFIG that does not exist is left out, and without any other it is an error that names it', () => {
  const missing = join(folder, 'missing');
  assert.equal(serverOf([missing, fileOf('dev', 'dev')]), 'https://dev.example.com');
  assert.throws(() => serverOf([missing, `${missing}-too`]), /The kubeconfig cannot be used: .*missing: no such file/);
});
