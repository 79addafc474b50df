/**
 * The part of clouds.yaml that describes how to sign in.
 *
 * Guarantees: the result is one complete method and one scope; a method that needs a person at every sign-in is rejected, and the
 * message names one that a program can use.
 */
import { SecretString } from '../lib/secret.ts';
import { withoutEnd } from '../lib/trim.ts';
import { type FederatedKind, federatedMethodOf } from './clouds-federation.ts';
import { type AuthSettings, configuredUrl, type Fail, secretMissing } from './clouds-settings.ts';
import type {
  ApplicationCredentialRef,
  Credentials,
  DirectMethod,
  DomainRef,
  Method,
  Scope,
  ScopedRef,
  ServiceAccount,
} from './credentials.ts';

/** How to authenticate to a cloud. */
export type Access =
  /** The token of `service`, a service user, is sent in addition to that of the user. */
  | { kind: 'keystone'; user: KeystoneLogin; service: KeystoneLogin | undefined }
  /** A token that is renewed by other means. Keystone is not called. */
  | { kind: 'adminToken'; token: SecretString }
  | { kind: 'httpBasic'; username: string; password: SecretString }
  /** The services need no credentials. */
  | { kind: 'none' };

export interface KeystoneLogin {
  /** As in clouds.yaml, without a trailing slash: Keystone's root or its v3 root. */
  authUrl: string;
  credentials: Credentials;
}

interface AccessContext {
  region: string | undefined;
  /** That the resource names, if it names one. Its tokens are for the user only. */
  serviceAccount: ServiceAccount | undefined;
  fail: Fail;
}

/** `service`: the settings under `service_auth`. Without an `auth_url` of its own the service user has that of the user. */
export function accessOf(user: AuthSettings, service: AuthSettings | undefined, context: AccessContext): Access {
  const { fail, serviceAccount } = context;
  const kind = kindOf(user, fail);
  if (serviceAccount !== undefined && kind !== 'accessToken')
    throw fail(
      'the resource names a ServiceAccount, which needs auth_type v3oidcaccesstoken: set that type, or remove serviceAccountName',
    );
  if (service !== undefined && !usesKeystone(kind))
    throw fail('service_auth has no effect without a Keystone: remove it');
  switch (kind) {
    case 'none':
      return { kind };
    case 'adminToken':
      if (user.token === undefined) throw fail(secretMissing('token'));
      return { kind, token: new SecretString(user.token) };
    case 'httpBasic':
      if (user.username === undefined) throw fail('username is missing');
      if (user.password === undefined) throw fail(secretMissing('password'));
      return { kind, username: user.username, password: new SecretString(user.password) };
    default: {
      const failThere: Fail = (problem) => fail(`service_auth: ${problem}`);
      const serviceUser = service && { auth_url: user.auth_url, ...service };
      return {
        kind: 'keystone',
        user: loginOf(user, kind, context),
        service:
          serviceUser &&
          loginOf(serviceUser, keystoneKindOf(serviceUser, failThere), {
            ...context,
            serviceAccount: undefined,
            fail: failThere,
          }),
      };
    }
  }
}

type KeystoneKind = DirectMethod['kind'] | FederatedKind;
type Kind = KeystoneKind | Exclude<Access['kind'], 'keystone'>;

function usesKeystone(kind: Kind): kind is KeystoneKind {
  return kind !== 'none' && kind !== 'adminToken' && kind !== 'httpBasic';
}

function keystoneKindOf(s: AuthSettings, fail: Fail): KeystoneKind {
  const kind = kindOf(s, fail);
  if (!usesKeystone(kind)) throw fail('its auth_type does not get a token from Keystone');
  return kind;
}

const kinds: ReadonlyMap<string, Kind> = new Map([
  ['password', 'password'],
  ['v3password', 'password'],
  ['token', 'token'],
  ['v3token', 'token'],
  ['v3applicationcredential', 'applicationCredential'],
  ['v3oidcaccesstoken', 'accessToken'],
  ['v3oidcclientcredentials', 'clientCredentials'],
  ['admin_token', 'adminToken'],
  ['token_endpoint', 'adminToken'],
  ['http_basic', 'httpBasic'],
  ['none', 'none'],
  ['noauth', 'none'],
]);

const browser = 'needs a person at a browser';
const identityV2 = 'belongs to Identity v2, which is not supported';
/** Other types of openstacksdk, and why they cannot be used here. */
const unusableKinds: ReadonlyMap<string, string> = new Map([
  ['v3oidcpassword', 'is not supported'],
  ['v3oidcauthcode', browser],
  ['v3oidcdeviceauthz', browser],
  ['v3websso', browser],
  ['v3totp', 'needs a new passcode at every sign-in, which a program cannot type'],
  ['v3multifactor', 'needs a second factor at every sign-in, which a program does not have'],
  ['v2password', identityV2],
  ['v2token', identityV2],
]);

