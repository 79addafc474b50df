/**
 * openstack-resource-controller as a rival: its controller, built by `node test/env/setup.mjs --rivals`, on the cluster and the cloud
 * of the bench. It uploads with the declared hash, as the operator does.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { folders, orcVersion } from '../test/env/parts.mjs';
import type { Project } from '../test/env/project.ts';
import type { Stack } from '../test/env/stack.ts';
import { eventually } from '../test/env/wait.ts';
import { cpuSecondsOf, type Figures, peakRssMiB } from './figures.ts';

export interface Orc extends AsyncDisposable {
  readonly version: string;
  /** Makes an image of the file so many times at once. */
  run(url: string, sha512: string, count: number): Promise<Omit<Figures, 'loopDelayP99Ms'>>;
}

const image = z.object({
  status: z
    .object({ conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]) })
    .default({ conditions: [] }),
});
const api = '/apis/openstack.k-orc.cloud/v1alpha1';

/** Undefined if it was not built. `authorities`: the file of those that it trusts, in place of those of the system. */
export async function startOrc({ kubernetes }: Stack, project: Project, authorities: string): Promise<Orc | undefined> {
  if (!existsSync(folders.orc)) return undefined;
  await kubernetes.apply(join(folders.orc, 'crds'));
  const namespace = await kubernetes.createNamespace();
  const secret = { metadata: { name: 'openstack' }, stringData: { 'clouds.yaml': await project.cloudsYaml() } };
  (await kubernetes.request('POST', `/api/v1/namespaces/${namespace}/secrets`, secret)).ok();
  const path = `${api}/namespaces/${namespace}/images`;
  const child = spawn(
    join(folders.orc, 'manager'),
    ['--namespace', namespace, '--health-probe-bind-address', '0', '--zap-log-level=error'],
    { env: { ...process.env, KUBECONFIG: kubernetes.kubeconfig(), SSL_CERT_FILE: authorities }, stdio: 'ignore' },
  );
  const pid = child.pid ?? 0;
  let made = 0;

  async function isDone(name: string): Promise<boolean> {
    const { status } = image.parse((await kubernetes.request('GET', `${path}/${name}`)).ok().json);
    return status.conditions.some((condition) => condition.type === 'Available' && condition.status === 'True');
  }

  return {
    version: orcVersion,
    async run(url, sha512, count) {
      const names = Array.from({ length: count }, () => `image-${++made}`);
      const before = cpuSecondsOf(pid);
      const start = performance.now();
      for (const name of names) (await kubernetes.request('POST', path, manifestOf(name, url, sha512))).ok();
      for (const name of names)
        await eventually(
          () => isDone(name),
          () => `${name} is not available`,
        );
      const figures = {
        seconds: (performance.now() - start) / 1000,
        cpuSeconds: cpuSecondsOf(pid) - before,
        peakRssMiB: peakRssMiB(pid),
      };
      for (const name of names) (await kubernetes.request('DELETE', `${path}/${name}`)).ok();
      return figures;
    },
    async [Symbol.asyncDispose]() {
      const exit = once(child, 'exit');
      child.kill();
      await exit;
    },
  };
}

function manifestOf(name: string, url: string, sha512: string): object {
  return {
    apiVersion: 'openstack.k-orc.cloud/v1alpha1',
    kind: 'Image',
    metadata: { name },
    spec: {
      cloudCredentialsRef: { secretName: 'openstack', cloudName: 'demo' },
      managementPolicy: 'managed',
      resource: {
        content: {
          diskFormat: 'raw',
          containerFormat: 'bare',
          download: { url, hash: { algorithm: 'sha512', value: sha512 } },
        },
      },
    },
  };
}
