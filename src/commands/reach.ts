/**
 * How a command for people reaches the cluster and the clouds: with the user's kubeconfig, and with the Secrets of the resources or with
 * a clouds.yaml of this machine.
 *
 * Invariants: requests obey the egress rules of the flags, as those of a transfer by hand do. Unless a command asks for it, nothing but
 * reads is sent to the API server.
 */

import type { GlanceImage } from '../api/glanceimage.ts';
import { createImageClient } from '../glance/client/index.ts';
import { createEgressPolicy } from '../http/egress.ts';
import { type Cloud, createClouds } from '../image/access/clouds.ts';
import type { AheadContext } from '../image/ahead/ahead.ts';
import type { SourceSize } from '../image/ahead/forecast.ts';
import { type CloudRef, cloudRefOf } from '../image/model/cloud-ref.ts';
import type { Content } from '../image/model/content.ts';
import { createConfigMaps } from '../image/perform/config-maps.ts';
import { createClient, type KubernetesClient } from '../kubernetes/client.ts';
import { createConfigMapReader } from '../kubernetes/config-map.ts';
import { createSecretReader } from '../kubernetes/secret.ts';
import { createApiTransport } from '../kubernetes/transport.ts';
import { abortable, linked } from '../lib/abort.ts';
import { attempt, describe } from '../lib/errors.ts';
import type { Key } from '../lib/key.ts';
import { programVersion } from '../lib/version.ts';
import type { CloudFiles } from '../openstack/clouds.ts';
import { type CredentialSource, cloudFilesIn } from '../openstack/credential-source.ts';
import { createSessionPool, openSession } from '../openstack/pool.ts';
import { defaultRetryPolicy } from '../openstack/retry.ts';
import { hostsAnnotation } from '../source/header-hosts.ts';
import type { OpenContext, OpenedSource, SourceSecrets } from '../source/kind.ts';
import { type SourcePlan, sourceOf } from '../source/registry.ts';
import { type Asking, ask } from '../source/resolve/resolve.ts';
import { createSourceTransport, type SourceTransport } from '../source/transport.ts';
import { readSecrets } from '../transfer/access.ts';
import { defaultLimits } from '../transfer/plan.ts';
import { readClusterUid } from './cluster.ts';
import type { Surroundings } from './command.ts';
import { type Settings, setting, UsageError, type ValuesOf } from './config.ts';
import { commandEgress, egressSettings } from './egress.ts';
import { readLocalCloud } from './file-credentials.ts';
import { namespaceName } from './manifests.ts';
import { createFollowing } from './publishers.ts';
import { trustSettings } from './settings.ts';
import { readTrust } from './trust.ts';

export const clusterSettings = {
  kubeconfig: {
    schema: setting.text(),
    value: 'PATH',
    help: 'Kubeconfig to use. Default: KUBECONFIG, or ~/.kube/config.',
  },
  context: {
    schema: setting.text(),
    value: 'NAME',
    help: 'Context of the kubeconfig. Default: its current one.',
  },
  namespace: {
    schema: namespaceName.optional(),
    value: 'NAME',
    short: 'n',
    help: 'Namespace of the resources. Default: that of the context.',
  },
} as const satisfies Settings;

export const cloudSettings = {
  osCloud: {
    schema: setting.text(),
    value: 'NAME',
    help: 'Cloud of a clouds.yaml on this machine, instead of the Secret that a resource names.',
  },
  cloudsYaml: {
    schema: setting.text(),
    value: 'FILE',
    help: 'clouds.yaml with the cloud of --os-cloud. Default: OS_CLIENT_CONFIG_FILE, ./clouds.yaml, ~/.config/openstack, /etc/openstack.',
  },
  cacert: {
    schema: setting.text(),
    value: 'FILE',
    help: 'Certificate authorities of that cloud, as PEM. Default: the file named in clouds.yaml, or those of the system.',
  },
  ...egressSettings,
  ...trustSettings,
} as const satisfies Settings;