function kindOf(s: AuthSettings, fail: Fail): Kind {
  if (s.auth_type === undefined) {
    if (s.password !== undefined) return 'password';
    if (s.application_credential_secret !== undefined) return 'applicationCredential';
    return s.token === undefined ? 'password' : 'token';
  }
  const kind = kinds.get(s.auth_type.toLowerCase());
  if (kind !== undefined) return kind;
  const why = unusableKinds.get(s.auth_type.toLowerCase());
  const advice = 'an application credential (auth_type v3applicationcredential) does the same for any user';
  if (why !== undefined) throw fail(`auth_type ${s.auth_type} ${why}: ${advice}`);
  // Another text may be a secret in the wrong place.
  const shown = /^v\d[a-z]{2,30}$/.test(s.auth_type) ? `auth_type ${s.auth_type}` : 'auth_type';
  throw fail(`${shown} is none of ${[...kinds.keys()].join(', ')}: ${advice}`);
}

function loginOf(s: AuthSettings, kind: KeystoneKind, context: AccessContext): KeystoneLogin {
  const { region, fail } = context;
  if (s.auth_url === undefined) {
    const hasProfile = s.profile !== undefined || s.cloud !== undefined;
    throw fail(
      hasProfile ? 'profile is not supported: write auth_url and the other values out' : 'auth_url is missing',
    );
  }
  const { origin, pathname } = configuredUrl('auth_url', s.auth_url, region, fail);
  // The address of the tokens is a common mistake.
  const authUrl = `${origin}${withoutEnd(pathname, '/').replace(/\/auth\/tokens$/, '')}`;
  if (kind !== 'accessToken' && kind !== 'clientCredentials')
    return { authUrl, credentials: credentialsOf(s, kind, fail) };
  const method: Method = federatedMethodOf(s, kind, { ...context, authUrl });
  return { authUrl, credentials: { method, scope: scopeOf(s, fail) } };
}

function credentialsOf(s: AuthSettings, kind: DirectMethod['kind'], fail: Fail): Credentials {
  switch (kind) {
    case 'password':
      if (s.password === undefined) throw fail(secretMissing('password'));
      return {
        method: { kind, user: userOf(s, fail), password: new SecretString(s.password) },
        scope: scopeOf(s, fail),
      };
    case 'token':
      if (s.token === undefined) throw fail(secretMissing('token'));
      return { method: { kind, token: new SecretString(s.token) }, scope: scopeOf(s, fail) };
    case 'applicationCredential':
      if (s.application_credential_secret === undefined) throw fail(secretMissing('application_credential_secret'));
      if (s.system_scope !== undefined || s.trust_id !== undefined) {
        throw fail('an application credential is always for its own project: remove system_scope and trust_id');
      }
      return {
        method: {
          kind,
          credential: applicationCredentialOf(s, fail),
          secret: new SecretString(s.application_credential_secret),
        },
        scope: { kind: 'default' },
      };
  }
}

function applicationCredentialOf(s: AuthSettings, fail: Fail): ApplicationCredentialRef {
  if (s.application_credential_id !== undefined) return { id: s.application_credential_id };
  if (s.application_credential_name === undefined) throw fail('application_credential_id is missing');
  return { name: s.application_credential_name, user: userOf(s, fail) };
}

function userOf(s: AuthSettings, fail: Fail): ScopedRef {
  if (s.user_id !== undefined) return { id: s.user_id };
  if (s.username === undefined) throw fail('username (or user_id) is missing');
  const domain = domainOf(s.user_domain_id, s.user_domain_name);
  if (domain === undefined) throw fail('user_domain_name (or user_domain_id) is missing; it is often Default');
  return { name: s.username, domain };
}

/** The one scope of the token. With a project, `domain_*` only names the domain of the project. */
function scopeOf(s: AuthSettings, fail: Fail): Scope {
  const project = projectOf(s, fail);
  const domain = project === undefined ? domainOf(s.domain_id, s.domain_name) : undefined;
  if (s.system_scope !== undefined && s.system_scope.toLowerCase() !== 'all') {
    throw fail('system_scope must be all');
  }
  const scopes: Scope[] = [
    ...(project === undefined ? [] : [{ kind: 'project' as const, project }]),
    ...(domain === undefined ? [] : [{ kind: 'domain' as const, domain }]),
    ...(s.system_scope === undefined ? [] : [{ kind: 'system' as const }]),
    ...(s.trust_id === undefined ? [] : [{ kind: 'trust' as const, id: s.trust_id }]),
  ];
  if (scopes.length > 1) {
    throw fail(
      `a token has one scope, but this entry has ${scopes.map(({ kind }) => kind).join(' and ')}: keep one of them`,
    );
  }
  return scopes[0] ?? { kind: 'default' };
}

function projectOf(s: AuthSettings, fail: Fail): ScopedRef | undefined {
  if (s.project_id !== undefined) return { id: s.project_id };
  if (s.project_name === undefined) return undefined;
  const domain = domainOf(s.project_domain_id, s.project_domain_name);
  if (domain === undefined) {
    throw fail(
      'project_domain_name (or project_domain_id) is missing; it is often the domain of the user; a project_id needs none',
    );
  }
  return { name: s.project_name, domain };
}

function domainOf(id: string | undefined, name: string | undefined): DomainRef | undefined {
  if (id !== undefined) return { id };
  return name === undefined ? undefined : { name };
}
