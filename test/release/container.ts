/**
 * The operator as a container runtime starts it: in its own root file system, as the image's user, without capabilities
 * or a way to gain them, with the token and the variables of a Pod.
 *
 * Invariant: the program finds nothing that a Pod would not have. Parts of a Pod, such as /proc and DNS, are missing.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isRoot } from '../env/parts.mjs';
import { attachOperator, type Operator } from '../operator/operator.ts';
import type { ImageRoot } from './root.ts';

export interface ContainerOptions {
  image: ImageRoot;
  /** What follows the ENTRYPOINT. */
  args?: readonly string[];
  env?: Readonly<Record<string, string>>;
  /** The content of mounted files by path. */
  files?: Readonly<Record<string, string>>;
  /** The API server, and who the Pod is there. */
  server: string;
  serviceAccount: { token: string; ca: string; namespace: string };
}

/** Why no container can be made here; undefined where it can. */
export const noContainers = mayConfine() ? undefined : 'only root may change the root and the user of a process';

function mayConfine(): boolean {
  return isRoot && spawnSync('setpriv', [...confinement('65532:65532', '/'), 'true']).status === 0;
}

function confinement(user: string, directory: string): string[] {
  return ['--no-new-privs', 'chroot', `--userspec=${user}`, '--groups=', directory];
}

const tokenFolder = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Resolves once the operator is ready. */
export async function startContainer(options: ContainerOptions): Promise<Operator> {
  const { image, args = [], env = {}, files = {}, server, serviceAccount } = options;
  const { directory, stage } = image;
  const folder = join(directory, tokenFolder);
  await mkdir(folder, { recursive: true });
  const { token, ca, namespace } = serviceAccount;
  for (const [name, text] of Object.entries({ token, 'ca.crt': ca, namespace })) {
    await writeFile(join(folder, name), text, { mode: 0o644 });
  }
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), text, { mode: 0o644 });
  }
  const { hostname, port } = new URL(server);
  const variables = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port, ...stage.env, ...env };
  const child = spawn('setpriv', [...confinement(stage.user, directory), ...stage.entrypoint, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // Programs are looked up here before the root is changed; the image's own are named in full.
    env: { ...variables, PATH: process.env['PATH'] },
  });
  return attachOperator(child);
}

export interface Confinement {
  uid: number;
  gid: number;
  groups: number[];
  /** Permitted ones. */
  capabilities: bigint;
  noNewPrivileges: boolean;
}

/** What the kernel says of a running process. */
export async function confinementOf(pid: number): Promise<Confinement> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8');
  const field = (name: string) =>
    new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(text)?.[1]?.split(/\s+/).filter(Boolean) ?? [];
  return {
    uid: Number(field('Uid')[0]),
    gid: Number(field('Gid')[0]),
    groups: field('Groups').map(Number),
    capabilities: BigInt(`0x${field('CapPrm')[0]}`),
    noNewPrivileges: field('NoNewPrivs')[0] === '1',
  };
}
