/**
 * A session with one cloud: authenticated calls to its services. Law: a caller never sees a token; every wait has a deadline; what
 * a service refuses comes back as an HttpFailure for the service's own client to translate.
 */

import type { Clock, Random } from '../lib/clock.ts';
import { createAuthorizer } from './authorizer.ts';
import { createCaller, type Target } from './caller.ts';
import type { CloudConfig } from './clouds.ts';
import { usable, versionsIn } from './discovery.ts';
import { MalformedResponse } from './errors.ts';
import type { HttpResponse, HttpStream, Transport } from './exchange.ts';
import type { Identity } from './keystone.ts';
import { failureOf } from './response.ts';
import { createRetryBudget, defaultRetryPolicy, type RetryPolicy } from './retry.ts';
import { type ServiceType, spokenVersions } from './services.ts';

export type { ServiceType } from './services.ts';

interface Request {
  /** Below the versioned endpoint, with a leading slash, escaped, query included. */
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
  /** Whether applying the call twice is the same as applying it once. */
  idempotent: boolean;
  bodyLimitBytes: number;
}

export interface ServiceUpload extends Request {
  /** Read at most once, and not before there is a connection. */
  body: AsyncIterable<Uint8Array>;
  /** In bytes, when known. */
  size: number | undefined;
}

export type ServiceDownload = Request;

/**
 * All of these throw AuthenticationFailed, KeystoneUnreachable, KeystoneUnavailable or EndpointNotFound; those that send
 * something to a service also HttpFailure for an answer of 300 and above, ConnectionFailed for none, and MalformedResponse for
 * one that is too large; and all the signal's reason when it aborts.
 */
export interface Session {
  readonly cloud: CloudConfig;
  identity(signal: AbortSignal): Promise<Identity>;
  /** The service's versioned URL, without a trailing slash: `https://host/image/v2`. Of several the first in the catalog. */
  endpoint(service: ServiceType, signal: AbortSignal): Promise<string>;
  call(service: ServiceType, call: ServiceCall): Promise<HttpResponse>;
  /** PUT of a stream. Tried again only while nothing of the body was read. */
  upload(service: ServiceType, upload: ServiceUpload): Promise<HttpResponse>;
  /**
   * GET of a stream. Tried again until the head of an answer has come. The body ends with all announced bytes or throws
   * ConnectionFailed; a server that falls silent within it is noticed. It must be read or returned, or `signal` aborted.
   */
  download(service: ServiceType, download: ServiceDownload): Promise<HttpStream>;
  /**
   * The ids of the API versions that the service offers, `v2.17`, `v2.16`, …, in the order of its own list. An endpoint is
   * asked once, and what it says is remembered for an hour.
   */
  versions(service: ServiceType, signal: AbortSignal): Promise<readonly string[]>;
  /** Ends what is running. */
  close(): Promise<void>;
}

export interface SessionOptions {
  cloud: CloudConfig;
  /** Closed together with the session. */
  transport: Transport;
  clock: Clock;
  random: Random;
  /** `retries` of the cloud's own configuration wins. */
  policy?: RetryPolicy;
}

/** For one try of a call, where clouds.yaml sets no api_timeout: a full page of a long list takes seconds. */
const callDeadlineMs = 60_000;
/** Glance answers an upload only when the store has written and hashed all of it. */
const answerDeadlineMs = 600_000;
/** What the token of an upload has left at its start: some stores show it again at the end. */
const uploadTokenMs = 600_000;
/** The longest silence of a service within the data of a download. */
const idleMs = 60_000;
const versionsLimitBytes = 256 * 1024;
/** Services are upgraded under running sessions. */
const versionsLiveMs = 3_600_000;

