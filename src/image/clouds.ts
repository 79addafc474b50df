/**
 * From a Secret to a cloud that can be talked to. Laws: the Secret is read live, by name, and never kept; resources whose
 * credentials are equal share one session, with its token, its connections and what it knows of its images; a session nobody
 * has used for a while is closed; nobody talks to a cloud before it is known which one it is, so that the workers can be shared.
 */
import { createHash } from 'node:crypto';
import {
  createImageCache,
  type ImageCache,
  type ImageCacheObserver,
  type ImageCacheOptions,
} from '../glance/cache/image-cache.ts';
import { createImageClient, type ImageClient } from '../glance/client.ts';
import type { KubernetesClient } from '../kubernetes/client.ts';
import { type Secret, secretType } from '../kubernetes/secret.ts';
import { BoundedMap } from '../lib/bounded-map.ts';
import type { Clock, Random } from '../lib/clock.ts';
import { OperatorError, retry } from '../lib/errors.ts';
import { type CloudConfig, type CloudFiles, parseCloud } from '../openstack/clouds.ts';
import type { Session } from '../openstack/session.ts';

/** Which cloud of which Secret; plain JSON. */
export interface CloudRef {
  namespace: string;
  secretRef: { name: string };
  name: string;
  region?: string | undefined;
}

export interface Cloud {
  images: ImageClient;
  /** Our images there, as lists tell of them. */
  cache: ImageCache;
  projectID: string;
  region: string | undefined;
  /** Origin of the image endpoint, by which transfers into one cloud are counted, whoever's they are. */
  address: string;
  /** Names of its stores; undefined where it has only one, without a name. Remembered for some minutes. */
  storeNames(signal: AbortSignal): Promise<readonly string[] | undefined>;
}

/** A Secret as it is read at the moment of use. */
export interface ReadSecret {
  version: string;
  /**
   * Throws an OperatorError that says what is wrong with the Secret or the cloud behind it; and `DestinationLearned` where the
   * destination was not known, or was another, when the Secret was asked for.
   */
  open(signal: AbortSignal): Promise<Cloud>;
}

export interface Clouds {
  /** Throws an OperatorError `SecretNotFound` when there is no such Secret. */
  read(ref: CloudRef, signal: AbortSignal): Promise<ReadSecret>;
  /** Sessions that are open. */
  readonly open: number;
  /** The servers that the Secret leads to, in one text, once it has been read. They are what can be slow. */
  destinationOf(ref: CloudRef): string | undefined;
  /** The cloud that was opened by the Secret of exactly this version, if its session is open still: no call is made. */
  known(ref: CloudRef, version: string | undefined): Cloud | undefined;
  close(): Promise<void>;
}

export interface CloudsOptions {
  client: KubernetesClient;
  clock: Clock;
  random: Random;
  createSession: (config: CloudConfig) => Session;
  /** Of every cloud's images. */
  cache: Pick<ImageCacheOptions, 'mark' | 'keeps' | 'onNews'>;
  /** `cloud` is the origin of the image endpoint, and the project. */
  observeCache: (cloud: string) => ImageCacheObserver & { closed(): void };
}

const idleMs = 3_600_000;
/** A bound on open sessions; the one that was used longest ago makes room. */
const maxSessions = 1000;
/** A bound on the Secrets that are remembered to lead to one of them. */
const maxRefs = 10_000;
/** A bound on those whose destination is remembered: far more than there are, as one that is forgotten costs a pass. */
const maxDestinations = 100_000;

/** How long the names of stores are taken for known: they change when an administrator reconfigures Glance. */
const storeNamesMs = 300_000;

/** Nothing has been asked of the cloud yet: the pass is to begin anew, when it is the turn of those who go there. */
export class DestinationLearned extends Error {}

interface Entry {
  session: Session;
  destination: string;
  observer: ReturnType<CloudsOptions['observeCache']> | undefined;
  images: ImageClient;
  cache: ImageCache;
  usedAt: number;
  /** Once somebody has got through to it. */
  cloud: Cloud | undefined;
  stores: { names: readonly string[] | undefined; at: number } | undefined;
}

