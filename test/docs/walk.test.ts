/** Runs the quick start and the tutorial as written, on a cluster and a cloud of their own. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { qcow2 } from '../env/images.ts';
import type { Kubelet } from '../env/kubelet/kubelet.ts';
import type { Project } from '../env/project.ts';
import { type Source, startSource } from '../env/source.ts';
import { type Stack, startStack } from '../env/stack.ts';
import { digestOf } from '../operator/digest.ts';
import { runDeployment } from './deployment.ts';
import { readPage, root } from './pages.ts';
import { type Reader, startReader } from './reader.ts';

/** There is no container engine here. This one pushes only images that it has built from a Dockerfile. */
const docker = `#!/bin/sh
case "$1" in
  build) [ "$2" = --tag ] && [ -e "$4/Dockerfile" ] && echo "$3" >> "$HOME/.built" ;;
  push) grep -qxF "$2" "$HOME/.built" && echo "$2" >> "$HOME/.pushed" ;;
  *) exit 1 ;;
esac
`;
const publisher = 'https://download.cirros-cloud.net';
/** What the pages load, and the digests that it has there. What stands in for them has about the same size. */
const files = [
  {
    path: '/0.6.2/cirros-0.6.2-x86_64-disk.img',
    digest: '07e44a73e54c94d988028515403c1ed762055e01b83a767edf3c2b387f78ce00',
  },
  {
    path: '/0.6.3/cirros-0.6.3-x86_64-disk.img',
    digest: '7d6355852aeb6dbcd191bcda7cd74f1536cfe5cbf8a10495a7283a8396e4b75b',
  },
];

describe('a reader who does what the pages say', () => {
  const directory = mkdtempSync(join(tmpdir(), 'walk-'));
  const ended = new AbortController();
  let stack: Stack;
  let project: Project;
  let source: Source;
  let reader: Reader;
  let operator: Promise<Kubelet>;

  before(async () => {
    stack = await startStack();
    project = await stack.openstack.createProject();
    source = await startSource();
    const replacements: [string, string][] = [
      [publisher, source.url],
      ...files.map(({ path, digest }): [string, string] => {
        const body = qcow2(112 * 2 ** 20, { dataClusters: 327, seed: path });
        source.add(path, { body });
        return [digest, digestOf(body).replace('sha256:', '')];
      }),
    ];
    // The reader begins in a clone.
    for (const name of ['charts', 'Dockerfile']) symlinkSync(join(root, name), join(directory, name));
    const kubeconfig = stack.kubernetes.kubeconfig();
    reader = await startReader({ directory, kubeconfig, project, replacements, programs: { docker } });
    operator = runDeployment({
      kubernetes: stack.kubernetes,
      namespace: 'glance-image-operator-system',
      deployment: 'glance-image-operator',
      flags: ['--source-allow=127.0.0.0/8', '--cloud-allow=127.0.0.0/8'],
      signal: ended.signal,
    });
    operator.catch(() => {});
  });
  after(async () => {
    ended.abort();
    await operator.then((running) => running.stop()).catch(() => {});
    await reader[Symbol.asyncDispose]();
    await source.stop();
    await stack.stop();
    rmSync(directory, { recursive: true });
  });

  async function installedImages(): Promise<string[]> {
    const path = '-o=jsonpath={.items[*].spec.template.spec.containers[*].image}';
    const { stdout } = await stack.kubernetes.kubectl([
      'get',
      'deployments',
      '-n',
      'glance-image-operator-system',
      path,
    ]);
    return stdout.trim().split(' ');
  }

  const quickStart = readPage('docs/quick-start.md').blocks;
  const steps = quickStart.filter(({ heading }) => heading !== 'Remove it');
  const removal = quickStart.filter(({ heading }) => heading === 'Remove it');

  test('the quick start creates a verified image', { timeout: 900_000 }, async () => {
    assert.ok(removal.length > 0);
    await reader.walk(steps);
    assert.deepEqual(await installedImages(), readFileSync(join(directory, '.pushed'), 'utf8').trim().split('\n'));
    assert.deepEqual(
      (await project.listImages()).map(({ name, status }) => [name, status]),
      [['cirros', 'active']],
    );
  });

  test('the tutorial creates, edits and deletes an image', { timeout: 900_000 }, async () => {
    await reader.walk(readPage('docs/tutorial.md').blocks);
    const names = (await project.listImages()).map(({ name }) => name);
    assert.deepEqual(names.sort(), ['cirros', 'cirros-0.6.3']);
  });

  test('the removal steps of the quick start remove everything they name', {
    timeout: 900_000,
  }, async () => {
    await reader.shell.run('cd "$HOME"');
    await reader.walk(removal);
    const names = (await project.listImages()).map(({ name }) => name);
    assert.deepEqual(names, ['cirros-0.6.3']);
    const left = await stack.kubernetes.kubectl(['get', 'glanceimages', '-o', 'name']);
    assert.equal(left.stdout.trim(), 'glanceimage.glance-image-operator.dev/cirros-0.6.3');
  });
});
