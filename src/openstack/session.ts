/**
 * A session with one cloud: authenticated calls to its services.
 *
 * Guarantees: callers never see a token; every wait has a deadline; an error response is thrown as HttpFailure, which the client of
 * the service translates.
 */

import type { Clock, Random } from '../lib/clock.ts';
import { createAuthorizer } from './authorizer.ts';
import { type CallTarget, createCaller } from './caller.ts';
import type { CloudConfig } from './clouds.ts';
import { usableVersions, versionsIn } from './discovery.ts';
import { MalformedResponse, SessionClosed } from './errors.ts';
import type { BodyLimit, HttpResponse, HttpStream, Transport } from './exchange.ts';
import type { TokenIdentity } from './keystone.ts';
import { failureOf } from './response.ts';
import { createRetryBudget, defaultRetryPolicy, type RetryPolicy } from './retry.ts';
import type { ServiceAccountTokens } from './service-account.ts';
import { type OperationOf, type ServiceType, usedVersions } from './services.ts';

export type { ServiceType } from './services.ts';

interface Request {
  /** For metrics. */
  operation: OperationOf<ServiceType>;
  /** Relative to the versioned endpoint, with a leading slash, escaped, query included. */
  path: string;
  /** For this call only. */
  headers?: Record<string, string>;
  /** The global request id, up to 64 letters, digits and `.:_-`. Default: a new `req-<uuid>`. */
  requestId?: string;
  signal: AbortSignal;
}

export interface ServiceCall extends Request {
  method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  body?: string;
  /** Whether applying the call twice has the same effect as applying it once. */
  idempotent: boolean;
  limit: BodyLimit;
}

export interface ServiceUpload extends Request {
  /** Read at most once, and only after the connection is established. */
  body: AsyncIterable<Uint8Array>;
  /** In bytes, if known. */
  size: number | undefined;
  /** The memory of this piece of the body, and of all before it, is not read any more. */
  onSent?: ((piece: Uint8Array) => void) | undefined;
}

export type ServiceDownload = Request;

/**
 * All methods throw AuthenticationFailed, KeystoneUnreachable, KeystoneUnavailable, IdentityProviderUnavailable or EndpointNotFound,
 * and the signal's reason when it aborts. Those that call a service also throw HttpFailure for a status of 300 and above,
 * ConnectionFailed without a response, and MalformedResponse for one that is too large.
 */
export interface Session {
  readonly cloud: CloudConfig;
  identity(signal: AbortSignal): Promise<TokenIdentity>;
  /** The versioned URL of the service, without a trailing slash: `https://host/image/v2`. If there are several, the first in the catalog. */
  endpoint(service: ServiceType, signal: AbortSignal): Promise<string>;
  call(service: ServiceType, call: ServiceCall): Promise<HttpResponse>;
  /** PUT of a stream. Retried only while nothing of the body was read. Throws BodyFailed for an error of the body. */
  upload(service: ServiceType, upload: ServiceUpload): Promise<HttpResponse>;
  /**
   * GET of a stream. Retried until the head of a response has arrived. The body ends after all announced bytes or throws
   * ConnectionFailed, also if the server sends nothing for too long. Read it, return it, or abort `signal`.
   */
  download(service: ServiceType, download: ServiceDownload): Promise<HttpStream>;
  /**
   * The ids of the API versions that the service offers, `v2.17`, `v2.16`, …, in the order of its list. The list of an endpoint is
   * cached for an hour.
   */
  versions(service: ServiceType, signal: AbortSignal): Promise<readonly string[]>;
  /** Cancels running calls. */
  close(): Promise<void>;
}

export interface SessionOptions {
  cloud: CloudConfig;
  /** Closed together with the session. */
  transport: Transport;
  /** Default: there are no ServiceAccounts. */
  serviceAccountTokens?: ServiceAccountTokens | undefined;
  clock: Clock;
  random: Random;
  /** `retries` of the cloud's configuration overrides that of the policy. */
  policy?: RetryPolicy;
}

/** For one attempt of a call, unless clouds.yaml sets api_timeout. A full page of a long list takes seconds. */
const callDeadlineMs = 60_000;
/** Glance responds to an upload after the store has written and hashed all of it. */
const responseDeadlineMs = 600_000;
/** The remaining life of the token at the start of an upload. Some stores use it again at the end. */
const uploadTokenMs = 600_000;
/** How long a service may send nothing within a download. */
const idleMs = 60_000;
const versionsLimit: BodyLimit = { bytes: 256 * 1024, values: 4_000 };
/** A service may be upgraded while a session is open. */
const versionsCacheMs = 3_600_000;