export function createClouds(options: CloudsOptions): Clouds {
  const { client, clock, random, createSession, cache, observeCache } = options;
  const sessions = new Map<string, Entry>();
  /** Which session a version of a Secret leads to. */
  const refs = new BoundedMap<string, { version: string; session: string }>(maxRefs);
  const destinations = new BoundedMap<string, string>(maxDestinations);

  function open(key: string, config: CloudConfig): Entry {
    const session = createSession(config);
    const images = createImageClient(session);
    // Its name is known once somebody has got through to the cloud, and nobody looks before that.
    const observer: ImageCacheObserver = {
      looked: (answer) => entry.observer?.looked(answer),
      listed: (list) => entry.observer?.listed(list),
      failed: (list) => entry.observer?.failed(list),
    };
    const imageCache = createImageCache({ ...cache, list: images.list, clock, random, observer });
    const entry: Entry = {
      session,
      destination: destinationOf(config),
      observer: undefined,
      images,
      cache: imageCache,
      usedAt: clock.monotonic(),
      cloud: undefined,
      stores: undefined,
    };
    sessions.set(key, entry);
    return entry;
  }

  async function storeNames(entry: Entry, signal: AbortSignal): Promise<readonly string[] | undefined> {
    if (entry.stores === undefined || clock.monotonic() - entry.stores.at > storeNamesMs) {
      const stores = await entry.images.stores(signal);
      entry.stores = { names: stores?.map(({ id }) => id), at: clock.monotonic() };
    }
    return entry.stores.names;
  }

  function closeUnused(): void {
    const byAge = [...sessions].sort(([, a], [, b]) => a.usedAt - b.usedAt);
    for (const [key, entry] of byAge) {
      if (clock.monotonic() - entry.usedAt < idleMs && sessions.size <= maxSessions) return;
      sessions.delete(key);
      void end(entry);
    }
  }

  return {
    async read(ref, signal) {
      const destination = destinations.get(nameOf(ref));
      const secret = await readSecret(client, ref, signal);
      return {
        version: secret.metadata.resourceVersion,
        async open(openSignal) {
          const files = filesOf(ref, secret.data);
          const key = createHash('sha256')
            .update(JSON.stringify([files, ref.name, ref.region]))
            .digest('hex');
          const entry = sessions.get(key) ?? open(key, parseCloud(files, ref.name, ref.region));
          entry.usedAt = clock.monotonic();
          closeUnused();
          if (entry.destination !== destination) {
            destinations.set(nameOf(ref), entry.destination);
            throw new DestinationLearned();
          }
          const { project } = await entry.session.identity(openSignal);
          if (project === undefined) throw unscoped(ref);
          entry.cloud = {
            images: entry.images,
            cache: entry.cache,
            projectID: project.id,
            region: entry.session.cloud.services.image.region,
            address: new URL(await entry.session.endpoint('image', openSignal)).origin,
            storeNames: (storesSignal) => storeNames(entry, storesSignal),
          };
          entry.observer ??= observeCache(`${entry.cloud.address}/${project.id}`);
          refs.set(nameOf(ref), { version: secret.metadata.resourceVersion, session: key });
          return entry.cloud;
        },
      };
    },
    get open() {
      return sessions.size;
    },
    destinationOf: (ref) => destinations.get(nameOf(ref)),
    known(ref, version) {
      const found = refs.get(nameOf(ref));
      const entry = found !== undefined && found.version === version ? sessions.get(found.session) : undefined;
      if (entry?.cloud === undefined) return undefined;
      entry.usedAt = clock.monotonic();
      return entry.cloud;
    },
    async close() {
      const open = [...sessions.values()];
      sessions.clear();
      await Promise.all(open.map(end));
    },
  };
}

function end({ cache, session, observer }: Entry): Promise<void> {
  cache.close();
  observer?.closed();
  return session.close();
}

/** Only hosts count, as a path can be written in many ways; two regions of one Keystone do not share a fate. */
function destinationOf({ access, services: { image } }: CloudConfig): string {
  const addresses = [...(access.kind === 'keystone' ? [access.user.authUrl] : []), ...(image.override ?? [])];
  return [...addresses.map((address) => new URL(address).origin), image.region ?? ''].join(' ');
}

function nameOf({ namespace, secretRef, name, region }: CloudRef): string {
  return JSON.stringify([namespace, secretRef.name, name, region]);
}

async function readSecret(client: KubernetesClient, ref: CloudRef, signal: AbortSignal): Promise<Secret> {
  const secret = await client.get(secretType, { namespace: ref.namespace, name: ref.secretRef.name }, signal);
  if (secret !== undefined) return secret;
  throw secretNotFound(
    ref.namespace,
    ref.secretRef.name,
    'create it with a key clouds.yaml, or fix spec.cloud.secretRef',
  );
}

/**
 * `remedy` ends the sentence. A Secret that is not there may be on its way, applied together with the resource or made by another
 * controller: nobody who waits for the resource is to give up at once.
 */
export function secretNotFound(namespace: string, name: string, remedy: string): OperatorError {
  return new OperatorError(`there is no Secret "${name}" in namespace ${namespace}: ${remedy}`, {
    code: 'SecretNotFound',
    retry: retry.backoff,
  });
}

export function filesOf(ref: Pick<CloudRef, 'secretRef'>, data: Secret['data']): CloudFiles {
  const cloudsYaml = data.get('clouds.yaml');
  if (cloudsYaml === undefined) {
    const keys = [...data.keys()].join(', ');
    throw new OperatorError(
      `Secret "${ref.secretRef.name}" has no key clouds.yaml; it has ${keys === '' ? 'no key at all' : keys}`,
      {
        code: 'SecretInvalid',
        retry: retry.change,
      },
    );
  }
  return {
    cloudsYaml: cloudsYaml.reveal(),
    cacert: data.get('cacert')?.reveal(),
    cert: data.get('cert')?.reveal(),
    key: data.get('key')?.reveal(),
  };
}

function unscoped({ name }: CloudRef): OperatorError {
  return new OperatorError(
    `the credentials of cloud "${name}" name no project: set project_name or project_id in clouds.yaml`,
    {
      code: 'SecretInvalid',
      retry: retry.change,
    },
  );
}
