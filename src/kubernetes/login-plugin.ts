/**
 * Programs that supply the login of a kubeconfig (`exec`). client-node runs them too, but leaves them running, with an input that never
 * ends, and without the cluster: https://github.com/kubernetes-client/javascript/blob/main/src/exec_auth.ts.
 *
 * Guarantees: a program ends with the signal, or when its time is up; its input is empty; its output is bounded; its result is used until
 * it expires.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import type { KubeConfig, User } from '@kubernetes/client-node';
import * as z from 'zod';
import { readBounded } from '../http/body.ts';
import { abortable, withDeadline } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { describe, errorCode } from '../lib/errors.ts';
import { parseBounded } from '../lib/json.ts';

export interface PluginRun {
  /** Ends the programs that have not ended. */
  signal: AbortSignal;
  /** No user can respond to a program, which gets no terminal. Otherwise its messages are shown to the user while it runs. */
  isUnattended: boolean;
  clock: Clock;
  /** The cluster of the current context, for the programs that need it. */
  cluster(): object;
}

const provider = 'login-plugin';
const largestOutput = 2 ** 20;
/** Enough for a user who logs in with a browser. All requests wait for a program, so one that hangs would stop all of them. */
const longestRunMs = 300_000;

const pluginSchema = z.object({
  apiVersion: z.string().default('client.authentication.k8s.io/v1'),
  command: z.string().min(1),
  args: z.array(z.string()).nullish(),
  env: z.array(z.object({ name: z.string(), value: z.string() })).nullish(),
  installHint: z.string().nullish(),
  provideClusterInfo: z.boolean().nullish(),
  interactiveMode: z.string().nullish(),
});
type Plugin = z.infer<typeof pluginSchema>;

const resultSchema = z.object({
  apiVersion: z.string().nullish(),
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
        before !== undefined && isValid(before, run.clock.now())
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

async function resultOf(plugin: Plugin, run: PluginRun): Promise<Result> {
  const { apiVersion, command } = plugin;
  if (plugin.interactiveMode === 'Always')
    throw new Error(`${command} needs a terminal for its input (interactiveMode: Always), which is not supported`);
  const text = await withDeadline(run.clock, command, longestRunMs, run.signal, (over) => outputOf(plugin, run, over));
  const result = parseBounded(resultSchema, text, largestOutput);
  if (result === undefined) throw new Error(`${command} printed no credentials`);
  if ((result.apiVersion ?? apiVersion) !== apiVersion)
    throw new Error(`${command} printed version ${result.apiVersion}, and the kubeconfig names ${apiVersion}`);
  const { token, clientCertificateData: cert, clientKeyData: key } = result.status;
  if (!token && !(cert && key)) throw new Error(`${command} printed neither a token nor a certificate with its key`);
  if (!cert !== !key) throw new Error(`${command} printed only one of a certificate and its key`);
  return result.status;
}

async function outputOf(plugin: Plugin, run: PluginRun, signal: AbortSignal): Promise<string> {
  const { apiVersion, command, args, env } = plugin;
  const given = Object.fromEntries((env ?? []).map(({ name, value }) => [name, value]));
  const spec = { interactive: false, ...(plugin.provideClusterInfo ? { cluster: run.cluster() } : {}) };
  const child = spawn(command, args ?? [], {
    // A program chooses the version of its output by this variable, as kubectl sets it.
    env: {
      ...process.env,
      ...given,
      KUBERNETES_EXEC_INFO: JSON.stringify({ apiVersion, kind: 'ExecCredential', spec }),
    },
    stdio: ['ignore', 'pipe', run.isUnattended ? 'pipe' : 'inherit'],
    // It leads a session of its own, which has no terminal.
    detached: run.isUnattended,
  });
  const stop = () => end(child, run.isUnattended);
  signal.addEventListener('abort', stop, { once: true });
  try {
    const ended = Promise.all([
      readBounded(child.stdout ?? Readable.from([]), largestOutput),
      readBounded(child.stderr ?? Readable.from([]), largestOutput),
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
    return output.bytes.toString('utf8');
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    const hint = plugin.installHint?.trim().replace(/\s+/g, ' ');
    throw new Error(`${command}, which the kubeconfig names, was not found${hint ? `: ${hint}` : ''}`, {
      cause: error,
    });
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** At once: a program that ignores a friendlier signal may be the one that hangs. */
function end({ pid, exitCode, signalCode }: ChildProcess, isGroup: boolean): void {
  if (pid !== undefined && exitCode === null && signalCode === null) process.kill(isGroup ? -pid : pid, 'SIGKILL');
}
