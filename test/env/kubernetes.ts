/**
 * The cluster of a stack as tests use it: kubectl, kubeconfigs, users, namespaces, the audit log.
 *
 * Invariant: concurrent tests never share a namespace or a claimed user.
 */

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { type AuditLog, auditLog } from './audit.ts';
import { type Answer, ask } from './http.ts';
import { kubeconfig } from './kubeconfig.ts';
import { folders } from './parts.mjs';

export const kubernetesSchema = z.object({
  server: z.string(),
  ca: z.string(),
  tokens: z.record(z.string(), z.string()),
  auditLog: z.string(),
});

export interface KubectlOptions {
  /** Default `admin`. */
  user?: string;
  namespace?: string;
  /** What kubectl reads from standard input (`-f -`). */
  input?: string;
}

export interface Finished {
  stdout: string;
  stderr: string;
  /** The exit code; 255 when a signal ended it. */
  code: number;
}

export interface Kubernetes {
  /** The stack's directory. */
  readonly directory: string;
  readonly server: string;
  readonly caPem: string;
  readonly adminToken: string;
  readonly audit: AuditLog;
  token(user: string): string;
  /** The path of a kubeconfig file for this user (default `admin`), for another `server` if one is given. */
  kubeconfig(user?: string, through?: { server: string; ca?: string }): string;
  /** A user that no other test has: of the `operator` pool (cluster-admin) or the `tenant` pool (no rights yet). */
  claimUser(kind?: 'operator' | 'tenant'): Promise<string>;
  /** Runs kubectl; never throws for its exit code. */
  kubectl(args: readonly string[], options?: KubectlOptions): Promise<Finished>;
  helm(args: readonly string[], options?: KubectlOptions): Promise<Finished>;
  /** `kubectl apply -f` of a path or of YAML text; throws kubectl's own message when it fails. */
  apply(pathOrYaml: string, options?: KubectlOptions): Promise<string>;
  /** A new namespace with a name of its own, unless `name` is that of one of another cluster. */
  createNamespace(prefix?: string, name?: string): Promise<string>;
  /** One request to the API server, as admin unless another user is named. */
  request(
    method: string,
    path: string,
    body?: unknown,
    options?: { user?: string; contentType?: string },
  ): Promise<Answer>;
}

export function kubernetesOf(directory: string, plane: z.infer<typeof kubernetesSchema>): Kubernetes {
  const { server, ca } = plane;
  const files = join(directory, 'kubeconfigs');
  const claims = join(directory, 'claims');
  for (const folder of [files, claims]) mkdirSync(folder, { recursive: true });

  const token = (user: string): string => {
    const found = plane.tokens[user];
    if (found === undefined) throw new Error(`the cluster has no user ${user}`);
    return found;
  };
  const kubernetes: Kubernetes = {
    directory,
    server,
    caPem: ca,
    adminToken: token('admin'),
    audit: auditLog(plane.auditLog, (path) => kubernetes.request('GET', path)),
    token,
    kubeconfig(user = 'admin', through = { server, ca }) {
      const file = join(files, `${user}-${new URL(through.server).port}.yaml`);
      if (!existsSync(file)) writeFileSync(file, kubeconfig({ ...through, token: token(user) }), { mode: 0o600 });
      return file;
    },
    async claimUser(kind = 'operator') {
      for (let at = 0; plane.tokens[`${kind}-${at}`] !== undefined; at++) {
        const user = `${kind}-${at}`;
        const claimed = await open(join(claims, user), 'wx').catch(() => undefined);
        await claimed?.close();
        if (claimed !== undefined) return user;
      }
      throw new Error(`all ${kind} users of this stack are taken`);
    },
    kubectl: (args, options) => runTool('kubectl', args, kubernetes, options),
    helm: (args, options) => runTool('helm', args, kubernetes, options),
    async apply(pathOrYaml, options = {}) {
      const isPath = existsSync(pathOrYaml);
      const { code, stdout, stderr } = await kubernetes.kubectl(['apply', '-f', isPath ? pathOrYaml : '-'], {
        ...options,
        ...(isPath ? {} : { input: pathOrYaml }),
      });
      if (code !== 0) throw new Error(`kubectl apply failed: ${stderr}`);
      return stdout;
    },
    async createNamespace(prefix = 'test', name = `${prefix}-${randomBytes(4).toString('hex')}`) {
      const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
      (await kubernetes.request('POST', '/api/v1/namespaces', namespace)).ok();
      return name;
    },
    request(method, path, body, { user = 'admin', contentType = 'application/json' } = {}) {
      const headers = {
        authorization: `Bearer ${token(user)}`,
        ...(body === undefined ? {} : { 'content-type': contentType }),
      };
      return ask(method, `${server}${path}`, { ca, body, headers });
    },
  };
  return kubernetes;
}

function runTool(
  tool: 'kubectl' | 'helm',
  args: readonly string[],
  kubernetes: Kubernetes,
  { user = 'admin', namespace, input = '' }: KubectlOptions = {},
): Promise<Finished> {
  const where = namespace === undefined ? [] : ['--namespace', namespace];
  return new Promise((resolve, reject) => {
    const child = spawn(join(folders.tools, tool), [...where, ...args], {
      // The caches of discovery must not meet those of another cluster on the same port.
      env: {
        ...process.env,
        KUBECONFIG: kubernetes.kubeconfig(user),
        KUBECACHEDIR: join(kubernetes.directory, 'kubectl-cache'),
        HELM_CACHE_HOME: join(kubernetes.directory, 'helm-cache'),
      },
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.on('error', reject);
    child.on('close', (code) => {
      resolve({
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
        code: code ?? 255,
      });
    });
    // A kubectl that needs no input may have exited before it is written.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}
