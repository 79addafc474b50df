/**
 * Gets the access token with which Keystone lets a federated user in: a fixed one, that of a ServiceAccount, or a new one from the token
 * endpoint of an identity provider (OAuth 2.0, client credentials).
 *
 * Guarantees: what the identity provider sends is bounded; an error names its address and quotes it without our secrets; the
 * client secret goes to the token endpoint only, and to no address without TLS that a document with TLS names.
 */
import * as z from 'zod';
import type { Clock } from '../lib/clock.ts';
import { describe } from '../lib/errors.ts';
import { SecretString, safeUrl, tokenForm } from '../lib/secret.ts';
import type { AccessTokenOrigin, OpenIDClient } from './credentials.ts';
import {
  AuthenticationFailed,
  ConnectionFailed,
  HttpFailure,
  IdentityProviderUnavailable,
  MalformedResponse,
  quoteFailure,
} from './errors.ts';
import type { BodyLimit, HttpResponse } from './exchange.ts';
import { failureOf, jsonOf } from './response.ts';
import type { ServiceAccountTokens } from './service-account.ts';
import type { OperationOf } from './services.ts';

export interface IdentityRequest {
  operation: OperationOf<'identity'>;
  method: 'GET' | 'POST';
  url: string;
  headers?: Record<string, string>;
  body?: string;
  limit: BodyLimit;
  /** That are sent, and that the server may echo. */
  secrets?: readonly SecretString[];
}

/** Throws ConnectionFailed and MalformedResponse, and HttpFailure for a server that handles no request at the moment. */
export type IdentityCall = (request: IdentityRequest) => Promise<HttpResponse>;

export interface AccessTokenContext {
  call: IdentityCall;
  /** For messages: `the credentials of cloud demo`. */
  whose: string;
  serviceAccountTokens: ServiceAccountTokens;
  clock: Clock;
  signal: AbortSignal;
}

const limit: BodyLimit = { bytes: 64 * 1024, values: 2_000 };
const tokenText = z.string().regex(tokenForm);
const tokenSchemas = {
  access_token: z.object({ access_token: tokenText }).transform((body) => body.access_token),
  id_token: z.object({ id_token: tokenText }).transform((body) => body.id_token),
};
const discoverySchema = z.object({ token_endpoint: z.url({ protocol: /^https?$/ }).max(2048) });

/** Throws AuthenticationFailed, IdentityProviderUnavailable, the errors of a ServiceAccount, and the signal's reason. */
export async function accessTokenOf(origin: AccessTokenOrigin, context: AccessTokenContext): Promise<SecretString> {
  switch (origin.kind) {
    case 'fixed':
      return origin.token;
    case 'serviceAccount':
      return context.serviceAccountTokens(origin.account, origin.audience, context.signal);
    case 'clientCredentials':
      return tokenOfClient(origin.client, context);
  }
}

async function tokenOfClient(client: OpenIDClient, context: AccessTokenContext): Promise<SecretString> {
  const { address, id, secret, scope, part } = client;
  const url = address.kind === 'endpoint' ? address.url : await discovered(address.url, context);
  const what = `the token endpoint ${safeUrl(url)}`;
  const pair = new SecretString(Buffer.from(`${id}:${secret.reveal()}`).toString('base64'));
  const secrets = [secret, pair];
  const response = await ask(what, context, {
    method: 'POST',
    url,
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      authorization: `Basic ${pair.reveal()}`,
    },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope }).toString(),
    secrets,
  });
  const { status } = response;
  if (status >= 300) {
    const failure = failureOf('POST', url, response, { clock: context.clock, secrets });
    const quote = quoteFailure(failure);
    if (status !== 400 && status !== 401 && status !== 403)
      throw new IdentityProviderUnavailable(`${what} returned ${quote}; is ${settingOf(address)} right?`, failure);
    const advice = 'check client_id, client_secret and openid_scope';
    const code = status === 401 ? 'AuthenticationFailed' : 'CredentialsInvalid';
    throw new AuthenticationFailed(`${what} rejected ${context.whose}: ${quote}; ${advice}`, failure, code);
  }
  const token = tokenSchemas[part].safeParse(json(what, response));
  if (token.success) return new SecretString(token.data);
  throw unusable(what, new MalformedResponse(`its response has no usable ${part}`, response.requestId));
}

/** The address in the document may be of another host: that is usual. */
async function discovered(url: string, context: AccessTokenContext): Promise<string> {
  const what = `the discovery document ${safeUrl(url)}`;
  const response = await ask(what, context, { method: 'GET', url });
  if (response.status >= 300) {
    const failure = failureOf('GET', url, response, { clock: context.clock });
    throw new IdentityProviderUnavailable(
      `${what} cannot be read: ${quoteFailure(failure)}; is discovery_endpoint right?`,
      failure,
    );
  }
  const document = discoverySchema.safeParse(json(what, response));
  const problem = (text: string) => unusable(what, new MalformedResponse(text, response.requestId));
  if (!document.success) throw problem('it has no usable token_endpoint');
  const endpoint = new URL(document.data.token_endpoint);
  if (endpoint.username !== '' || endpoint.password !== '') throw problem('its token_endpoint has a user');
  if (url.startsWith('https:') && endpoint.protocol !== 'https:') throw problem('its token_endpoint has no TLS');
  return endpoint.href;
}

async function ask(
  what: string,
  { call, signal }: AccessTokenContext,
  request: Omit<IdentityRequest, 'operation' | 'limit'>,
): Promise<HttpResponse> {
  try {
    return await call({ ...request, operation: 'accessToken', limit });
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ConnectionFailed)
      throw new IdentityProviderUnavailable(`${what} does not respond: ${describe(error.cause)}`, error);
    if (error instanceof HttpFailure)
      throw new IdentityProviderUnavailable(`${what} returned ${quoteFailure(error)}`, error);
    throw error instanceof MalformedResponse ? unusable(what, error) : error;
  }
}

function json(what: string, response: HttpResponse): unknown {
  try {
    return jsonOf(response);
  } catch (error) {
    throw error instanceof MalformedResponse ? unusable(what, error) : error;
  }
}

function unusable(what: string, cause: MalformedResponse): IdentityProviderUnavailable {
  return new IdentityProviderUnavailable(`${what} cannot be used: ${cause.message}`, cause);
}

function settingOf({ kind }: OpenIDClient['address']): string {
  return kind === 'endpoint' ? 'access_token_endpoint' : 'the token_endpoint of the discovery document';
}
