/**
 * From a Secret to a cloud that can be called.
 *
 * Guarantees: the Secret and the ServiceAccount are read live, by name, and never kept; resources with equal credentials share one
 * session, with its token, its connections and the cache of its images; an idle session is closed; no cloud is called before the
 * operator knows which one it is, so that the workers can be shared.
 */

import { createImageClient, type ImageClient } from '../../glance/client/index.ts';
import {
  createImageCache,
  type ImageCache,
  type ImageCacheObserver,
  type ImageCacheOptions,
} from '../../glance/image-cache.ts';
import { BoundedMap } from '../../lib/bounded-map.ts';
import type { Clock, Random } from '../../lib/clock.ts';
import { compact } from '../../lib/compact.ts';
import { OperatorError } from '../../lib/errors.ts';
import { textHash } from '../../lib/hash.ts';
import type { CloudConfig } from '../../openstack/clouds.ts';
import { type ServerUse, serverUse } from '../../openstack/compute.ts';
import { type CredentialSource, readCloudCredentials } from '../../openstack/credential-source.ts';
import { createSessionPool } from '../../openstack/pool.ts';
import type { Session } from '../../openstack/session.ts';
import type { CloudRef } from '../model/cloud-ref.ts';
import { createRecentImages, type RecentImages } from './recent.ts';

/** Where images are. */
export interface CloudPlace {
  projectID: string;
  region?: string | undefined;
  /** URL of the image service. */
  endpoint: string;
}

export interface Cloud {
  images: ImageClient;
  /** Our images there, as lists show them. */
  cache: ImageCache;
  /** The images there that resources observe by their IDs, as lists show them. */
  observed: ImageCache;
  /** Those that this process has just created there. */
  recent: RecentImages;
  projectID: string;
  region: string | undefined;
  /** Origin of the image endpoint, by which transfers into one cloud are counted, for all namespaces. */
  address: string;
  place: CloudPlace;
  /** Names of its stores; undefined where it has only one, without a name. Remembered for some minutes. */
  storeNames(signal: AbortSignal): Promise<readonly string[] | undefined>;
  /** Whether servers of the project use the image. */
  servers(imageID: string, signal: AbortSignal): Promise<ServerUse>;
}

/** A Secret as it is read at the moment of use. */
export interface ReadSecret {
  version: string;
  /**
   * `undefined` where the destination was not known, or was another, when the Secret was read: no call was made to the cloud yet,
   * and the reconcile starts again in the flow of that destination. Throws an OperatorError that says what is wrong with the Secret
   * or the cloud.
   */
  open(signal: AbortSignal): Promise<Cloud | undefined>;
}

export interface Clouds {
  /** Throws an OperatorError `SecretNotFound` when there is no such Secret, or `ServiceAccountNotFound`. */
  read(ref: CloudRef, signal: AbortSignal): Promise<ReadSecret>;
  /** Sessions that are open. */
  readonly open: number;
  /** The servers that the Secret leads to, in one text, once it has been read. They are what can be slow. */
  destinationOf(ref: CloudRef): string | undefined;
  /** The cloud that was opened by the Secret of exactly this version, if its session is open still: no call is made. */
  known(ref: CloudRef, version: string | undefined): Cloud | undefined;
  /** The cloud that was opened last by this reference, if its session is open still, whatever has become of the Secret. */
  last(ref: CloudRef): Cloud | undefined;
  close(): Promise<void>;
}

export interface CloudsOptions {
  credentials: CredentialSource;
  clock: Clock;
  random: Random;
  openSession: (config: CloudConfig) => Session;
  /** Of every cloud's images. */
  cache: Pick<ImageCacheOptions, 'keeps' | 'onChange'> & { mark: Readonly<Record<string, string>> };
  /** IDs of the images that are observed with the clouds for which `isHere` is true. */
  observedIDs: (isHere: (ref: CloudRef) => boolean) => readonly string[];
  /** `cloud` is the origin of the image endpoint, and a hash of the project. */
  observeCache: (cloud: string) => ImageCacheObserver & { closed(): void };
}

const idleMs = 3_600_000;
/** A bound on the Secrets that are remembered to lead to one of them. */
const maxRefs = 10_000;
/** A bound on those whose destination is remembered: far more than there are, because a forgotten one costs a reconcile. */
const maxDestinations = 100_000;

/** How long the names of stores are taken for known: they change when an administrator reconfigures Glance. */
const storeNamesMs = 300_000;

/** What is kept with a session. */
interface Entry {
  session: Session;
  destination: string;
  observer: ReturnType<CloudsOptions['observeCache']> | undefined;
  images: ImageClient;
  cache: ImageCache;
  observed: ImageCache;
  recent: RecentImages;
  /** By which the pool knows its session. Set once it was reached, as the next one. */
  key: string | undefined;
  cloud: Cloud | undefined;
  stores: { names: readonly string[] | undefined; at: number } | undefined;
}

