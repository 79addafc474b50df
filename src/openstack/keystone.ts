/**
 * Signs in to Keystone v3: exchanges credentials for a token.
 *
 * Guarantees: an error quotes Keystone's message without our secrets, even if Keystone echoes them; requests to Keystone go only to
 * the host of `auth_url`, even if Keystone reports another address.
 */

import * as z from 'zod';
import { boundedList } from '../lib/bounded-list.ts';
import type { OperatorError } from '../lib/errors.ts';
import { SecretString } from '../lib/secret.ts';
import { accessTokenOf, type IdentityCall } from './access-token.ts';
import { type Catalog, catalogSchema, relevantPart } from './catalog.ts';
import type { KeystoneLogin } from './clouds-auth.ts';
import { authenticationRequest, secretsOf } from './credentials.ts';
import { keystoneRoot } from './discovery.ts';
import {
  AuthenticationFailed,
  ConnectionFailed,
  HttpFailure,
  IdentityProviderUnavailable,
  KeystoneUnavailable,
  KeystoneUnreachable,
  MalformedResponse,
  quoteFailure,
} from './errors.ts';
import type { BodyLimit, HttpResponse, Transport } from './exchange.ts';
import { signInFederated } from './federation.ts';
import { newRequestId } from './request-id.ts';
import { failureOf, jsonOf } from './response.ts';
import { classify, type RetryContext, withRetries } from './retry.ts';
import { noServiceAccounts, type ServiceAccountTokens } from './service-account.ts';

/** The user that Keystone authenticated, and the scope of the token. */
export interface TokenIdentity {
  user: { id: string; name: string } | undefined;
  /** Undefined if the token is not scoped to a project. */
  project: { id: string; name: string } | undefined;
  scope: 'project' | 'domain' | 'system' | 'none';
  roles: string[];
}

export interface Token {
  id: SecretString;
  identity: TokenIdentity;
  catalog: Catalog;
}

export interface NewToken {
  token: Token;
  /** From the two times in the response, in milliseconds: a wrong wall clock on either side has no effect. */
  lifeMs: number;
}

export interface KeystoneOptions extends RetryContext {
  /** For messages: `the credentials of cloud demo`. */
  whose: string;
  login: KeystoneLogin;
  /** Of the services whose endpoints are kept. */
  serviceTypes: ReadonlySet<string>;
  transport: Transport;
  /** Default: there are no ServiceAccounts. */
  serviceAccountTokens?: ServiceAccountTokens | undefined;
  timeoutMs: number | undefined;
}

/** Throws AuthenticationFailed, KeystoneUnreachable or KeystoneUnavailable, and the signal's reason when it aborts. */
export type SignIn = () => Promise<NewToken>;

/** For one attempt of a request, unless clouds.yaml sets api_timeout. */
const deadlineMs = 30_000;
/** Enough for a catalog with dozens of services in dozens of regions. */
const tokenLimit: BodyLimit = { bytes: 2 * 1024 * 1024, values: 40_000 };
const versionsLimit: BodyLimit = { bytes: 256 * 1024, values: 4_000 };

