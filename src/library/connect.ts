/**
 * From a clouds.yaml to an image service, in one step. Law: all that is opened is closed with it.
 */
import { systemClock } from '../lib/clock.ts';
import { userAgent } from '../lib/version.ts';
import { type CloudConfig, type CloudFiles, parseCloud } from '../openstack/clouds.ts';
import type { ServiceConfig } from '../openstack/services.ts';
import { createSession, type Session } from '../openstack/session.ts';
import { createTransport } from '../openstack/transport.ts';
import type { Requester } from './availability.ts';
import type { OpenImageService } from './remote.ts';
import { createImageService, type ImageServiceOptions } from './service.ts';

export interface ConnectOptions extends CloudFiles, Omit<ImageServiceOptions, 'privileged'> {
  /** The entry under `clouds` of clouds.yaml. */
  cloud: string;
  /** Instead of the one in clouds.yaml. */
  region?: string;
  /**
   * How often a call is tried again: after no answer, after 503, and where it can do no harm after 429, 502 and 504. Default:
   * as clouds.yaml says, otherwise 3.
   */
  retries?: number;
  /** The entry of a user with the `service` role, for reading and adding locations. */
  privilegedCloud?: string;
}

export interface ConnectedImageService extends OpenImageService {
  /** A service with the same credentials that speaks with one other endpoint only: `https://example.com/image`. */
  at(endpoint: string): OpenImageService;
}

/**
 * Reads no file and makes no call: the first call of the service signs in. Throws ConfigurationError for a clouds.yaml that
 * cannot be used.
 */
export function connectImageService(options: ConnectOptions): ConnectedImageService {
  const { cloud: name, region, retries, privilegedCloud, ...rest } = options;
  const configOf = (entry: string): CloudConfig => {
    const config = parseCloud(rest, entry, region);
    return { ...config, retries: retries ?? config.retries };
  };
  const cloud = configOf(name);
  const session = open(cloud);
  const privileged = privilegedCloud === undefined ? undefined : open(configOf(privilegedCloud));
  const serviceOptions = { requester: requesterOf(cloud), ...rest };
  const close = async () => {
    await Promise.all([session.close(), privileged?.close()]);
  };

  return {
    ...createImageService(session, { ...serviceOptions, ...(privileged === undefined ? {} : { privileged }) }),
    close,
    [Symbol.asyncDispose]: close,
    at(endpoint) {
      const image: ServiceConfig = { ...cloud.services.image, override: [endpoint] };
      const there = open({ ...cloud, services: { ...cloud.services, image } });
      const closeThere = () => there.close();
      return { ...createImageService(there, serviceOptions), close: closeThere, [Symbol.asyncDispose]: closeThere };
    },
  };
}

function open(cloud: CloudConfig): Session {
  const transport = createTransport({ tls: cloud.tls, userAgent, clock: systemClock });
  return createSession({ cloud, transport, clock: systemClock, random: Math.random });
}

/** A cloud that asks for nothing leaves the decision to us. */
function requesterOf({ access, projectId }: CloudConfig): Requester {
  return { token: access.kind !== 'none', ...(projectId === undefined ? {} : { projectId }) };
}
