/**
 * Where the API server is and what authenticates a request to it, read by client-node from a kubeconfig or the Pod's
 * ServiceAccount: static tokens, exec plugins, OIDC, token files, client certificates. Invariant: nothing is cached here;
 * each call returns what is valid now.
 */
import { existsSync, readFileSync } from 'node:fs';
import type { RequestOptions as HttpsOptions } from 'node:https';
import { delimiter, dirname, join, resolve } from 'node:path';
import { type Cluster, KubeConfig, type User } from '@kubernetes/client-node';
import { parseDocument } from 'yaml';
import * as z from 'zod';
import { neverAborted } from '../lib/abort.ts';
import { systemClock } from '../lib/clock.ts';
import { compact } from '../lib/compact.ts';
import { describe, describeFileError, errorCode } from '../lib/errors.ts';
import { valueHash } from '../lib/hash.ts';
import { KubernetesError } from './errors.ts';
import { createPlugins, type PluginRun, withPlugin } from './login-plugin.ts';

export interface ApiCredentials {
  headers: Record<string, string | string[]>;
  tls: Pick<HttpsOptions, 'ca' | 'cert' | 'key' | 'pfx' | 'passphrase' | 'servername' | 'rejectUnauthorized'>;
  /** Differs when `tls` differs: then open connections cannot be used for new calls. */
  fingerprint: string;
}

/** Where an API server is, without a login. */
export interface ApiServer {
  server: string;
  /** PEM. Default: the certificates of the system. */
  ca?: string;
}

/** A login by the token in a file, which is read again. */
export interface TokenLogin extends ApiServer {
  tokenFile: string;
}

/** The API server of a kubeconfig, for another program. Throws KubeconfigInvalid. */
export function apiServerOf(config: KubeConfig): ApiServer {
  const { server, caData, caFile } = clusterOf(config);
  if (caData) return { server, ca: Buffer.from(caData, 'base64').toString() };
  return caFile ? { server, ca: readFileSync(caFile, 'utf8') } : { server };
}

/** Of the current context. Throws KubeconfigInvalid. */
export function clusterOf(config: KubeConfig): Cluster {
  const cluster = config.getCurrentCluster();
  if (cluster !== null) return cluster;
  throw invalidKubeconfig(
    config.getCurrentContext() ? 'its current context names no cluster' : 'it has no current context',
  );
}

function withToken({ server, ca, tokenFile }: TokenLogin): KubeConfig {
  const config = new KubeConfig();
  config.loadFromClusterAndUser(
    {
      name: 'cluster',
      server,
      skipTLSVerify: false,
      ...(ca === undefined ? {} : { caData: Buffer.from(ca).toString('base64') }),
    },
    { name: 'token', authProvider: { name: 'tokenFile', config: { tokenFile } } },
  );
  return config;
}

/**
 * Throws KubeconfigInvalid. Without a `file`: KUBECONFIG, then ~/.kube/config, then the Pod's ServiceAccount. `context`: instead of
 * the current one.
 */
export function loadKubeconfig(
  file: string | TokenLogin | undefined,
  context?: string,
  plugins: Omit<PluginRun, 'cluster'> = { signal: neverAborted(), isUnattended: false, clock: systemClock },
): KubeConfig {
  if (typeof file === 'object') return withToken(file);
  const config = file === undefined ? loadDefault() : loadFile(file);
  config.addAuthenticator(createPlugins({ ...plugins, cluster: () => clusterForPlugin(clusterOf(config)) }));
  // `kubectl proxy` and the like: without TLS there is nothing to verify, and client-node requires that to be stated.
  config.clusters = config.clusters.map((each) =>
    each.server.startsWith('http:') ? { ...each, skipTLSVerify: true } : each,
  );
  if (context !== undefined) {
    if (config.getContextObject(context) === null) throw invalidKubeconfig(`it has no context ${context}`);
    config.setCurrentContext(context);
  }
  return config;
}