/** Which images are those of this cluster. */
export const ownerSettings = {
  clusterName: {
    schema: setting.text(),
    value: 'NAME',
    help: 'The --cluster-name of the operator, if it has one. Default: the uid of the namespace kube-system.',
  },
  inheritFrom: {
    schema: setting.list(),
    value: 'NAME,…',
    help: 'The --inherit-from of the operator. Default: none.',
  },
} as const satisfies Settings;

export interface Cluster extends AsyncDisposable {
  client: KubernetesClient;
  /** Where the resources are. */
  namespace: string;
}

/** `writes`: the command may change objects. `isUnattended`: it may ask the user nothing. */
export function reachCluster(
  settings: ValuesOf<typeof clusterSettings>,
  { clock }: Surroundings,
  { writes = false, isUnattended = false } = {},
): Cluster {
  const { kubeconfig, context, namespace } = settings;
  const transport = createApiTransport({
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    ...(context === undefined ? {} : { context }),
    version: programVersion,
    clock,
    random: Math.random,
    isUnattended,
    ...(writes ? {} : { mayWrite: refuseToWrite }),
  });
  return {
    client: createClient(transport),
    namespace: namespace ?? transport.namespace,
    [Symbol.asyncDispose]: transport.close,
  };
}

function refuseToWrite(): never {
  throw new Error('this command only reads');
}

export interface CloudAccessOfCommand extends AsyncDisposable {
  /** This cloud, or that of --os-cloud. */
  open(ref: CloudRef, signal: AbortSignal): Promise<Cloud>;
  source(
    planned: SourcePlan,
    secrets: SourceSecrets,
    run: Pick<OpenContext, 'hasDigest' | 'resources' | 'signal'>,
  ): Promise<OpenedSource>;
  /** To sources, for lists and signatures. */
  transport: SourceTransport;
  /** clouds.yaml and certificates of --os-cloud. */
  localFiles(): Promise<CloudFiles>;
  ahead(cluster: string, inheritFrom: readonly string[]): AheadContext;
}

