/** The test environment keeps its own promises: what the other tests build on is tested here. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { digestOf, generated, pieces } from './content.ts';
import { ask } from './http.ts';
import { gpt, mbr, qcow2, raw } from './images.ts';
import type { Project } from './project.ts';
import { changesSomething, startProxy } from './proxy.ts';
import { startSource } from './source.ts';
import { connectStack, type Stack } from './stack.ts';
import { eventually } from './wait.ts';

const mib = 1024 ** 2;

test('servers and directories of a killed test run are removed', async () => {
  const owner = spawn(process.execPath, [
    '--input-type=module',
    '--eval',
    `import { createProcesses } from ${JSON.stringify(join(import.meta.dirname, 'processes.ts'))};
     const processes = createProcesses();
     const ready = async () => true;
     const { pid } = await processes.start({ name: 'sleeper', command: 'sleep', args: ['600'], ready });
     console.log(pid + ' ' + processes.directory);
     setInterval(() => {}, 1000);`,
  ]);
  const [line]: string[] = await once(createInterface(owner.stdout), 'line');
  const [pid = '', directory = ''] = (line ?? '').split(' ');
  assert.ok(isAlive(Number(pid)) && existsSync(directory));
  owner.kill('SIGKILL');
  await eventually(
    () => !isAlive(Number(pid)) && !existsSync(directory),
    () => `${pid} or ${directory} is still there`,
  );
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('the servers', () => {
  let stack: Stack;
  let project: Project;
  before(async () => {
    stack = await connectStack();
    project = await stack.openstack.createProject('env');
  });
  after(() => stack.stop());

  test('the API server, Keystone and Glance respond to requests', async () => {
    assert.equal((await stack.kubernetes.request('GET', '/readyz')).text, 'ok');
    assert.equal((await stack.openstack.identity('GET', '/auth/projects')).status, 200);
    assert.equal((await project.image('GET', '/v2/images')).status, 200);
  });

  test('the audit log counts the requests of one user', async () => {
    const { audit } = stack.kubernetes;
    const user = await stack.kubernetes.claimUser();
    const namespace = await stack.kubernetes.createNamespace();
    const mark = await audit.mark();
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'one' } };
    await stack.kubernetes.request('GET', path, undefined, { user });
    await stack.kubernetes.request('POST', path, body, { user });
    const writes = await audit.writes(user, mark);
    assert.deepEqual(
      writes.map(({ verb, resource, status }) => [verb, resource, status]),
      [['create', 'configmaps', 201]],
    );
    assert.equal((await audit.read(user, mark)).length, 2);
  });

  test('a small quota of the project makes Glance respond with 413', async () => {
    const small = await stack.openstack.createProject('small');
    await small.createImage({}, Buffer.alloc(2 * mib));
    await small.setLimit('image_size_total', 1);
    const { id } = await small.createImage();
    assert.equal((await small.image('PUT', `/v2/images/${id}/file`, Buffer.alloc(mib))).status, 413);
  });

  test('Glance stores a body without a declared length completely', async () => {
    const body = generated(3 * mib + 17);
    const { id } = await project.createImage();
    (await project.image('PUT', `/v2/images/${id}/file`, Readable.from(pieces(body)))).ok();
    const image = await project.getImage(id);
    assert.equal(image.size, body.size);
    assert.equal(image.os_hash_value, digestOf(body, 'sha512'));
  });

  test('generated images pass the inspection of Glance, and one with a backing file does not', async () => {
    const upload = async (format: string, data: Buffer) => {
      const { id } = await project.createImage({ disk_format: format });
      const { status } = await project.image('PUT', `/v2/images/${id}/file`, data);
      return { status, virtualSize: (await project.getImage(id)).virtual_size };
    };
    assert.deepEqual(await upload('qcow2', qcow2(5 * 1024 ** 3, { dataClusters: 3 })), {
      status: 204,
      virtualSize: 5 * 1024 ** 3,
    });
    for (const image of [raw(mib), mbr(), gpt()]) assert.equal((await upload('raw', image)).status, 204);
    assert.equal((await upload('qcow2', qcow2(mib, { backingFile: '/etc/passwd' }))).status, 415);
    assert.equal((await upload('qcow2', qcow2(mib, { dataFile: '/etc/passwd' }))).status, 415);
  });

  test('the proxy drops a response after the server has completed the request', async () => {
    await using proxy = await startProxy({ url: stack.openstack.imageUrl });
    proxy.on({ matches: changesSomething, fault: { kind: 'loseAnswer' }, times: 1 });
    const headers = { 'x-auth-token': await project.token() };
    const name = `lost-${crypto.randomUUID()}`;
    await assert.rejects(ask('POST', `${proxy.url}/v2/images`, { headers, body: { name } }));
    assert.equal((await project.listImages()).filter((image) => image.name === name).length, 1);
    assert.equal(proxy.requests.at(-1)?.status, 201);
    (await ask('GET', `${proxy.url}/v2/images`, { headers })).ok();
  });

  test('web-download fetches from a source on one of the ports that Glance allows', async () => {
    const source = await startSource({ ports: stack.sourcePorts });
    try {
      const data = raw(mib);
      const uri = source.add('/image.raw', { body: data });
      const { id } = await project.createImage();
      const method = { name: 'web-download', uri };
      (await project.image('POST', `/v2/images/${id}/import`, { method })).ok();
      const image = await eventually(
        async () => {
          const now = await project.getImage(id);
          return now.status === 'active' && now;
        },
        () => `${id} is not active`,
      );
      assert.equal(image.size, data.length);
    } finally {
      await source.stop();
    }
  });
});

describe('the source', () => {
  test('the source resets at a byte once, and then serves the rest by Range', async () => {
    const source = await startSource();
    try {
      const body = generated(mib);
      const url = source.add('/file', { body, fault: { kind: 'resetAt', byte: 1000 }, times: 1 });
      await assert.rejects(ask('GET', url));
      const rest = await ask('GET', url, { headers: { range: 'bytes=1000-' } });
      assert.equal(rest.status, 206);
      assert.equal(rest.headers['content-range'], `bytes 1000-${mib - 1}/${mib}`);
      assert.deepEqual(rest.bytes, body.slice(1000, mib));
      assert.deepEqual(
        source.requests.map((request) => request.range),
        [undefined, 'bytes=1000-'],
      );
    } finally {
      await source.stop();
    }
  });

  test('a changed entity tag makes a request with If-Range start from the beginning', async () => {
    const source = await startSource();
    try {
      const url = source.add('/file', { body: raw(5000), etag: '"two"' });
      const headers = { range: 'bytes=100-', 'if-range': '"one"' };
      assert.equal((await ask('GET', url, { headers })).status, 200);
      assert.equal((await ask('GET', url, { headers: { ...headers, 'if-range': '"two"' } })).status, 206);
    } finally {
      await source.stop();
    }
  });

  test('a gate holds the body back until it is released', async () => {
    const source = await startSource();
    try {
      const gate = Promise.withResolvers<void>();
      const url = source.add('/file', { body: raw(5000), gate: { at: 2000, released: gate.promise } });
      const answer = ask('GET', url);
      const request = await source.requested('/file');
      while (request.sent < 2000) await sleep(5);
      assert.equal(request.sent, 2000);
      gate.resolve();
      assert.equal((await answer).bytes.length, 5000);
    } finally {
      await source.stop();
    }
  });
});