/** Nothing but blank lines, comments and the beginning of a document. */
const empty = /^(?:[ \t]*(?:#[^\n]*|---[ \t]*)?(?:\r?\n|$))*$/;

/** For kubectl an empty file is a kubeconfig without entries. */
function loadFile(file: string): KubeConfig {
  const config = new KubeConfig();
  try {
    const text = readFileSync(file, 'utf8');
    if (empty.test(text)) config.loadFromOptions({ clusters: [], users: [], contexts: [], currentContext: '' });
    else config.loadFromString(text);
    config.makePathsAbsolute(dirname(file));
    config.clusters = withPluginConfigs(config.clusters, text).map(withoutSpareFile);
    config.users = withTokenFiles(config.users, text, dirname(file)).map((user) =>
      withoutSpareFiles(withPlugin(user, dirname(file))),
    );
    config.users = withImpersonation(config.users, text);
  } catch (error) {
    throw invalidKubeconfig(`${file}: ${problemOf(error)}`, error);
  }
  return config;
}

const userSchema = z.object({ name: z.string(), user: z.object({ tokenFile: z.string().min(1) }) });

/** The library does not know `tokenFile`, which takes precedence over `token`, and reads a token file that is given in another way. */
function withTokenFiles(users: readonly User[], text: string, folder: string): User[] {
  if (!text.includes('tokenFile')) return [...users];
  const content = z.object({ users: z.array(z.unknown()) }).safeParse(parseDocument(text).toJS());
  const files = (content.data?.users ?? []).flatMap((one) => userSchema.safeParse(one).data ?? []);
  return users.map((user) => {
    const file = files.find(({ name }) => name === user.name)?.user.tokenFile;
    if (file === undefined) return user;
    const { token: _, ...others } = user;
    return { ...others, authProvider: { name: 'tokenFile', config: { tokenFile: resolve(folder, file) } } };
  });
}

const impersonationSchema = z.object({
  name: z.string(),
  user: z.object({
    'as-groups': z.array(z.string()).nullish(),
    'as-uid': z.string().nullish(),
    'as-user-extra': z.record(z.string(), z.array(z.string())).nullish(),
  }),
});
type Headers = ApiCredentials['headers'];
type Impersonating = User & { impersonation: Headers };

/** The library knows the name of an impersonated user only, who would have fewer rights than with kubectl. */
function withImpersonation(users: readonly User[], text: string): User[] {
  if (!/\bas-(?:groups|uid|user-extra)\b/.test(text)) return [...users];
  const content = z.object({ users: z.array(z.unknown()) }).parse(parseDocument(text).toJS());
  return users.map((user, index): User => {
    const {
      'as-groups': groups,
      'as-uid': uid,
      'as-user-extra': extra,
    } = impersonationSchema.parse(content.users[index]).user;
    const extras = Object.entries(extra ?? {}).map(([key, values]) => [
      `impersonate-extra-${encodeURIComponent(key.toLowerCase()).toLowerCase()}`,
      values,
    ]);
    const impersonation = {
      ...(groups ? { 'impersonate-group': groups } : {}),
      ...(uid ? { 'impersonate-uid': uid } : {}),
    };
    const impersonating: Impersonating = {
      ...user,
      impersonation: { ...impersonation, ...Object.fromEntries(extras) },
    };
    return impersonating;
  });
}

function impersonationOf(user: User | null): Headers {
  return user !== null && isImpersonating(user) ? user.impersonation : {};
}

function isImpersonating(user: User): user is Impersonating {
  return 'impersonation' in user;
}

/** Data counts before a file, as for kubectl; the library does it the other way round. */
function withoutSpareFile({ caFile, ...cluster }: Cluster): Cluster {
  return caFile && !cluster.caData ? { ...cluster, caFile } : cluster;
}

function withoutSpareFiles({ certFile, keyFile, ...user }: User): User {
  return {
    ...user,
    ...(certFile && !user.certData ? { certFile } : {}),
    ...(keyFile && !user.keyData ? { keyFile } : {}),
  };
}

const pluginConfig = 'client.authentication.k8s.io/exec';
const clusterSchema = z.object({
  name: z.string(),
  cluster: z.object({ extensions: z.array(z.object({ name: z.string(), extension: z.unknown() })) }),
});

/** The library does not know extensions, which can hold what a cluster has for exec plugins. */
function withPluginConfigs(clusters: readonly Cluster[], text: string): Cluster[] {
  if (!text.includes(pluginConfig)) return [...clusters];
  const content = z.object({ clusters: z.array(z.unknown()) }).safeParse(parseDocument(text).toJS());
  const found = (content.data?.clusters ?? []).flatMap((one) => clusterSchema.safeParse(one).data ?? []);
  return clusters.map((cluster) => {
    const { extensions = [] } = found.find(({ name }) => name === cluster.name)?.cluster ?? {};
    const config = extensions.find(({ name }) => name === pluginConfig)?.extension;
    return config === undefined ? cluster : { ...cluster, [pluginConfig]: config };
  });
}

/** https://kubernetes.io/docs/reference/config-api/client-authentication.v1/#client-authentication-k8s-io-v1-Cluster */
function clusterForPlugin(cluster: Cluster): object {
  const { server, tlsServerName, skipTLSVerify, caData, caFile, proxyUrl } = cluster;
  return compact({
    server,
    'tls-server-name': tlsServerName,
    'insecure-skip-tls-verify': skipTLSVerify || undefined,
    'certificate-authority-data': caData || !caFile ? caData : readFileSync(caFile).toString('base64'),
    'proxy-url': proxyUrl,
    config: pluginConfig in cluster ? cluster[pluginConfig] : undefined,
  });
}

function loadPresent(file: string): KubeConfig[] {
  try {
    return [loadFile(file)];
  } catch (error) {
    if (error instanceof KubernetesError && errorCode(error.cause) === 'ENOENT') return [];
    throw error;
  }
}

/**
 * As kubectl reads KUBECONFIG: of several files, the first counts that has an entry, or a current context, and files that do not exist are
 * left out. The library takes the last current context, which may be one of another cluster. If none exists, the first is an error.
 */
function loadDefault(): KubeConfig {
  const { KUBECONFIG: list = '', HOME: home = '' } = process.env;
  if (list === '') {
    const usual = join(home, '.kube', 'config');
    return home !== '' && existsSync(usual) ? loadFile(usual) : loadOfPod();
  }
  const files = list.split(delimiter).filter((file) => file !== '');
  const [first] = files;
  if (first === undefined) throw invalidKubeconfig('the variable KUBECONFIG names no file');
  const all = files.flatMap(loadPresent);
  if (all.length === 0) return loadFile(first);
  const merged = new KubeConfig();
  merged.loadFromOptions({
    clusters: firstByName(all.flatMap(({ clusters }) => clusters)),
    users: firstByName(all.flatMap(({ users }) => users)),
    contexts: firstByName(all.flatMap(({ contexts }) => contexts)),
    currentContext: all.map((one) => one.getCurrentContext()).find((name) => name),
  });
  return merged;
}

/** Outside of a Pod: the address that kubectl also takes then. */
function loadOfPod(): KubeConfig {
  const config = new KubeConfig();
  config.loadFromDefault();
  return config;
}

function firstByName<T extends { name: string }>(entries: readonly T[]): T[] {
  return entries.filter(({ name }, index) => entries.findIndex((one) => one.name === name) === index);
}

/** A parser quotes the lines around its error, and they can hold a token: only its reason and the place are shown. */
function problemOf(error: unknown): string {
  if (error instanceof TypeError) return 'it is not a kubeconfig';
  const reason = error instanceof Error && 'reason' in error ? error.reason : undefined;
  const mark = error instanceof Error && 'mark' in error ? error.mark : undefined;
  if (typeof reason !== 'string') return describeFileError(error).split('\n', 1)[0] ?? '';
  const line = typeof mark === 'object' && mark !== null && 'line' in mark ? mark.line : undefined;
  return typeof line === 'number' ? `${reason} at line ${line + 1}` : reason;
}

export function invalidKubeconfig(problem: string, cause?: unknown): KubernetesError {
  return new KubernetesError(`The kubeconfig cannot be used: ${problem}`, {
    reason: 'KubeconfigInvalid',
    cause,
  });
}

/** Runs exec plugins, refreshes OIDC tokens and reads files as the kubeconfig says. */
export async function readCredentials(config: KubeConfig): Promise<ApiCredentials> {
  const found: HttpsOptions = {};
  try {
    await config.applyToHTTPSOptions(found);
  } catch (error) {
    throw new KubernetesError(`The credentials for the API server could not be read: ${describe(error)}`, {
      reason: 'CredentialsUnavailable',
      cause: error,
    });
  }
  const headers: Headers = { ...impersonationOf(config.getCurrentUser()) };
  // Token files may end in a newline, which a header must not contain.
  for (const [name, value] of Object.entries(found.headers ?? {})) headers[name.toLowerCase()] = String(value).trim();
  if (typeof found.auth === 'string') headers['authorization'] = `Basic ${Buffer.from(found.auth).toString('base64')}`;
  const { ca, cert, key, pfx, passphrase, servername, rejectUnauthorized } = found;
  const tls = compact({ ca, cert, key, pfx, passphrase, servername, rejectUnauthorized });
  return { headers, tls, fingerprint: valueHash(tls) };
}
