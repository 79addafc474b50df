/**
 * One logical call to a service, with its retries.
 *
 * Guarantees: every attempt goes to the next endpoint, with the same request id; a 401 leads to one new token and one repetition
 * in the whole call; a body that was partly sent and cannot be read again is not sent again.
 */
import type { Clock, Random } from '../lib/clock.ts';
import type { SecretString } from '../lib/secret.ts';
import type { Authorization, Authorizer } from './authorizer.ts';
import { allEndpoints, type Catalog, findEndpoints, findRegion, serviceRoot } from './catalog.ts';
import type { CloudConfig } from './clouds.ts';
import { createEndpoints, type Endpoints } from './endpoints.ts';
import {
  ConnectionFailed,
  EndpointNotFound,
  ForeignEndpoint,
  HttpFailure,
  quoteFailure,
  RejectedByService,
} from './errors.ts';
import type { HttpResponse } from './exchange.ts';
import { checkedRequestId, newRequestId } from './request-id.ts';
import { failureOf } from './response.ts';
import { classify, type RetryBudget, type RetryPolicy, withRetries } from './retry.ts';
import type { ServiceConfig, ServiceType } from './services.ts';

/** The destination and credentials of one attempt. */
export interface CallTarget {
  /** The service's address without version and trailing slash. */
  root: string;
  /** Contain a secret. */
  headers: Record<string, string>;
  /** Those in `headers`. */
  secrets: readonly SecretString[];
  requestId: string;
  /** Until the deadline of the whole call. */
  leftMs: number;
}

export type Sent<T> = { accepted: T } | { rejected: HttpResponse; method: string; url: string };

export interface CallOptions {
  /** The caller's own request id. */
  requestId: string | undefined;
  idempotent: boolean;
  /** Whether the request can be sent again. Default: always. */
  mayResend?: () => boolean;
  /** The remaining life that the token should have. */
  tokenLifeMs?: number;
  signal: AbortSignal;
}

export interface Caller {
  /** The addresses of a service, in the order of the catalog. Throws EndpointNotFound and the errors of signing in. */
  roots(service: ServiceType, signal: AbortSignal): Promise<readonly [string, ...string[]]>;
  call<T>(service: ServiceType, options: CallOptions, send: (target: CallTarget) => Promise<Sent<T>>): Promise<T>;
}

export interface CallerOptions {
  cloud: CloudConfig;
  authorizer: Authorizer;
  policy: RetryPolicy;
  budget: RetryBudget;
  clock: Clock;
  random: Random;
  /** Aborts when the session is closed. No call starts another attempt after that. */
  closed: AbortSignal;
}

/** How often at most the catalog is read again, because an endpoint that does not respond may have moved. */
const catalogPauseMs = 60_000;

export function createCaller({ cloud, authorizer, closed, ...common }: CallerOptions): Caller {
  const { clock, random } = common;
  const endpoints: Record<ServiceType, Endpoints> = {
    image: createEndpoints(clock, random),
    'key-manager': createEndpoints(clock, random),
    compute: createEndpoints(clock, random),
  };
  let renewableAt = Number.NEGATIVE_INFINITY;

  const usesCatalog = (service: ServiceType) => cloud.services[service].override === undefined;

  /** The next call finds an endpoint that has moved. */
  function renewCatalog(used: Authorization): void {
    const now = clock.monotonic();
    if (now < renewableAt) return;
    renewableAt = now + catalogPauseMs;
    used.renew();
  }

  return {
    async roots(service, signal) {
      return rootsOf(cloud, await authorizer.current({ signal }), service);
    },

    async call(service, { requestId: given, idempotent, mayResend = () => true, tokenLifeMs, signal }, send) {
      const requestId = given === undefined ? newRequestId() : checkedRequestId(given);
      const route = endpoints[service].route();
      const token = { signal, ...(tokenLifeMs === undefined ? {} : { lifeMs: tokenLifeMs }) };
      let renewed = false;
      let used: Authorization | undefined;

      async function attempt(leftMs: number) {
        let authorization = await authorizer.current(token);
        used = authorization;
        const root = route.next(rootsOf(cloud, authorization, service));
        for (;;) {
          const { secrets } = authorization;
          const result = await send({ root, headers: authorization.headers(), secrets, requestId, leftMs });
          if ('accepted' in result) return result.accepted;
          const { method, url, rejected } = result;
          const failure = failureOf(method, url, rejected, { clock, secrets });
          if (failure.status !== 401) throw failure;
          const canRenew = authorization.reject();
          if (!mayResend()) throw failure;
          if (!canRenew || renewed) throw rejectedByService(service, canRenew, failure);
          renewed = true;
          authorization = await authorizer.current(token);
        }
      }

      const result = withRetries(
        { ...common, signal: AbortSignal.any([signal, closed]) },
        {
          async attempt(leftMs) {
            try {
              return await attempt(leftMs);
            } catch (error) {
              if (classify(error, true) !== 'never') route.failed();
              throw error;
            }
          },
          classify: (error) => (mayResend() ? classify(error, idempotent) : 'never'),
          hasUntried: route.hasUntried,
        },
      );
      try {
        return await result;
      } catch (error) {
        if (mayHaveMoved(error) && used !== undefined && usesCatalog(service)) renewCatalog(used);
        throw error;
      }
    },
  };
}