/** Without a `client` only a local cloud can be reached, and no Secret can be read. */
export async function reachClouds(
  settings: ValuesOf<typeof cloudSettings>,
  client: KubernetesClient | undefined,
  { clock, env }: Surroundings,
): Promise<CloudAccessOfCommand> {
  const { osCloud, cloudsYaml, cacert } = settings;
  const random = Math.random;
  const egress = commandEgress(settings);
  const trust = await readTrust(settings.caBundle);
  const inCluster = client === undefined ? noSecrets : createSecretReader(client, hostsAnnotation);
  const local = osCloud === undefined ? undefined : { name: osCloud, cloudsYaml, cacert };
  /** Of clouds. The Secrets of sources are those of the cluster in any case. */
  const credentials: CredentialSource = local === undefined ? inCluster : { secret: () => readLocalCloud(local, env) };
  const http = {
    egress: createEgressPolicy(egress.clouds),
    trust,
    clock,
    random,
    policy: { ...defaultRetryPolicy, deadlineMs: callMs },
  };
  const clouds = createClouds({
    credentials,
    clock,
    random,
    openSession: (cloud) => openSession(cloud, http),
    cache: { mark: {}, keeps: () => false, onChange: () => {} },
    observedIDs: () => [],
    observeCache: () => ({ lookedUp() {}, listed() {}, failed() {}, closed() {} }),
  });
  const sessions = createSessionPool({
    clock,
    open: (cloud) => openSession(cloud, http),
    attach: (session) => ({ images: createImageClient(session) }),
    idleMs: 60_000,
  });
  const sources = createEgressPolicy(egress.sources);
  const asker = {
    ask: (asking: Asking, signal: AbortSignal) => ask(asking, { egress: sources, trust, clock, random, signal }),
  };
  const configMaps = client === undefined ? { configMap: async () => undefined } : createConfigMapReader(client);
  const secrets = { credentials: inCluster, configMaps };
  const publishers = createFollowing({ asker, limits: defaultLimits, ...secrets, clock, random });
  const waiting = new Map<Key, () => void>();
  publishers.changes.subscribe((key) => waiting.get(key)?.());

  /** A cloud that could not be opened, by its reference: the next resource there need not wait for the same failure. */
  const failures = new Map<string, unknown>();

  async function open(ref: CloudRef, signal: AbortSignal): Promise<Cloud> {
    const named = osCloud === undefined ? ref : { ...ref, name: osCloud, serviceAccountName: undefined };
    const key = JSON.stringify(named);
    if (failures.has(key)) throw failures.get(key);
    // The first opening only shows where the Secret leads to.
    const opened = async () => (await clouds.read(named, signal)).open(signal);
    const cloud = await attempt(signal, async () => (await opened()) ?? (await opened()));
    if (!cloud.ok) {
      failures.set(key, cloud.error);
      throw cloud.error;
    }
    if (cloud.value === undefined) throw new Error('the cloud was not opened');
    return cloud.value;
  }

  const source: CloudAccessOfCommand['source'] = (planned, secrets, run) =>
    sourceOf(planned).open({
      ...run,
      secrets,
      egress: sources,
      trust,
      sessions,
      clock,
      random,
      limits: defaultLimits,
      onResume: () => {},
    });

  async function sourceSize(resource: GlanceImage, content: Content, signal: AbortSignal): Promise<SourceSize> {
    using stop = linked(signal);
    await using resources = new AsyncDisposableStack();
    try {
      const { namespace } = resource.metadata;
      const secrets = await readSecrets(inCluster, namespace, sourceOf(content.source).secrets, signal);
      const hasDigest = content.digest !== undefined;
      return { bytes: (await source(content.source, secrets, { hasDigest, resources, signal: stop.signal })).size };
    } catch (error) {
      signal.throwIfAborted();
      return { problem: describe(error) };
    } finally {
      stop.abort(new Error('the size is known'));
    }
  }

  const transport = createSourceTransport(sources, { trust });
  return {
    open,
    source,
    transport,
    async localFiles() {
      if (local === undefined) throw new UsageError('name a cloud with --os-cloud');
      return cloudFilesIn(local.name, (await readLocalCloud(local, env)).data);
    },
    ahead: (cluster, inheritFrom) => ({
      cloudOf: (resource, signal) => open(cloudRefOf(resource), signal),
      configMap: async (resource, name, signal) =>
        client === undefined ? { kind: 'absent' } : createConfigMaps(client).of(resource).read(name, signal),
      source: sourceSize,
      following: publishers.following,
      publisherHeard(key, signal) {
        const { promise, resolve } = Promise.withResolvers<void>();
        waiting.set(key, resolve);
        return abortable(promise, signal);
      },
      cluster,
      inheritFrom,
      clock,
    }),
    async [Symbol.asyncDispose]() {
      await Promise.all([clouds.close(), sessions.close(), publishers.following.publishers.close(), transport.close()]);
    },
  };
}

/** For one call, retries included. */
const callMs = 50_000;

const noSecrets: CredentialSource = { secret: async () => undefined };

/** The name of the cluster in the marks of images. */
export async function clusterNameOf(
  { clusterName }: ValuesOf<typeof ownerSettings>,
  client: KubernetesClient,
  signal: AbortSignal,
): Promise<string> {
  if (clusterName !== undefined) return clusterName;
  const read = await readClusterUid(client, signal);
  switch (read.kind) {
    case 'known':
      return read.uid;
    case 'absent':
      throw new UsageError(
        'there is no namespace kube-system, whose uid is the name of a cluster: give the --cluster-name of the operator',
      );
    case 'forbidden':
      throw new UsageError(
        'these credentials may not read the namespace kube-system, whose uid is the name of the cluster: give the --cluster-name of the operator, or, if it has none, ' +
          `the uid, which an administrator gets from kubectl get namespace kube-system --output jsonpath={.metadata.uid} (${read.cause.message})`,
      );
  }
}

/** The cloud of --os-cloud. Throws UsageError without one. */
export function localCloud({ osCloud }: Pick<ValuesOf<typeof cloudSettings>, 'osCloud'>, why: string): CloudRef {
  if (osCloud === undefined) throw new UsageError(`${why} needs --os-cloud`);
  return { namespace: 'local', secretRef: { name: 'local' }, name: osCloud };
}
