/**
 * The credentials for Keystone, the scope of the token, and the request that contains both.
 *
 * Guarantees: an object in a domain is always named completely, by its id or by its name and its domain; secrets are revealed only
 * in the body that is sent to Keystone.
 */
import type { SecretString } from '../lib/secret.ts';

/** A domain, or an object in one, is named by its id or by its name. */
export type DomainRef = { id: string } | { name: string };
export type ScopedRef = { id: string } | { name: string; domain: DomainRef };

/** The authentication method. */
export type Method =
  | { kind: 'password'; user: ScopedRef; password: SecretString }
  /** An earlier token. The new token expires together with it. */
  | { kind: 'token'; token: SecretString }
  /** Contains its project: the scope is always the default one. */
  | { kind: 'applicationCredential'; credential: ApplicationCredentialRef; secret: SecretString }
  /** A token of an identity provider, which Keystone exchanges for one of its own (federation.ts). */
  | { kind: 'federated'; identityProvider: string; protocol: string; accessToken: AccessTokenOrigin };
/** Those that one request to Keystone contains. */
export type DirectMethod = Exclude<Method, { kind: 'federated' }>;
export type ApplicationCredentialRef = { id: string } | { name: string; user: ScopedRef };

/** Where the access token comes from: a new one for each sign-in, except a fixed one. */
export type AccessTokenOrigin =
  | { kind: 'fixed'; token: SecretString }
  /** A ServiceAccount of the cluster. Its token is valid for `audience` only. */
  | { kind: 'serviceAccount'; account: ServiceAccount; audience: string }
  /** A token endpoint, or the discovery document that names it. */
  | { kind: 'clientCredentials'; client: OpenIDClient };
export interface ServiceAccount {
  namespace: string;
  name: string;
  /** Another ServiceAccount may get the name later. */
  uid: string;
  /** Where its tokens may go, as its owner wrote it (service-account.ts). */
  keystone: string | undefined;
}
export interface OpenIDClient {
  address: { kind: 'endpoint' | 'discovery'; url: string };
  id: string;
  secret: SecretString;
  scope: string;
  /** The part of the response that is the access token. */
  part: 'access_token' | 'id_token';
}

/** What the token is valid for. */
export type Scope =
  /** Chosen by Keystone: the user's default project, or no scope if there is none. */
  | { kind: 'default' }
  | { kind: 'project'; project: ScopedRef }
  | { kind: 'domain'; domain: DomainRef }
  | { kind: 'system' }
  | { kind: 'trust'; id: string };

export interface Credentials {
  method: Method;
  scope: Scope;
}

/** The secret parts, which must never be shown. */
export function secretsOf(method: Method): SecretString[] {
  switch (method.kind) {
    case 'password':
      return [method.password];
    case 'token':
      return [method.token];
    case 'applicationCredential':
      return [method.secret];
    case 'federated':
      return secretsOfOrigin(method.accessToken);
  }
}

function secretsOfOrigin(origin: AccessTokenOrigin): SecretString[] {
  switch (origin.kind) {
    case 'fixed':
      return [origin.token];
    case 'serviceAccount':
      return [];
    case 'clientCredentials':
      return [origin.client.secret];
  }
}

/** The body of `POST /v3/auth/tokens`. Contains the secret in plain text. */
export function authenticationRequest(method: DirectMethod, scope: Scope) {
  const wanted = requestedScope(scope);
  return { auth: { identity: identityOf(method), ...(wanted === undefined ? {} : { scope: wanted }) } };
}

function identityOf(method: DirectMethod) {
  switch (method.kind) {
    case 'password': {
      const user = { ...scoped(method.user), password: method.password.reveal() };
      return { methods: ['password'], password: { user } };
    }
    case 'token':
      return { methods: ['token'], token: { id: method.token.reveal() } };
    case 'applicationCredential': {
      const { credential, secret } = method;
      const which = 'id' in credential ? credential : { name: credential.name, user: scoped(credential.user) };
      return { methods: ['application_credential'], application_credential: { ...which, secret: secret.reveal() } };
    }
  }
}

function requestedScope(scope: Scope) {
  switch (scope.kind) {
    case 'default':
      return undefined;
    case 'project':
      return { project: scoped(scope.project) };
    case 'domain':
      return { domain: scope.domain };
    case 'system':
      return { system: { all: true } };
    case 'trust':
      return { 'OS-TRUST:trust': { id: scope.id } };
  }
}

function scoped(ref: ScopedRef): { id: string } | { name: string; domain: DomainRef } {
  return 'id' in ref ? { id: ref.id } : { name: ref.name, domain: ref.domain };
}
