/** Names are resolved as they are: a search domain of the system must not make them others. */
import assert from 'node:assert/strict';
import type { LookupAddress } from 'node:dns';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createResolve } from '../../src/http/resolve-host.ts';

let folder: string;
let hosts: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hosts-'));
  hosts = join(folder, 'hosts');
  await writeFile(
    hosts,
    '127.0.0.1 localhost\n::1 localhost\n# 1.2.3.4 mirror\n192.168.1.5\tController keystone.example # x\n',
  );
});
after(() => rm(folder, { recursive: true }));

/** The addresses of a name, and the names that DNS was asked for. */
function resolve(name: string, file = hosts, family?: 4 | 6): Promise<{ found: LookupAddress[]; asked: string[] }> {
  const asked: string[] = [];
  const resolver = createResolve(file, (host, _options, callback) => {
    asked.push(host);
    callback(null, []);
  });
  return new Promise((done, fail) => {
    resolver(name, { all: true, ...(family === undefined ? {} : { family }) }, (error, found) =>
      error === null ? done({ found, asked }) : fail(error),
    );
  });
}

test('DNS is asked for a name with a final dot', async () => {
  for (const name of ['images.example.com', 'images.example.com.', 'vault', 'vault.vault', 'a.svc.cluster.local'])
    assert.deepEqual((await resolve(name)).asked, [`${name.replace(/\.$/, '')}.`]);
});

test('DNS is asked for the short name of a Service as it is, because only the Pod knows the domain of the cluster', async () => {
  assert.deepEqual((await resolve('keystone.openstack.svc')).asked, ['keystone.openstack.svc']);
});

test('a name in the hosts file has the addresses of that file', async () => {
  const [four, six] = [
    { address: '127.0.0.1', family: 4 },
    { address: '::1', family: 6 },
  ];
  assert.deepEqual(await resolve('LOCALHOST'), { found: [four, six], asked: [] });
  assert.deepEqual(await resolve('localhost', hosts, 6), { found: [six], asked: [] });
  const controller = { found: [{ address: '192.168.1.5', family: 4 }], asked: [] };
  assert.deepEqual([await resolve('controller'), await resolve('keystone.example.')], [controller, controller]);
  assert.deepEqual((await resolve('mirror')).asked, ['mirror.']);
});

test('without a hosts file, the name is resolved by DNS', async () => {
  assert.deepEqual((await resolve('localhost', join(folder, 'none'))).asked, ['localhost.']);
});
