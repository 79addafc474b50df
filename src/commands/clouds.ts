/**
 * Builds the access of the operator to clouds, as configured by the settings.
 *
 * Invariant: every request to a cloud obeys the same egress rules, trusts the same certificates and respects the write fence.
 */
import { createEmitter, type Emitter } from '../controller/triggers.ts';
import type { ImageChange } from '../glance/image-cache.ts';
import { createEgressPolicy, type EgressRules } from '../http/egress.ts';
import type { MayWrite } from '../http/fence.ts';
import type { Trust } from '../http/trust.ts';
import { type Clouds, type CloudsOptions, createClouds } from '../image/access/clouds.ts';
import type { DomainMetrics } from '../image/metrics/domain.ts';
import { clusterProperty } from '../image/model/identity.ts';
import type { Clock, Random } from '../lib/clock.ts';
import type { CredentialSource } from '../openstack/credential-source.ts';
import { openSession } from '../openstack/pool.ts';
import { defaultRetryPolicy } from '../openstack/retry.ts';
import type { ServiceAccountTokens } from '../openstack/service-account.ts';

/**
 * Limit for one call to a cloud, retries included. A reconcile during which neither Keystone nor Glance responds must end before
 * its own deadline, so that the status can report it.
 */
const callMs = 50_000;

export interface CloudAccessOptions {
  egress: EgressRules;
  trust: Trust;
  mayWrite: MayWrite;
  credentials: CredentialSource;
  /** Default: none. */
  serviceAccountTokens?: ServiceAccountTokens | undefined;
  /** The name of this cluster in the owner mark. */
  cluster: string;
  /** Whether a resource uses the image with this ID. */
  isUsed: (imageID: string) => boolean;
  observedIDs: CloudsOptions['observedIDs'];
  metrics: Pick<DomainMetrics, 'clouds' | 'cache'>;
  clock: Clock;
  random: Random;
}

export interface CloudAccess {
  clouds: Clouds;
  /** Images whose state in a list of Glance is new. */
  changes: Emitter<ImageChange>;
}

export function createCloudAccess(options: CloudAccessOptions): CloudAccess {
  const { trust, mayWrite, credentials, cluster, isUsed, observedIDs, metrics, clock, random } = options;
  const changes = createEmitter<ImageChange>();
  const http = {
    egress: createEgressPolicy(options.egress),
    trust,
    mayWrite,
    serviceAccountTokens: options.serviceAccountTokens,
    clock,
    random,
    observe: metrics.clouds.exchange,
    policy: { ...defaultRetryPolicy, deadlineMs: callMs },
  };
  const clouds = createClouds({
    credentials,
    clock,
    random,
    openSession: (cloud) => openSession(cloud, http),
    cache: { mark: { [clusterProperty]: cluster }, keeps: isUsed, onChange: changes.emit },
    observedIDs,
    observeCache: metrics.cache,
  });
  metrics.clouds.measure(() => clouds.open);
  return { clouds, changes };
}
