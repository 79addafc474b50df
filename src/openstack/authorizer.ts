/**
 * The credentials that go with every call to a cloud: a token, a second token of a service user, a password, or none.
 *
 * Guarantees: callers of a service need not know which kind it is, and see secrets only in headers that are about to be sent.
 */
import { SecretString } from '../lib/secret.ts';
import type { Catalog } from './catalog.ts';
import type { CloudConfig } from './clouds.ts';
import type { KeystoneLogin } from './clouds-auth.ts';
import type { Transport } from './exchange.ts';
import { createSignIn, type TokenIdentity } from './keystone.ts';
import type { RetryContext } from './retry.ts';
import type { ServiceAccountTokens } from './service-account.ts';
import { createTokenSource, type TokenOptions } from './token.ts';

export interface Authorization {
  identity: TokenIdentity;
  /** Undefined for a cloud without Keystone. */
  catalog: Catalog | undefined;
  /** Contain secrets in plain text: send them at once. */
  headers(): Record<string, string>;
  /** Removed from every response before it is quoted, because a server may echo them. */
  secrets: readonly SecretString[];
  /** Call it when a service has rejected this authorization. Returns whether `current` can get another one. */
  reject(): boolean;
  /** Call it when the catalog may be out of date: `current` gets another one, if it can. */
  renew(): void;
}

export interface Authorizer {
  /** Valid for another `lifeMs` if possible. Throws the errors of signing in, and the signal's reason. */
  current(options: TokenOptions): Promise<Authorization>;
}

export interface AuthorizerOptions extends RetryContext {
  cloud: CloudConfig;
  transport: Transport;
  /** Default: there are no ServiceAccounts. */
  serviceAccountTokens?: ServiceAccountTokens | undefined;
}

export function createAuthorizer(options: AuthorizerOptions): Authorizer {
  const { cloud } = options;
  const { access } = cloud;
  switch (access.kind) {
    case 'keystone':
      return keystoneAuthorizer(access.user, access.service, options);
    case 'adminToken': {
      const { token } = access;
      return fixedAuthorizer(cloud, undefined, [token], () => ({ 'x-auth-token': token.reveal() }));
    }
    case 'httpBasic': {
      const { username, password } = access;
      const pair = new SecretString(Buffer.from(`${username}:${password.reveal()}`).toString('base64'));
      return fixedAuthorizer(cloud, username, [password, pair], () => ({ authorization: `Basic ${pair.reveal()}` }));
    }
    case 'none':
      return fixedAuthorizer(cloud, undefined, [], () => ({}));
  }
}

/** Without Keystone the project is the one in clouds.yaml. */
function fixedAuthorizer(
  { projectId }: CloudConfig,
  user: string | undefined,
  secrets: readonly SecretString[],
  headers: Authorization['headers'],
): Authorizer {
  const identity: TokenIdentity = {
    user: user === undefined ? undefined : { id: user, name: user },
    project: projectId === undefined ? undefined : { id: projectId, name: projectId },
    scope: projectId === undefined ? 'none' : 'project',
    roles: [],
  };
  const authorization: Authorization = {
    identity,
    catalog: undefined,
    headers,
    secrets,
    reject: () => false,
    renew() {},
  };
  return {
    async current({ signal }) {
      signal.throwIfAborted();
      return authorization;
    },
  };
}

function keystoneAuthorizer(
  user: KeystoneLogin,
  service: KeystoneLogin | undefined,
  options: AuthorizerOptions,
): Authorizer {
  const { cloud, transport, clock } = options;
  const sourceOf = (login: KeystoneLogin, what: string) => {
    const timeoutMs = cloud.apiTimeoutMs;
    const whose = `the ${what} of cloud ${cloud.name}`;
    const serviceTypes = new Set(Object.values(cloud.services).map(({ type }) => type));
    return createTokenSource(createSignIn({ ...options, whose, login, serviceTypes, transport, timeoutMs }), clock);
  };
  const users = sourceOf(user, 'credentials');
  const services = service && sourceOf(service, 'service credentials (service_auth)');

  return {
    async current(options) {
      const { signal } = options;
      const [token, serviceToken] = await Promise.all([users.current(options), services?.current({ signal })]);
      const { id, identity, catalog } = token;
      return {
        identity,
        catalog,
        headers: () => ({
          'x-auth-token': id.reveal(),
          ...(serviceToken === undefined ? {} : { 'x-service-token': serviceToken.id.reveal() }),
        }),
        secrets: serviceToken === undefined ? [id] : [id, serviceToken.id],
        reject() {
          // The response does not show which of the two was rejected.
          users.reject(token);
          if (serviceToken !== undefined) services?.reject(serviceToken);
          return true;
        },
        renew: () => users.renew(token),
      };
    },
  };
}
