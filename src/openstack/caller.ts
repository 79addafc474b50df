/**
 * One logical call to a service over its tries. Law: every try goes to the next endpoint, under the same request id; a 401
 * leads to one new token and one more sending in the whole call, no further; what was begun and cannot be begun again is not.
 */
import type { Clock, Random } from '../lib/clock.ts';
import type { Authorization, Authorizer } from './authorizer.ts';
import { allEndpoints, type Catalog, findEndpoints, serviceRoot } from './catalog.ts';
import type { CloudConfig } from './clouds.ts';
import { createEndpoints, type Endpoints } from './endpoints.ts';
import {
  AuthenticationFailed,
  EndpointNotFound,
  ForeignEndpoint,
  type HttpFailure,
  quoteFailure,
  TokenRejected,
} from './errors.ts';
import type { HttpResponse } from './exchange.ts';
import { checkedRequestId, newRequestId } from './request-id.ts';
import { failureOf, redactSecrets } from './response.ts';
import { classify, type RetryBudget, type RetryPolicy, withRetries } from './retry.ts';
import type { ServiceType } from './services.ts';

/** Where one sending goes, and with what. */
export interface Target {
  /** The service's address without version and trailing slash. */
  root: string;
  /** They hold a secret. */
  headers: Record<string, string>;
  requestId: string;
  /** Of the whole call. */
  leftMs: number;
}

export type Sent<T> = { accepted: T } | { rejected: HttpResponse; method: string; url: string };

export interface CallOptions {
  /** The caller's own request id. */
  requestId: string | undefined;
  idempotent: boolean;
  /** Whether the request can still be sent again. Default: always. */
  mayResend?: () => boolean;
  /** What the token should have left. */
  tokenLifeMs?: number;
  signal: AbortSignal;
}

export interface Caller {
  /** The addresses of a service, in the order of the catalog. Throws EndpointNotFound and what signing in throws. */
  roots(service: ServiceType, signal: AbortSignal): Promise<readonly [string, ...string[]]>;
  call<T>(service: ServiceType, options: CallOptions, send: (target: Target) => Promise<Sent<T>>): Promise<T>;
}

export interface CallerOptions {
  cloud: CloudConfig;
  authorizer: Authorizer;
  policy: RetryPolicy;
  budget: RetryBudget;
  clock: Clock;
  random: Random;
  /** Aborts when the session is closed: no call begins another try. */
  closed: AbortSignal;
}

export function createCaller({ cloud, authorizer, closed, ...common }: CallerOptions): Caller {
  const { clock, random } = common;
  const turns: Record<ServiceType, Endpoints> = {
    image: createEndpoints(clock, random),
    'key-manager': createEndpoints(clock, random),
  };

  return {
    async roots(service, signal) {
      return rootsOf(cloud, await authorizer.current(signal), service);
    },

    async call(service, { requestId: given, idempotent, mayResend = () => true, tokenLifeMs, signal }, send) {
      const requestId = given === undefined ? newRequestId() : checkedRequestId(given);
      const route = turns[service].route();
      const verdict = (error: unknown) => (mayResend() ? classify(error, idempotent) : 'never');
      let renewed = false;

      async function attempt(leftMs: number) {
        let authorization = await authorizer.current(signal, tokenLifeMs);
        const root = route.next(rootsOf(cloud, authorization, service));
        for (;;) {
          const answer = await send({ root, headers: authorization.headers(), requestId, leftMs });
          if ('accepted' in answer) return answer.accepted;
          const { method, url, rejected } = answer;
          const failure = failureOf(method, url, redactSecrets(rejected, authorization.secrets), clock);
          if (failure.status !== 401) throw failure;
          const another = authorization.reject();
          if (!mayResend()) throw failure;
          if (!another || renewed) throw authenticationFailed(service, another, failure);
          renewed = true;
          authorization = await authorizer.current(signal, tokenLifeMs);
        }
      }

      return withRetries(
        { ...common, signal: AbortSignal.any([signal, closed]) },
        {
          async once(leftMs) {
            try {
              return await attempt(leftMs);
            } catch (error) {
              if (classify(error, true) !== 'never') route.failed();
              throw error;
            }
          },
          verdict,
          hasUntried: route.hasUntried,
        },
      );
    },
  };
}

function rootsOf(
  cloud: CloudConfig,
  { identity, catalog }: Authorization,
  service: ServiceType,
): readonly [string, ...string[]] {
  const wanted = cloud.services[service];
  if (catalog === undefined && wanted.override === undefined) {
    throw new EndpointNotFound(`cloud ${cloud.name} has no catalog to find its ${service} service in`);
  }
  if (catalog !== undefined && identity.scope === 'none') {
    throw new EndpointNotFound(
      `the token of cloud ${cloud.name} is not scoped to a project: set project_name (or project_id) in clouds.yaml`,
    );
  }
  if (wanted.only !== undefined) return [onlyRoot(cloud, wanted.only, catalog, service)];
  const urls = wanted.override ?? findEndpoints(catalog ?? [], wanted);
  const [first, ...others] = new Set(urls.map(serviceRoot).filter((root) => root !== undefined));
  if (first !== undefined) return [first, ...others];
  throw new EndpointNotFound(`Keystone's catalog names no http or https URL for the ${service} service`);
}

/** Throws ForeignEndpoint for an address that neither clouds.yaml nor the catalog names. */
function onlyRoot(cloud: CloudConfig, address: string, catalog: Catalog | undefined, service: ServiceType): string {
  const wanted = cloud.services[service];
  const root = serviceRoot(address);
  const own = [...(wanted.override ?? []), ...allEndpoints(catalog ?? [], wanted)].map(serviceRoot);
  if (root !== undefined && own.includes(root)) return root;
  throw new ForeignEndpoint(address, service, cloud.name);
}

function authenticationFailed(service: ServiceType, renewed: boolean, failure: HttpFailure): AuthenticationFailed {
  const said = quoteFailure(failure);
  return renewed
    ? new TokenRejected(`the ${service} service refuses the token that Keystone has just given: ${said}`, failure)
    : new AuthenticationFailed(`the ${service} service refuses what clouds.yaml gives it to see: ${said}`, failure);
}
