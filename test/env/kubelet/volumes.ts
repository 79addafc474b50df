/**
 * The volumes and variables of a container, in a directory of its own. A process has no file system of its own, so the paths of
 * the Pod that stand in its command, arguments and variables are replaced by those below the directory.
 *
 * Guarantees: while an object that the Pod names is missing, nothing is started.
 */
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { kubeconfig } from '../kubeconfig.ts';
import type { Kubernetes } from '../kubernetes.ts';
import { isRoot } from '../parts.mjs';
import type { Container, Pod, Projection, Volume } from './pod.ts';

const objectSchema = z.object({
  data: z.record(z.string(), z.string()).default({}),
  binaryData: z.record(z.string(), z.string()).default({}),
});
const tokenSchema = z.object({ status: z.object({ token: z.string() }) });

/** Something that the Pod names is not there yet. */
export class NotMounted extends Error {}

interface File {
  path: string;
  data: Buffer;
  mode?: number;
  isOfUser?: true;
}

type Kind = 'secrets' | 'configmaps';

interface Named {
  name: string;
  items?: { key: string; path: string; mode?: number | undefined }[] | undefined;
  optional?: boolean | undefined;
}

async function read(kubernetes: Kubernetes, pod: Pod, kind: Kind, { name, optional }: Named) {
  const answer = await kubernetes.request('GET', `/api/v1/namespaces/${pod.metadata.namespace}/${kind}/${name}`);
  if (answer.status === 404 && optional === true) return {};
  if (answer.status === 404) throw new NotMounted(`${kind} "${name}" not found`);
  const { data, binaryData } = answer.as(objectSchema);
  const coded = kind === 'secrets' ? { ...data } : { ...binaryData };
  const plain = kind === 'secrets' ? {} : data;
  return {
    ...Object.fromEntries(Object.entries(coded).map(([name, text]) => [name, Buffer.from(text, 'base64')])),
    ...Object.fromEntries(Object.entries(plain).map(([name, text]) => [name, Buffer.from(text)])),
  };
}

async function filesOf(kubernetes: Kubernetes, pod: Pod, kind: Kind, named: Named): Promise<File[]> {
  const data: Record<string, Buffer> = await read(kubernetes, pod, kind, named);
  const items: NonNullable<Named['items']> = named.items ?? Object.keys(data).map((key) => ({ key, path: key }));
  return items.map(({ key, path, mode }) => {
    const found = data[key];
    if (found === undefined) throw new NotMounted(`${kind} "${named.name}" has no key "${key}"`);
    return { path, data: found, ...(mode === undefined ? {} : { mode }) };
  });
}

