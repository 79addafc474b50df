/**
 * A session with one cloud: authenticated calls to its services. Law: a caller never sees a token; a service's 401 leads to
 * one new token and one more try, no further; what a service refuses comes back as an HttpFailure for the service's own
 * client to translate.
 */

import type { Clock, Random } from '../lib/clock.ts';
import { retry } from '../lib/errors.ts';
import { failureOf } from './answer.ts';
import { findEndpoint, versionedUrl } from './catalog.ts';
import type { CloudConfig } from './clouds.ts';
import { AuthenticationFailed, EndpointNotFound, inTheirWords } from './errors.ts';
import { defaultRetryPolicy, isPassing, type RetryPolicy, withRetries } from './retry.ts';
import { createTokenSource, type Identity, type Token } from './token.ts';
import type { HttpResponse, Transport } from './transport.ts';

export type ServiceType = keyof CloudConfig['services'];

/** The API version that we speak with each service; it is the last segment of its URL. */
const versions: Record<ServiceType, string> = { image: 'v2' };

export interface ServiceCall {
  method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  /** Below the versioned endpoint, with a leading slash, escaped, query included. */
  path: string;
  headers?: Record<string, string>;
  body?: string;
  /** Whether applying the call twice is the same as applying it once. */
  idempotent: boolean;
  bodyLimitBytes: number;
  signal: AbortSignal;
}

export interface ServiceUpload {
  path: string;
  headers: Record<string, string>;
  /** Read at most once, and not before there is a connection. */
  body: AsyncIterable<Uint8Array>;
  /** In bytes, when known. */
  size: number | undefined;
  signal: AbortSignal;
}

/**
 * All of these throw AuthenticationFailed, KeystoneUnreachable, KeystoneUnavailable or EndpointNotFound; `call` and `upload`
 * also HttpFailure for an answer of 300 and above, ConnectionFailed for none, and UnreadableAnswer for one that is too large.
 */
export interface Session {
  readonly cloud: CloudConfig;
  identity(signal: AbortSignal): Promise<Identity>;
  /** The service's versioned URL, without a trailing slash: `https://host/image/v2`. */
  endpoint(service: ServiceType, signal: AbortSignal): Promise<string>;
  call(service: ServiceType, call: ServiceCall): Promise<HttpResponse>;
  /** PUT of a stream. Tried again only while nothing of the body was read. */
  upload(service: ServiceType, upload: ServiceUpload): Promise<HttpResponse>;
  /** Ends what is running. */
  close(): Promise<void>;
}

export interface SessionOptions {
  cloud: CloudConfig;
  /** Closed together with the session. */
  transport: Transport;
  clock: Clock;
  random: Random;
  policy?: RetryPolicy;
}

/** For one try of a call, where clouds.yaml sets no api_timeout: a full page of a long list takes seconds. */
const callDeadlineMs = 60_000;
/** Glance answers an upload only when the store has written and hashed all of it. */
const answerDeadlineMs = 600_000;

export function createSession(options: SessionOptions): Session {
  const { cloud, transport, clock, random, policy = defaultRetryPolicy } = options;
  const tokens = createTokenSource({ cloud, transport, clock, random, policy });

  function endpointOf(token: Token, service: ServiceType): string {
    if (token.identity.project === undefined) {
      throw new EndpointNotFound(
        `the token of cloud ${cloud.name} is not scoped to a project: set project_name (or project_id) in clouds.yaml`,
      );
    }
    return versionedUrl(findEndpoint(token.catalog, service, cloud.services[service]), versions[service]);
  }

  async function send(token: Token, service: ServiceType, call: ServiceCall, leftMs: number) {
    const url = `${endpointOf(token, service)}${call.path}`;
    const { method, body, bodyLimitBytes, signal } = call;
    const response = await transport.request({
      method,
      url,
      headers: { ...call.headers, 'x-auth-token': token.id.reveal() },
      ...(body === undefined ? {} : { body }),
      deadlineMs: Math.min(cloud.apiTimeoutMs ?? callDeadlineMs, leftMs),
      bodyLimitBytes,
      signal,
    });
    return { response, failure: response.status < 300 ? undefined : failureOf(method, url, response, clock) };
  }

  return {
    cloud,
    async identity(signal) {
      return (await tokens.current(signal)).identity;
    },
    async endpoint(service, signal) {
      return endpointOf(await tokens.current(signal), service);
    },

    call(service, call) {
      const { signal } = call;
      const again = (error: unknown) => isPassing(error, call.idempotent);
      return withRetries({ policy, clock, random, signal }, again, async (leftMs) => {
        const token = await tokens.current(signal);
        const first = await send(token, service, call, leftMs);
        if (first.failure === undefined) return first.response;
        if (first.failure.status !== 401) throw first.failure;
        tokens.reject(token);
        const second = await send(await tokens.current(signal), service, call, leftMs);
        if (second.failure === undefined) return second.response;
        if (second.failure.status !== 401) throw second.failure;
        const said = inTheirWords(second.failure);
        const message = `the ${service} service refuses the token that Keystone has just given: ${said}`;
        throw new AuthenticationFailed(message, second.failure, retry.backoff);
      });
    },

    upload(service, upload) {
      const { path, headers, body, size, signal } = upload;
      let begun = false;
      const again = (error: unknown) => !begun && isPassing(error, false);
      return withRetries({ policy, clock, random, signal }, again, async () => {
        const token = await tokens.current(signal);
        const url = `${endpointOf(token, service)}${path}`;
        const response = await transport.upload(
          {
            method: 'PUT',
            url,
            headers: { ...headers, 'x-auth-token': token.id.reveal() },
            body,
            size,
            answerDeadlineMs,
            signal,
          },
          () => {
            begun = true;
          },
        );
        // The body is gone, so the call cannot be repeated here; the next one gets a new token.
        if (response.status === 401) tokens.reject(token);
        if (response.status >= 300) throw failureOf('PUT', url, response, clock);
        return response;
      });
    },

    async close() {
      tokens.close();
      await transport.close();
    },
  };
}
