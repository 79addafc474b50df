/**
 * The sign-in of a federated user: Keystone exchanges an access token of an identity provider for a token without a scope, and that one
 * for a token with the scope (OS-FEDERATION).
 *
 * Guarantees: the access token is sent to the host of `auth_url` only; an error says which of the two steps failed, and what has to
 * fit.
 */
import type { Clock } from '../lib/clock.ts';
import { SecretString } from '../lib/secret.ts';
import type { IdentityCall } from './access-token.ts';
import { authenticationRequest, type Method, type Scope } from './credentials.ts';
import { AuthenticationFailed, MalformedResponse, quoteFailure } from './errors.ts';
import type { BodyLimit, HttpResponse } from './exchange.ts';
import { failureOf } from './response.ts';

export interface FederatedSignIn {
  /** Of the v3 API. */
  root: string;
  method: Extract<Method, { kind: 'federated' }>;
  scope: Scope;
  accessToken: SecretString;
  /** For messages: `the credentials of cloud demo`. */
  whose: string;
  call: IdentityCall;
  limit: BodyLimit;
  clock: Clock;
}

/** The response with the token. Throws AuthenticationFailed, HttpFailure and the errors of the calls. */
export async function signInFederated(signIn: FederatedSignIn): Promise<HttpResponse> {
  const { root, scope, call, limit } = signIn;
  const unscoped = await exchangeAccessToken(signIn);
  if (scope.kind === 'default') return unscoped;
  const id = unscoped.headers['x-subject-token'];
  if (id === undefined) throw new MalformedResponse('its response has no token', unscoped.requestId);
  const token = new SecretString(id);
  const url = `${root}/auth/tokens`;
  const body = JSON.stringify(authenticationRequest({ kind: 'token', token }, scope));
  const secrets = [token, signIn.accessToken];
  const response = await call({
    operation: 'signIn',
    method: 'POST',
    url,
    headers: { 'content-type': 'application/json' },
    body,
    limit,
    secrets,
  });
  if (response.status < 300) return response;
  throw rejected(signIn, { url, response, secrets }, (quote) => ({
    what: `Keystone accepted the access token of ${signIn.whose}, but rejected the ${scope.kind}: ${quote}`,
    advice: `the mapping in Keystone must put the user into a group that has a role there, and clouds.yaml must name that ${scope.kind}`,
  }));
}

async function exchangeAccessToken(signIn: FederatedSignIn): Promise<HttpResponse> {
  const { root, method, accessToken, whose, call, limit } = signIn;
  const { identityProvider, protocol } = method;
  const place = `identity_providers/${encodeURIComponent(identityProvider)}/protocols/${encodeURIComponent(protocol)}`;
  const url = `${root}/OS-FEDERATION/${place}/auth`;
  const secrets = [accessToken];
  const headers = { authorization: `Bearer ${accessToken.reveal()}` };
  const response = await call({ operation: 'signIn', method: 'POST', url, headers, limit, secrets });
  const { status } = response;
  if (status < 300) return response;
  throw rejected(signIn, { url, response, secrets }, (quote) => ({
    what:
      status < 400
        ? `Keystone redirects the access token of ${whose} to a login page: ${quote}`
        : `Keystone rejected the access token of ${whose}: ${quote}`,
    advice: adviceFor(status, method),
  }));
}

function adviceFor(status: number, { identityProvider, protocol, accessToken }: FederatedSignIn['method']): string {
  const names = `identity provider ${identityProvider} and protocol ${protocol}`;
  if (status < 400)
    return 'its web server must accept bearer tokens at this address (AuthType oauth20 or auth-openidc)';
  if (status === 404) return `${names} must exist in Keystone under these names`;
  const claims = accessToken.kind === 'serviceAccount' ? `issuer, the audience ${accessToken.audience}` : 'issuer';
  return `the web server of Keystone must accept the ${claims} and the keys of the token, and the mapping of ${names} must match the subject of the token`;
}

function rejected(
  { clock }: FederatedSignIn,
  { url, response, secrets }: { url: string; response: HttpResponse; secrets: readonly SecretString[] },
  say: (quote: string) => { what: string; advice: string },
): Error {
  const failure = failureOf('POST', url, { ...response, ...withoutPage(response) }, { clock, secrets });
  // Not about the credentials: the caller names the server.
  if (response.status >= 500) return failure;
  const { what, advice } = say(quoteFailure(failure));
  const code = response.status === 401 ? 'AuthenticationFailed' : 'CredentialsInvalid';
  return new AuthenticationFailed(`${what}; ${advice}`, failure, code);
}

/** The page of a web server is for browsers. A header has the problem of a token (RFC 6750). */
function withoutPage({ headers }: HttpResponse): Pick<HttpResponse, 'text' | 'headers'> | undefined {
  if (!/^\s*text\/html\b/i.test(headers['content-type'] ?? '')) return undefined;
  const [, problem = 'a page of its web server'] =
    /\berror_description="([^"]*)"/.exec(headers['www-authenticate'] ?? '') ?? [];
  return { text: problem, headers: { ...headers, 'content-type': 'text/plain' } };
}