export function createClouds(options: CloudsOptions): Clouds {
  const { credentials, clock, random, openSession, cache, observedIDs, observeCache } = options;
  const sessions = createSessionPool({ clock, open: openSession, attach, detach, idleMs });
  /** Which session a version of a Secret leads to. */
  const refs = new BoundedMap<string, { version: string; session: string }>(maxRefs);
  const destinations = new BoundedMap<string, string>(maxDestinations);

  function attach(session: Session): Entry {
    const images = createImageClient(session);
    // Its name is known once the cloud was reached, and no list is read before that.
    const observer: ImageCacheObserver = {
      lookedUp: (answer) => entry.observer?.lookedUp(answer),
      listed: (list) => entry.observer?.listed({ ...list, kept: entry.cache.size + entry.observed.size }),
      failed: (list) => entry.observer?.failed(list),
    };
    const { mark, ...kept } = cache;
    const parts = { ...kept, list: images.list, clock, random, observer };
    const isHere = (ref: CloudRef) => entry.key !== undefined && refs.get(nameOf(ref))?.session === entry.key;
    const entry: Entry = {
      session,
      destination: destinationOf(session.cloud),
      observer: undefined,
      images,
      cache: createImageCache({ ...parts, scope: { kind: 'marked', mark } }),
      observed: createImageCache({ ...parts, scope: { kind: 'named', ids: () => observedIDs(isHere) } }),
      recent: createRecentImages(clock),
      key: undefined,
      cloud: undefined,
      stores: undefined,
    };
    return entry;
  }

  async function storeNames(entry: Entry, signal: AbortSignal): Promise<readonly string[] | undefined> {
    if (entry.stores === undefined || clock.monotonic() - entry.stores.at > storeNamesMs) {
      const stores = await entry.images.stores(signal);
      entry.stores = { names: stores?.filter(({ readOnly }) => !readOnly).map(({ id }) => id), at: clock.monotonic() };
    }
    return entry.stores.names;
  }

  function lastCloud(ref: CloudRef): Cloud | undefined {
    const found = refs.get(nameOf(ref));
    if (found === undefined) return undefined;
    using used = sessions.reuse(found.session);
    return used?.attached.cloud;
  }

  return {
    async read(ref, signal) {
      const { name, region } = ref;
      const destination = destinations.get(nameOf(ref));
      const { version, files } = await readCloudCredentials(credentials, ref, 'spec.cloud', signal);
      return {
        version,
        async open(openSignal) {
          using used = sessions.use(files(), { name, region });
          const { key, session, attached: entry } = used;
          if (entry.destination !== destination) {
            destinations.set(nameOf(ref), entry.destination);
            return undefined;
          }
          const { project } = await session.identity(openSignal);
          if (project === undefined) throw unscoped(ref);
          const endpoint = await session.endpoint('image', openSignal);
          entry.key = key;
          entry.cloud = {
            images: entry.images,
            cache: entry.cache,
            observed: entry.observed,
            recent: entry.recent,
            projectID: project.id,
            region: session.cloud.services.image.region,
            address: new URL(endpoint).origin,
            place: compact({ projectID: project.id, region: session.cloud.services.image.region, endpoint }),
            storeNames: (storesSignal) => storeNames(entry, storesSignal),
            servers: (imageID, useSignal) => serverUse(session, imageID, useSignal),
          };
          entry.observer ??= observeCache(`${entry.cloud.address}/${projectHashOf(project.id)}`);
          refs.set(nameOf(ref), { version, session: key });
          return entry.cloud;
        },
      };
    },
    get open() {
      return sessions.size;
    },
    destinationOf: (ref) => destinations.get(nameOf(ref)),
    known(ref, version) {
      return refs.get(nameOf(ref))?.version === version ? lastCloud(ref) : undefined;
    },
    last: lastCloud,
    close: () => sessions.close(),
  };
}

function detach({ cache, observed, observer }: Entry): void {
  cache.close();
  observed.close();
  observer?.closed();
}

/** Only hosts count, as a path can be written in many ways; two regions of one Keystone do not share a fate. */
function destinationOf({ access, services: { image } }: CloudConfig): string {
  const addresses = [...(access.kind === 'keystone' ? identityAddresses(access) : []), ...(image.override ?? [])];
  return [...new Set(addresses.map((address) => new URL(address).origin)), image.region ?? ''].join(' ');
}

/** Keystone, and the identity provider that a sign-in needs: a slow one must not delay those who use that Keystone without it. */
function identityAddresses({ user, service }: Extract<CloudConfig['access'], { kind: 'keystone' }>): string[] {
  return [user, ...(service === undefined ? [] : [service])].flatMap(({ authUrl, credentials: { method } }) => {
    const token = method.kind === 'federated' ? method.accessToken : undefined;
    return [authUrl, ...(token?.kind === 'clientCredentials' ? [token.client.address.url] : [])];
  });
}

/** Distinguishes the projects of a cloud in metrics, which are public. */
function projectHashOf(text: string): string {
  return textHash(text, 8);
}

function nameOf({ namespace, secretRef, name, region, serviceAccountName }: CloudRef): string {
  return JSON.stringify([namespace, secretRef.name, name, region, serviceAccountName]);
}

function unscoped({ name }: CloudRef): OperatorError {
  return new OperatorError(
    `the credentials of cloud "${name}" have no project: set project_name or project_id in clouds.yaml`,
    {
      code: 'SecretInvalid',
    },
  );
}
