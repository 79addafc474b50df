import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { z } from 'zod';
import packageJson from '../../package.json' with { type: 'json' };
import packageLock from '../../package-lock.json' with { type: 'json' };
import { repository } from '../../release/notes.ts';
import { raw } from '../env/images.ts';
import { digestOf } from '../operator/digest.ts';
import type { Operator } from '../operator/operator.ts';
import { World } from '../operator/world.ts';
import { ofKind, render } from '../rbac/chart.ts';
import { requestToken } from '../rbac/service-account.ts';
import { compressors } from '../source/decompress/files.ts';
import { confinementOf, noContainers, startContainer } from './container.ts';
import { parseDockerfile } from './dockerfile.ts';
import { podOf } from './pod.ts';
import { buildRoot, filesOf, type ImageRoot, readStages } from './root.ts';

const mib = 2 ** 20;

describe('the Dockerfile', () => {
  test('the Dockerfile pins every base by digest, and Node to the version of the tests', async () => {
    const stages = await readStages();
    for (const { base } of stages) assert.match(base, /^[a-z0-9./-]+:[\w.-]+@sha256:[0-9a-f]{64}$/);
    const versions = stages.flatMap(({ base }) => /^node:([\d.]+)-/.exec(base)?.[1] ?? []);
    assert.deepEqual([...new Set(versions)], [packageJson.devDependencies.node]);
  });

  test('the Dockerfile runs no command on the target platform, so that it needs no emulation', async () => {
    for (const { runs, platform } of await readStages()) assert.ok(runs.length === 0 || platform === '$BUILDPLATFORM');
  });

  test('the Dockerfile installs from a lock file with the native library for every platform', () => {
    const packages: Record<string, { version?: string; integrity?: string }> = packageLock.packages;
    for (const cpu of ['x64', 'arm64']) {
      const found = packages[`node_modules/@napi-rs/lzma-linux-${cpu}-gnu`];
      assert.equal(found?.version, packageJson.dependencies['@napi-rs/lzma'], cpu);
      assert.match(found?.integrity ?? '', /^sha512-/);
    }
  });

  test('the Dockerfile ends with a numeric user and a command without a shell', async () => {
    const last = (await readStages()).at(-1);
    assert.match(last?.user ?? '', /^[1-9]\d+:[1-9]\d+$/);
    assert.deepEqual(last?.entrypoint.slice(1), ['/app/dist/glance-image-operator.js']);
    const options = '--max-old-space-size-percentage=60 --max-semi-space-size=8 --disable-sigusr1';
    const memory = { MALLOC_ARENA_MAX: '1', MALLOC_MMAP_THRESHOLD_: '131072' };
    assert.deepEqual(last?.env, { NODE_OPTIONS: options, ...memory });
  });

  test('SIGUSR1 opens no debugger in a process with the environment of the image', async () => {
    const env = (await readStages()).at(-1)?.env;
    const program = `process.on('message', () => process.disconnect()); process.send('up')`;
    const child = spawn(process.execPath, ['--eval', program], { env, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    assert.ok(child.stderr !== null);
    const stderr = text(child.stderr);
    await once(child, 'message');
    child.kill('SIGUSR1');
    // The signal is handled before the message, or while the process ends, which waits for a debugger's first line.
    child.send('end');
    await once(child, 'close');
    assert.doesNotMatch(await stderr, /Debugger/);
    assert.equal(child.exitCode, 0);
  });

  test('the image contains the licence of Node', async () => {
    const copies = (await readStages()).at(-1)?.copies ?? [];
    assert.ok(copies.some(({ from, sources }) => from === 'node' && sources.includes('/usr/local/LICENSE')));
  });

  test('the image has labels with its title and its source', async () => {
    const labels = (await readStages()).at(-1)?.labels;
    assert.equal(labels?.['org.opencontainers.image.licenses'], packageJson.license);
    assert.equal(labels?.['org.opencontainers.image.source'], `https://github.com/${repository}`);
    assert.deepEqual(
      Object.keys(labels ?? {})
        .map((label) => label.replace(/.*\./, ''))
        .sort(),
      ['description', 'licenses', 'revision', 'source', 'title', 'version'],
    );
  });

  test('the parser rejects unknown instructions in a Dockerfile', () => {
    for (const line of ['ADD a b', 'COPY --chmod=755 a b', 'CMD node x', 'ENTRYPOINT node x', 'ENV A b']) {
      assert.throws(() => parseDockerfile(`FROM a\n${line}`), Error, `${line} was taken`);
    }
  });
});

describe('the image', { skip: noContainers }, () => {
  let image: ImageRoot;
  let world: World;
  before(async () => {
    world = await World.create({ idle: true });
    image = await buildRoot(world.stack.directory);
  });
  after(() => world[Symbol.asyncDispose]());

  test('the image contains Node, the three programs, their native library and OpenPGP.js, and no build tools', async () => {
    const files = await filesOf(join(image.directory, 'app'));
    const own = files.filter((file) => !file.startsWith('node_modules/@napi-rs/lzma'));
    const programs = ['LICENSES', 'bzip2-thread.js', 'glance-image-operator.js', 'transfer-thread.js'].map(
      (file) => `dist/${file}`,
    );
    const openPGP = ['LICENSE', 'dist/node/openpgp.mjs', 'package.json'].map((file) => `node_modules/openpgp/${file}`);
    assert.deepEqual(own.sort(), ['LICENSE', ...programs, ...openPGP, 'package.json']);
    assert.equal(files.filter((file) => file.endsWith('.node')).length, 1);
    const elsewhere = (await filesOf(image.directory)).filter(
      (file) => !file.startsWith('app/') && !file.includes('.so'),
    );
    assert.deepEqual(elsewhere.sort(), ['usr/local/bin/node', 'usr/local/share/doc/node/LICENSE']);
    const licences = await readFile(join(image.directory, 'app/dist/LICENSES'), 'utf8');
    assert.match(licences, /GNU LESSER GENERAL PUBLIC LICENSE/);
    assert.match(licences, /tokio [\d.]+\n *Copyright \(c\) Tokio Contributors/);
    const sizes = await Promise.all(files.map(async (file) => (await stat(join(image.directory, 'app', file))).size));
    const size = sizes.reduce((sum, bytes) => sum + bytes, 0);
    assert.ok(size < 12 * mib, `${(size / mib).toFixed(1)} MiB in addition to Node`);
  });

  test('the image runs without arguments as an arbitrary user, transfers an xz file, and writes nothing to its disk', async () => {
    const { kubernetes } = world.stack;
    const account = { namespace: world.namespace, name: 'operator' };
    for (const object of mayEverything(account)) await kubernetes.apply(JSON.stringify(object));
    const before = await image.snapshot(['/var']);
    world.operator = await startContainer({
      image,
      server: kubernetes.server,
      serviceAccount: { ...account, token: await requestToken(kubernetes, account), ca: kubernetes.caPem },
      env: {
        GLANCE_IMAGE_OPERATOR_NAMESPACES: world.namespace,
        GLANCE_IMAGE_OPERATOR_SOURCE_ALLOW: '127.0.0.0/8',
        GLANCE_IMAGE_OPERATOR_CLOUD_ALLOW: '127.0.0.0/8',
        GLANCE_IMAGE_OPERATOR_HEALTH_ADDRESS: '127.0.0.1:0',
      },
    });
    assert.deepEqual(await confinementOf(world.operator.pid), {
      uid: 65532,
      gid: 65532,
      groups: [],
      capabilities: 0n,
      noNewPrivileges: true,
    });
    const body = raw(mib);
    const compressed = compressors.xz(body);
    const url = world.source.add('/disk.raw.xz', { body: compressed });
    const content = { http: { url, digest: digestOf(compressed) } };
    await world.apply('from-xz', { image: { diskFormat: 'raw' }, content });
    const { status } = await world.ready('from-xz');
    assert.equal(status.image?.size, body.length);
    process.kill(world.operator.pid, 'SIGUSR1');
    await world.delete('from-xz');
    await world.gone('from-xz');
    assert.equal(await world.operator.stop(), 0, world.operator.log.join('\n'));
    assert.ok(!world.operator.log.some((line) => line.includes('Debugger')), 'SIGUSR1 opens no debugger');
    assert.deepEqual(await image.snapshot(['/var']), before);
  });

  test('the image runs as in the Deployment of the chart, and its probes succeed', async () => {
    const { kubernetes } = world.stack;
    const namespace = await kubernetes.createNamespace('operator');
    const values = {
      fullnameOverride: namespace,
      watchNamespaces: [world.namespace],
      healthPort: await freePort(),
      settings: { clusterName: namespace, sourceAllow: ['127.0.0.0/8'], cloudAllow: ['127.0.0.0/8'] },
      transferLimits: { total: 3 },
    };
    const objects = await render(kubernetes, { release: 'r', namespace, values });
    const items = ofKind(objects, 'ServiceAccount', 'Role', 'RoleBinding');
    await kubernetes.apply(JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    const { args, env, files, probes, serviceAccount: name } = podOf(objects, namespace);
    const token = await requestToken(kubernetes, { namespace, name });
    world.operator = await startContainer({
      image,
      server: kubernetes.server,
      serviceAccount: { namespace, token, ca: kubernetes.caPem },
      args,
      env,
      files,
    });
    await world.apply('of-the-pod', {});
    await world.ready('of-the-pod');
    assertHeapFollowsMemory(world.operator);
    assert.ok(
      world.operator.log.some((line) => line.includes('"total":3')),
      'the operator has read its limits',
    );
    for (const url of probes) assert.equal((await fetch(url)).status, 200, url);
    assert.equal(await world.operator.stop(), 0, world.operator.log.join('\n'));
  });
});

/** By NODE_OPTIONS of the image. A root without /sys shows no limit of a container, so that it is a share of the machine. */
function assertHeapFollowsMemory({ log }: Operator): void {
  const line = log.find((each) => each.includes('"msg":"Memory limits"')) ?? '{}';
  const { heapMiB } = z.object({ heapMiB: z.number() }).parse(JSON.parse(line));
  const share = (heapMiB * mib) / totalmem();
  assert.ok(share > 0.55 && share < 0.65, `the heap may have ${Math.round(share * 100)} % of the memory`);
}

/** One that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  await promisify(server.close.bind(server))();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

function mayEverything({ namespace, name }: { namespace: string; name: string }): object[] {
  const apiGroup = 'rbac.authorization.k8s.io';
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace, name } },
    {
      apiVersion: `${apiGroup}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: { name: `${namespace}-${name}` },
      roleRef: { apiGroup, kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ kind: 'ServiceAccount', namespace, name }],
    },
  ];
}