/** A token of the ServiceAccount of the Pod that is valid as long as the Pod exists. */
export async function tokenOf(kubernetes: Kubernetes, pod: Pod, request: { audience?: string | undefined } = {}) {
  const { name, namespace, uid } = pod.metadata;
  const account = pod.spec.serviceAccountName ?? 'default';
  const answer = await kubernetes.request('POST', `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: {
      expirationSeconds: 3600,
      ...(request.audience === undefined ? {} : { audiences: [request.audience] }),
      boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name, uid },
    },
  });
  if (answer.status === 404) throw new NotMounted(`serviceaccounts "${account}" not found`);
  return answer.as(tokenSchema).status.token;
}

async function projected(kubernetes: Kubernetes, pod: Pod, source: Projection): Promise<File[]> {
  const { secret, configMap, serviceAccountToken: token } = source;
  if (secret !== undefined) return filesOf(kubernetes, pod, 'secrets', secret);
  if (configMap !== undefined) return filesOf(kubernetes, pod, 'configmaps', configMap);
  if (token === undefined) return [];
  return [{ path: token.path, data: Buffer.from(await tokenOf(kubernetes, pod, token)), mode: 0o600, isOfUser: true }];
}

async function contentOf(kubernetes: Kubernetes, pod: Pod, volume: Volume): Promise<{ files: File[]; mode: number }> {
  const { secret, configMap, projected: sources } = volume;
  const mode = (secret ?? configMap ?? sources)?.defaultMode ?? 0o644;
  if (secret !== undefined)
    return { mode, files: await filesOf(kubernetes, pod, 'secrets', { ...secret, name: secret.secretName }) };
  if (configMap !== undefined) return { mode, files: await filesOf(kubernetes, pod, 'configmaps', configMap) };
  const each = await Promise.all((sources?.sources ?? []).map((source) => projected(kubernetes, pod, source)));
  return { mode, files: each.flat() };
}

export interface Identity {
  uid: number;
  gid: number;
}

/** Writes the volumes of the container and returns the directory of each path at which one is mounted. */
export async function mount(
  kubernetes: Kubernetes,
  pod: Pod,
  directory: string,
  { uid, gid }: Identity,
): Promise<Record<string, string>> {
  const [container] = pod.spec.containers;
  const group = pod.spec.securityContext?.fsGroup;
  const mounted: Record<string, string> = {};
  for (const { name, mountPath, readOnly } of container.volumeMounts) {
    const volume = pod.spec.volumes.find((each) => each.name === name);
    if (volume === undefined) throw new Error(`the Pod has no volume ${name}`);
    const { files, mode } = await contentOf(kubernetes, pod, volume);
    const folder = join(directory, mountPath);
    mkdirSync(folder, { recursive: true });
    for (const file of files) write(join(folder, file.path), { mode, ...file }, { uid, group });
    const isWritable = volume.emptyDir !== undefined && readOnly !== true;
    if (isWritable && isRoot) chownSync(folder, uid, gid);
    if (!isWritable) chmodSync(folder, 0o555);
    mounted[mountPath] = folder;
  }
  return mounted;
}

/** The files of a volume belong to root and to the group of the Pod, which may read them. Without one, a token belongs to the user. */
function write(
  path: string,
  file: File & { mode: number },
  { uid, group }: { uid: number; group: number | undefined },
) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, file.data);
  chmodSync(path, group === undefined ? file.mode : file.mode | 0o440);
  if (isRoot && group !== undefined) chownSync(path, 0, group);
  if (isRoot && group === undefined && file.isOfUser) chownSync(path, uid, 0);
}

/** The variables of the container, and how its programs reach the API server if the Pod mounts a token by default. */
export async function variables(kubernetes: Kubernetes, pod: Pod, directory: string, { uid, gid }: Identity) {
  const [container] = pod.spec.containers;
  const { hostname, port } = new URL(kubernetes.server);
  const found: Record<string, string> = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
  if (pod.spec.automountServiceAccountToken !== false && pod.spec.serviceAccountName !== undefined) {
    const file = join(directory, 'kubeconfig');
    const { server, caPem: ca } = kubernetes;
    const token = await tokenOf(kubernetes, pod);
    writeFileSync(file, kubeconfig({ server, ca, token, namespace: pod.metadata.namespace }), { mode: 0o400 });
    if (isRoot) chownSync(file, uid, gid);
    found['KUBECONFIG'] = file;
  }
  for (const variable of container.env) {
    const value = await readVariable(kubernetes, pod, variable);
    if (value !== undefined) found[variable.name] = value;
  }
  return found;
}

async function readVariable(kubernetes: Kubernetes, pod: Pod, { value, valueFrom }: Container['env'][number]) {
  const { fieldRef, secretKeyRef: secret, configMapKeyRef: configMap } = valueFrom ?? {};
  const reference = secret ?? configMap;
  if (reference !== undefined) {
    const data: Record<string, Buffer> = await read(kubernetes, pod, secret ? 'secrets' : 'configmaps', reference);
    const found = data[reference.key]?.toString();
    if (found === undefined && reference.optional !== true) throw new NotMounted(`no key "${reference.key}"`);
    return found;
  }
  switch (fieldRef?.fieldPath) {
    case 'metadata.name':
      return pod.metadata.name;
    case 'metadata.namespace':
      return pod.metadata.namespace;
    case 'metadata.uid':
      return pod.metadata.uid;
    case 'spec.nodeName':
      return pod.spec.nodeName ?? '';
    case undefined:
      return value ?? '';
  }
}

/** The text with the paths of the Pod replaced by those of this machine. A longer path counts before one that it begins with. */
export function withPaths(text: string, paths: Readonly<Record<string, string>>): string {
  const longestFirst = Object.keys(paths).sort((a, b) => b.length - a.length);
  const found = longestFirst.map((path) => path.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|');
  if (found === '') return text;
  return text.replaceAll(new RegExp(`(?<![\\w./-])(?:${found})(?=$|[^\\w.-])`, 'g'), (path) => paths[path] ?? path);
}