export function createSession(options: SessionOptions): Session {
  const { cloud, transport, serviceAccountTokens, clock, random, policy = defaultRetryPolicy } = options;
  const closed = new AbortController();
  const retries = { policy: { ...policy, retries: cloud.retries ?? policy.retries }, budget: createRetryBudget() };
  const common = { cloud, clock, random, ...retries };
  const authorizer = createAuthorizer({ ...common, transport, serviceAccountTokens, signal: closed.signal });
  const caller = createCaller({ ...common, authorizer, closed: closed.signal });
  const versions = new Map<string, { ids: readonly string[]; until: number }>();
  const deadlineOf = ({ leftMs }: CallTarget) => Math.min(cloud.apiTimeoutMs ?? callDeadlineMs, leftMs);
  const address = (service: ServiceType, root: string) => `${root}/${usedVersions[service]}`;

  /** Glance lists its versions under `/versions`, other services at the root. The list is public, so no token is sent. */
  async function fetchVersions(
    service: ServiceType,
    target: CallTarget,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    const { root, requestId } = target;
    const end = clock.monotonic() + deadlineOf(target);
    const purpose = { service, operation: 'versions' } as const;
    const common = { purpose, method: 'GET', headers: {}, requestId, limit: versionsLimit, signal };
    const get = (url: string) => transport.request({ ...common, url, deadlineMs: end - clock.monotonic() });
    for (const url of [`${root}/versions`, `${root}/`]) {
      const response = await get(url);
      const found = versionsIn(response);
      if (found !== undefined) return usableVersions(found);
      if (response.status >= 500 || response.status === 429) throw failureOf('GET', url, response, { clock });
    }
    throw new MalformedResponse(`neither ${root}/versions nor ${root}/ is a list of API versions`, undefined);
  }

  return {
    cloud,
    async identity(signal) {
      return (await authorizer.current({ signal })).identity;
    },
    async endpoint(service, signal) {
      const [root] = await caller.roots(service, signal);
      return address(service, root);
    },

    call(service, { operation, method, path, headers, body, idempotent, limit, requestId, signal }) {
      return caller.call(service, { requestId, idempotent, signal }, async (target) => {
        const url = `${address(service, target.root)}${path}`;
        const response = await transport.request({
          purpose: { service, operation },
          method,
          url,
          headers: { ...headers, ...target.headers },
          requestId: target.requestId,
          ...(body === undefined ? {} : { body }),
          deadlineMs: deadlineOf(target),
          limit,
          signal,
        });
        const { secrets } = target;
        return response.status < 300 ? { accepted: { ...response, secrets } } : { rejected: response, method, url };
      });
    },

    upload(service, { operation, path, headers, body, size, onSent, requestId, signal }) {
      let isSending = false;
      const options = { requestId, idempotent: true, mayResend: () => !isSending, tokenLifeMs: uploadTokenMs, signal };
      return caller.call(service, options, async (target) => {
        const url = `${address(service, target.root)}${path}`;
        const purpose = { service, operation };
        const allHeaders = { ...headers, ...target.headers };
        const common = {
          purpose,
          method: 'PUT',
          url,
          requestId: target.requestId,
          body,
          size,
          onSent,
          responseDeadlineMs,
          signal,
        };
        const response = await transport.upload({ ...common, headers: allHeaders }, () => {
          isSending = true;
        });
        return response.status < 300 ? { accepted: response } : { rejected: response, method: 'PUT', url };
      });
    },

    download(service, { operation, path, headers, requestId, signal }) {
      return caller.call(service, { requestId, idempotent: true, signal }, async (target) => {
        const url = `${address(service, target.root)}${path}`;
        const purpose = { service, operation };
        const common = { purpose, url, requestId: target.requestId, idleMs, signal };
        const result = await transport.download({
          ...common,
          responseDeadlineMs: deadlineOf(target),
          headers: { ...headers, ...target.headers },
        });
        return 'accepted' in result ? result : { ...result, method: 'GET', url };
      });
    },

    versions(service, signal) {
      return caller.call(service, { requestId: undefined, idempotent: true, signal }, async (target) => {
        const known = versions.get(target.root);
        if (known !== undefined && clock.monotonic() < known.until) return { accepted: known.ids };
        const ids = await fetchVersions(service, target, signal);
        versions.set(target.root, { ids, until: clock.monotonic() + versionsCacheMs });
        return { accepted: ids };
      });
    },

    async close() {
      closed.abort(new SessionClosed(`the session with cloud ${cloud.name} is closed`));
      await transport.close();
    },
  };
}