export function createSession(options: SessionOptions): Session {
  const { cloud, transport, clock, random, policy = defaultRetryPolicy } = options;
  const closed = new AbortController();
  const retries = { policy: { ...policy, retries: cloud.retries ?? policy.retries }, budget: createRetryBudget() };
  const authorizer = createAuthorizer({ cloud, transport, clock, random, ...retries, signal: closed.signal });
  const caller = createCaller({ cloud, authorizer, clock, random, ...retries, closed: closed.signal });
  const versions = new Map<string, { ids: readonly string[]; until: number }>();
  const deadlineOf = ({ leftMs }: Target) => Math.min(cloud.apiTimeoutMs ?? callDeadlineMs, leftMs);
  const address = (service: ServiceType, root: string) => `${root}/${spokenVersions[service]}`;

  /** Glance lists its versions under `/versions`, others at the root. Anybody may look, so no token is shown. */
  async function askVersions(target: Target, signal: AbortSignal): Promise<readonly string[]> {
    const { root, requestId } = target;
    const end = clock.monotonic() + deadlineOf(target);
    const common = { method: 'GET', headers: {}, requestId, bodyLimitBytes: versionsLimitBytes, signal };
    const look = (url: string) => transport.request({ ...common, url, deadlineMs: end - clock.monotonic() });
    for (const url of [`${root}/versions`, `${root}/`]) {
      const answer = await look(url);
      const found = versionsIn(answer);
      if (found !== undefined) return usable(found);
      if (answer.status >= 500 || answer.status === 429) throw failureOf('GET', url, answer, clock);
    }
    throw new MalformedResponse(`neither ${root}/versions nor ${root}/ is a list of API versions`, undefined);
  }

  return {
    cloud,
    async identity(signal) {
      return (await authorizer.current(signal)).identity;
    },
    async endpoint(service, signal) {
      const [root] = await caller.roots(service, signal);
      return address(service, root);
    },

    call(service, { method, path, headers, body, idempotent, bodyLimitBytes, requestId, signal }) {
      return caller.call(service, { requestId, idempotent, signal }, async (target) => {
        const url = `${address(service, target.root)}${path}`;
        const response = await transport.request({
          method,
          url,
          headers: { ...headers, ...target.headers },
          requestId: target.requestId,
          ...(body === undefined ? {} : { body }),
          deadlineMs: deadlineOf(target),
          bodyLimitBytes,
          signal,
        });
        return response.status < 300 ? { accepted: response } : { rejected: response, method, url };
      });
    },

    upload(service, { path, headers, body, size, requestId, signal }) {
      let begun = false;
      const options = { requestId, idempotent: true, mayResend: () => !begun, tokenLifeMs: uploadTokenMs, signal };
      return caller.call(service, options, async (target) => {
        const url = `${address(service, target.root)}${path}`;
        const common = { method: 'PUT', url, requestId: target.requestId, body, size, answerDeadlineMs, signal };
        const response = await transport.upload({ ...common, headers: { ...headers, ...target.headers } }, () => {
          begun = true;
        });
        return response.status < 300 ? { accepted: response } : { rejected: response, method: 'PUT', url };
      });
    },

    download(service, { path, headers, requestId, signal }) {
      return caller.call(service, { requestId, idempotent: true, signal }, async (target) => {
        const url = `${address(service, target.root)}${path}`;
        const common = { url, requestId: target.requestId, answerDeadlineMs: deadlineOf(target), idleMs, signal };
        const answer = await transport.download({ ...common, headers: { ...headers, ...target.headers } });
        return 'accepted' in answer ? answer : { ...answer, method: 'GET', url };
      });
    },

    versions(service, signal) {
      return caller.call(service, { requestId: undefined, idempotent: true, signal }, async (target) => {
        const known = versions.get(target.root);
        if (known !== undefined && clock.monotonic() < known.until) return { accepted: known.ids };
        const ids = await askVersions(target, signal);
        versions.set(target.root, { ids, until: clock.monotonic() + versionsLiveMs });
        return { accepted: ids };
      });
    },

    async close() {
      closed.abort(new Error(`the session with cloud ${cloud.name} is closed`));
      await transport.close();
    },
  };
}
