/**
 * Sessions with clouds, shared by the transfers that have equal credentials. Law: a session is open as long as somebody
 * uses it and a while longer, so that the next transfer finds its token and connections; then it is closed and its secrets
 * are forgotten.
 */
import { createHash } from 'node:crypto';
import { createImageClient, type ImageClient } from '../glance/client.ts';
import type { Clock } from '../lib/clock.ts';
import { type CloudConfig, type CloudFiles, parseCloud } from '../openstack/clouds.ts';
import type { ServiceConfig } from '../openstack/services.ts';
import type { Session } from '../openstack/session.ts';

export interface CloudName {
  name: string;
  region?: string | undefined;
  /** The image service to speak with instead of the cloud's own: `https://example.com/image`. */
  endpoint?: string;
}

/** A session in use. Dispose of it when it is not used any more. */
export interface Lease extends Disposable {
  readonly images: ImageClient;
  /** The algorithm by which this Glance was seen to hash images; kept with the session. */
  hashAlgorithm: string | undefined;
}

export interface Sessions {
  /** Throws ConfigurationError. */
  lease(files: CloudFiles, cloud: CloudName): Lease;
  /** Ends what is running. */
  close(): Promise<void>;
}

const idleMs = 300_000;

interface Entry {
  readonly session: Session;
  readonly images: ImageClient;
  hashAlgorithm: string | undefined;
  users: number;
  cancelClose: () => void;
}

export function createSessions(clock: Clock, createSession: (config: CloudConfig) => Session): Sessions {
  const entries = new Map<string, Entry>();

  function open(key: string, config: CloudConfig): Entry {
    const session = createSession(config);
    const images = createImageClient(session);
    const entry: Entry = { session, images, hashAlgorithm: undefined, users: 0, cancelClose: () => {} };
    entries.set(key, entry);
    return entry;
  }

  function release(key: string, entry: Entry): void {
    entry.users--;
    if (entry.users > 0) return;
    entry.cancelClose = clock.schedule(idleMs, () => {
      entries.delete(key);
      void entry.session.close();
    });
  }

  return {
    lease(files, cloud) {
      const key = createHash('sha256')
        .update(JSON.stringify([files, cloud]))
        .digest('hex');
      const entry = entries.get(key) ?? open(key, configOf(files, cloud));
      entry.cancelClose();
      entry.users++;
      let released = false;
      return {
        images: entry.images,
        get hashAlgorithm() {
          return entry.hashAlgorithm;
        },
        set hashAlgorithm(algorithm) {
          entry.hashAlgorithm = algorithm;
        },
        [Symbol.dispose]() {
          if (!released) release(key, entry);
          released = true;
        },
      };
    },
    async close() {
      const open = [...entries.values()];
      entries.clear();
      for (const { cancelClose } of open) cancelClose();
      await Promise.all(open.map(({ session }) => session.close()));
    },
  };
}

function configOf(files: CloudFiles, { name, region, endpoint }: CloudName): CloudConfig {
  const config = parseCloud(files, name, region);
  if (endpoint === undefined) return config;
  const image: ServiceConfig = { ...config.services.image, override: [endpoint] };
  return { ...config, services: { ...config.services, image } };
}
