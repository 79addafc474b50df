/**
 * The part of clouds.yaml that describes a sign-in through an identity provider (OpenID Connect), without a person.
 *
 * Guarantees: an access token has exactly one origin; the token of a ServiceAccount is used only where its owner allows it.
 */
import { SecretString } from '../lib/secret.ts';
import { type AuthSettings, configuredUrl, type Fail, secretMissing } from './clouds-settings.ts';
import type { AccessTokenOrigin, Method, OpenIDClient, ServiceAccount } from './credentials.ts';
import { checkKeystone } from './service-account.ts';

/** `v3oidcaccesstoken` and `v3oidcclientcredentials`. */
export type FederatedKind = 'accessToken' | 'clientCredentials';

export interface FederationContext {
  /** Of Keystone, as it is called. */
  authUrl: string;
  region: string | undefined;
  /** That the resource names, if it names one. */
  serviceAccount: ServiceAccount | undefined;
  fail: Fail;
}

export function federatedMethodOf(s: AuthSettings, kind: FederatedKind, context: FederationContext): Method {
  const { fail } = context;
  if (s.identity_provider === undefined)
    throw fail('identity_provider is missing: the name of the identity provider in Keystone');
  if (s.protocol === undefined) throw fail('protocol is missing: the name of its protocol in Keystone, often openid');
  const accessToken = kind === 'accessToken' ? accessTokenOf(s, context) : clientCredentialsOf(s, context);
  return { kind: 'federated', identityProvider: s.identity_provider, protocol: s.protocol, accessToken };
}

function accessTokenOf(s: AuthSettings, { authUrl, serviceAccount, fail }: FederationContext): AccessTokenOrigin {
  if (s.access_token !== undefined) {
    if (serviceAccount !== undefined)
      throw fail('it has an access_token, and the resource names a ServiceAccount: remove one of them');
    return { kind: 'fixed', token: new SecretString(s.access_token) };
  }
  if (serviceAccount === undefined)
    throw fail(
      'access_token is missing: name a ServiceAccount in serviceAccountName, next to the secretRef of the resource, to use its tokens',
    );
  const audience = s.access_token_audience ?? new URL(authUrl).origin;
  if (!/^[!-+\--~]{1,255}$/.test(audience))
    throw fail('access_token_audience must be up to 255 visible characters of ASCII without a comma');
  checkKeystone(serviceAccount, authUrl, audience);
  return { kind: 'serviceAccount', account: serviceAccount, audience };
}

/** The names and defaults are those of keystoneauth. */
function clientCredentialsOf(s: AuthSettings, { region, fail }: FederationContext): AccessTokenOrigin {
  if (s.client_id === undefined) throw fail('client_id is missing');
  if (s.client_secret === undefined) throw fail(secretMissing('client_secret'));
  const part = s.access_token_type ?? 'access_token';
  if (part !== 'access_token' && part !== 'id_token') throw fail('access_token_type must be access_token or id_token');
  const client: OpenIDClient = {
    address: addressOf(s, region, fail),
    id: s.client_id,
    secret: new SecretString(s.client_secret),
    scope: s.openid_scope ?? s.scope ?? 'openid profile',
    part,
  };
  return { kind: 'clientCredentials', client };
}

function addressOf(s: AuthSettings, region: string | undefined, fail: Fail): OpenIDClient['address'] {
  const url = (key: 'access_token_endpoint' | 'discovery_endpoint', value: string) =>
    configuredUrl(key, value, region, fail).href;
  if (s.access_token_endpoint !== undefined)
    return { kind: 'endpoint', url: url('access_token_endpoint', s.access_token_endpoint) };
  if (s.discovery_endpoint !== undefined)
    return { kind: 'discovery', url: url('discovery_endpoint', s.discovery_endpoint) };
  throw fail('access_token_endpoint (or discovery_endpoint) is missing');
}