/** Nothing responds at the address of a service, or something else does: a gateway, or the page of a server that took its place. */
function mayHaveMoved(error: unknown): boolean {
  if (error instanceof ConnectionFailed) return true;
  if (!(error instanceof HttpFailure) || error.requestId !== undefined) return false;
  return error.isPage || [502, 503, 504].includes(error.status);
}

function rootsOf(
  cloud: CloudConfig,
  { identity, catalog }: Authorization,
  service: ServiceType,
): readonly [string, ...string[]] {
  const wanted = cloud.services[service];
  if (catalog === undefined && wanted.override === undefined) {
    throw new EndpointNotFound(`cloud ${cloud.name} has no catalog that could list its ${service} service`, {
      isServiceAbsent: true,
    });
  }
  if (catalog !== undefined && identity.scope === 'none') {
    throw new EndpointNotFound(
      `the token of cloud ${cloud.name} is not scoped to a project: set project_name (or project_id) in clouds.yaml`,
    );
  }
  if (wanted.only !== undefined) return [onlyRoot(cloud, wanted.only, catalog, service)];
  const urls = wanted.override ?? findEndpoints(catalog ?? [], besideImages(cloud, wanted, service, catalog));
  const [first, ...others] = new Set(urls.map(serviceRoot).filter((root) => root !== undefined));
  if (first !== undefined) return [first, ...others];
  throw new EndpointNotFound(`Keystone's catalog has no http or https URL for the ${service} service`);
}

/** Where no region is configured, the servers of the region from which the images come are meant. */
function besideImages(
  { services: { image } }: CloudConfig,
  wanted: ServiceConfig,
  service: ServiceType,
  catalog: Catalog = [],
): ServiceConfig {
  if (service !== 'compute' || wanted.region !== undefined || image.override !== undefined) return wanted;
  return { ...wanted, region: image.region ?? findRegion(catalog, image) };
}

/** Throws ForeignEndpoint for an address that neither clouds.yaml nor the catalog names. */
function onlyRoot(cloud: CloudConfig, address: string, catalog: Catalog | undefined, service: ServiceType): string {
  const wanted = cloud.services[service];
  const root = serviceRoot(address);
  const own = [...(wanted.override ?? []), ...allEndpoints(catalog ?? [], wanted)].map(serviceRoot);
  if (root !== undefined && own.includes(root)) return root;
  throw new ForeignEndpoint(address, service, cloud.name);
}

function rejectedByService(service: ServiceType, renewed: boolean, failure: HttpFailure): RejectedByService {
  const quote = quoteFailure(failure);
  return renewed
    ? new RejectedByService(
        `the ${service} service rejects the token that Keystone has just issued: ${quote}`,
        failure,
        'TokenRejected',
      )
    : new RejectedByService(
        `the ${service} service rejects the credentials in clouds.yaml: ${quote}`,
        failure,
        'CredentialsInvalid',
      );
}