export function createSignIn(options: KeystoneOptions): SignIn {
  const { login, transport, whose, serviceAccountTokens = noServiceAccounts, clock, signal } = options;
  const { authUrl, credentials } = login;
  const { method, scope } = credentials;
  const known = secretsOf(method);
  let found: { root: string; isSure: boolean } | undefined;

  async function exchange(requestId: string, leftMs: number): Promise<HttpResponse> {
    const end = clock.monotonic() + Math.min(options.timeoutMs ?? deadlineMs, leftMs);
    const call: IdentityCall = async ({ operation, headers = {}, secrets: sent = [], ...request }) => {
      const response = await transport.request({
        ...request,
        purpose: { service: 'identity', operation },
        headers,
        requestId,
        deadlineMs: end - clock.monotonic(),
        signal,
      });
      const secrets = [...known, ...sent];
      if (isBusy(response)) throw failureOf(request.method, request.url, response, { clock, secrets });
      return { ...response, secrets };
    };
    // A root that is not sure is fetched again the next time: the response may have been a maintenance page.
    if (found?.isSure !== true) {
      const versions = await call({ operation: 'versions', method: 'GET', url: authUrl, limit: versionsLimit });
      found = keystoneRoot(authUrl, versions);
    }
    const { root } = found;
    const limit = tokenLimit;
    if (method.kind === 'federated') {
      const accessToken = await accessTokenOf(method.accessToken, { call, whose, serviceAccountTokens, clock, signal });
      return signInFederated({ root, method, scope, accessToken, whose, call, limit, clock });
    }
    const url = `${root}/auth/tokens`;
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify(authenticationRequest(method, scope));
    const response = await call({ operation: 'signIn', method: 'POST', url, headers, body, limit });
    if (response.status < 300) return response;
    throw failureOf('POST', url, response, { clock, secrets: known });
  }

  return async () => {
    const requestId = newRequestId();
    try {
      // An unused token does no harm, so the request can always be repeated.
      const response = await withRetries(options, {
        attempt: (leftMs) => exchange(requestId, leftMs),
        classify: (error) => classify(error instanceof IdentityProviderUnavailable ? error.cause : error, true),
        hasUntried: () => false,
      });
      return readToken(response, options.serviceTypes);
    } catch (error) {
      signal.throwIfAborted();
      throw translated(error, options, found?.isSure === true);
    }
  };
}

/** The server cannot handle any request at the moment. */
function isBusy({ status }: HttpResponse): boolean {
  return status === 429 || status === 502 || status === 503 || status === 504;
}

/** `isKeystone`: the server returned Keystone's version document, so a 404 is about a token or trust in the credentials. */
function translated(error: unknown, { whose, login }: KeystoneOptions, isKeystone: boolean): unknown {
  const unusable = (problem: string, cause: OperatorError) =>
    new KeystoneUnavailable(`no usable Keystone at ${login.authUrl}: ${problem}`, cause);
  if (error instanceof ConnectionFailed) return new KeystoneUnreachable(error);
  if (error instanceof MalformedResponse) return unusable(error.message, error);
  if (!(error instanceof HttpFailure)) return error;
  const { status, serverMessage } = error;
  const quote = quoteFailure(error);
  if ([400, 401, 403].includes(status) || (status === 404 && isKeystone)) {
    // This 401 accepts the method and requires a second one.
    const advice = serverMessage.includes('required_auth_methods') ? `; ${severalMethods}` : '';
    const code = status === 401 ? 'AuthenticationFailed' : 'CredentialsInvalid';
    return new AuthenticationFailed(`Keystone rejected ${whose}: ${quote}${advice}`, error, code);
  }
  if (status < 400 || status === 404 || status === 405) {
    return unusable(`it returned ${quote}; is auth_url the address of a Keystone with the v3 API?`, error);
  }
  return new KeystoneUnavailable(`Keystone returned ${quote}`, error);
}

const severalMethods =
  'this user must sign in by several methods: use an application credential (auth_type v3applicationcredential)';

const text = z.string().max(255);
const nameAndId = z.object({ id: text, name: text });
const tokenSchema = z.object({
  token: z.object({
    issued_at: z.iso.datetime({ offset: true }),
    expires_at: z.iso.datetime({ offset: true }),
    user: nameAndId,
    project: nameAndId.optional(),
    domain: nameAndId.optional(),
    system: z.looseObject({}).optional(),
    roles: boundedList(z.object({ name: text }), 500).default([]),
    catalog: catalogSchema.default([]),
  }),
});

function readToken(response: HttpResponse, serviceTypes: ReadonlySet<string>): NewToken {
  const body = tokenSchema.safeParse(jsonOf(response));
  const id = response.headers['x-subject-token'];
  if (!body.success || id === undefined) throw new MalformedResponse('its response has no token', response.requestId);
  const { issued_at, expires_at, user, project, domain, system, roles, catalog } = body.data.token;
  const scope = project ? 'project' : domain ? 'domain' : system ? 'system' : 'none';
  const identity: TokenIdentity = { user, project, scope, roles: roles.map((role) => role.name) };
  return {
    token: { id: new SecretString(id), identity, catalog: relevantPart(catalog, serviceTypes) },
    lifeMs: new Date(expires_at).getTime() - new Date(issued_at).getTime(),
  };
}
