/**
 * Programs that supply the login of a kubeconfig (`exec`). client-node runs them too, but leaves them running, with an input that never
 * ends: https://github.com/kubernetes-client/javascript/blob/main/src/exec_auth.ts.
 *
 * Guarantees: a program ends with the signal; its input is empty; its output is bounded; its result is used until it expires.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import type { KubeConfig, User } from '@kubernetes/client-node';
import * as z from 'zod';
import { readBounded } from '../http/body.ts';
import { abortable } from '../lib/abort.ts';
import { describe } from '../lib/errors.ts';
import { parseBounded } from '../lib/json.ts';

export interface PluginRun {
  /** Ends the programs that have not ended. */
  signal: AbortSignal;
  /** No user can respond to a program, which gets no terminal. */
  isUnattended: boolean;
  now(): Date;
}

const provider = 'login-plugin';
const largestOutput = 2 ** 20;

const pluginSchema = z.object({
  apiVersion: z.string().default('client.authentication.k8s.io/v1'),
  command: z.string().min(1),
  args: z.array(z.string()).nullish(),
  env: z.array(z.object({ name: z.string(), value: z.string() })).nullish(),
});
type Plugin = z.infer<typeof pluginSchema>;

const resultSchema = z.object({
  status: z.object({
    token: z.string().nullish(),
    clientCertificateData: z.string().nullish(),
    clientKeyData: z.string().nullish(),
    expirationTimestamp: z.string().nullish(),
  }),
});
type Result = z.infer<typeof resultSchema>['status'];

/** Of this kubeconfig. A command with a path is relative to its folder, as for kubectl. */
export function withPlugin({ exec, ...user }: User, folder: string): User {
  if (exec === undefined || exec === null) return { ...user };
  const plugin = pluginSchema.safeParse(exec);
  if (!plugin.success) throw new Error(`the exec plugin of user ${user.name}: ${describe(plugin.error)}`);
  const { command } = plugin.data;
  const found = command.includes('/') ? resolve(folder, command) : command;
  return { ...user, authProvider: { name: provider, config: { ...plugin.data, command: found } } };
}

/** Runs what `withPlugin` has found. */
export function createPlugins(run: PluginRun): Parameters<KubeConfig['addAuthenticator']>[0] {
  const known = new Map<string, Result>();
  return {
    isAuthProvider: ({ authProvider }) => authProvider?.name === provider,
    async applyAuthentication({ name, authProvider }, options) {
      const before = known.get(name);
      const result =
        before !== undefined && isValid(before, run.now())
          ? before
          : await resultOf(pluginSchema.parse(authProvider.config), run);
      known.set(name, result);
      const { token, clientCertificateData: cert, clientKeyData: key } = result;
      if (cert) options.cert = cert;
      if (key) options.key = key;
      if (token) options.headers = { ...options.headers, Authorization: `Bearer ${token}` };
    },
  };
}

function isValid({ expirationTimestamp }: Result, now: Date): boolean {
  return !expirationTimestamp || Date.parse(expirationTimestamp) > now.getTime();
}

async function resultOf(
  { apiVersion, command, args, env }: Plugin,
  { signal, isUnattended }: PluginRun,
): Promise<Result> {
  signal.throwIfAborted();
  const given = Object.fromEntries((env ?? []).map(({ name, value }) => [name, value]));
  // A program chooses the version of its output by this variable, as kubectl sets it.
  const info = JSON.stringify({ apiVersion, kind: 'ExecCredential', spec: { interactive: false } });
  const child = spawn(command, args ?? [], {
    env: { ...process.env, ...given, KUBERNETES_EXEC_INFO: info },
    stdio: ['ignore', 'pipe', 'pipe'],
    // It leads a session of its own, which has no terminal.
    detached: isUnattended,
  });
  const stop = () => end(child, isUnattended);
  signal.addEventListener('abort', stop, { once: true });
  try {
    const ended = Promise.all([
      readBounded(child.stdout, largestOutput),
      readBounded(child.stderr, largestOutput),
      once(child, 'exit'),
    ]);
    // Another program that it has started may keep its output open.
    const [output, messages, [code, by]] = await abortable(ended, signal);
    if (output.end === 'limit') throw new Error(`${command} printed more than ${largestOutput} bytes`);
    if (code !== 0) {
      const text = messages.bytes.toString('utf8').trim();
      throw new Error(
        `${command} ended ${by === null ? `with code ${code}` : `by ${by}`}${text === '' ? '' : `: ${text}`}`,
      );
    }
    const result = parseBounded(resultSchema, output.bytes.toString('utf8'), largestOutput);
    if (result === undefined) throw new Error(`${command} printed no credentials`);
    return result.status;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function end({ pid, exitCode, signalCode }: ChildProcess, isGroup: boolean): void {
  if (pid !== undefined && exitCode === null && signalCode === null) process.kill(isGroup ? -pid : pid);
}
