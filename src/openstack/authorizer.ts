/**
 * What a cloud wants to see with every call: a token, a token beside it, a password, or nothing. Law: who calls a service need not
 * know which, and never sees more than headers that are about to leave.
 */
import { SecretString } from '../lib/secret.ts';
import type { Catalog } from './catalog.ts';
import type { CloudConfig } from './clouds.ts';
import type { KeystoneLogin } from './clouds-auth.ts';
import type { Transport } from './exchange.ts';
import { createSignIn, type Identity } from './keystone.ts';
import type { RetryContext } from './retry.ts';
import { createTokenSource } from './token.ts';

export interface Authorization {
  identity: Identity;
  /** Undefined where there is no Keystone to have one. */
  catalog: Catalog | undefined;
  /** With secrets in the clear, to be sent at once. */
  headers(): Record<string, string>;
  /** What a server may echo and nobody may see. */
  secrets: readonly SecretString[];
  /** A service refused it. Whether another one can be had: `current` gives that then. */
  reject(): boolean;
}

export interface Authorizer {
  /** Good for `lifeMs` more, as far as it can be had. Throws what signing in throws, and the signal's reason. */
  current(signal: AbortSignal, lifeMs?: number): Promise<Authorization>;
}

export interface AuthorizerOptions extends RetryContext {
  cloud: CloudConfig;
  transport: Transport;
}

export function createAuthorizer(options: AuthorizerOptions): Authorizer {
  const { cloud } = options;
  const { access } = cloud;
  switch (access.kind) {
    case 'keystone':
      return keystoneAuthorizer(access.user, access.service, options);
    case 'adminToken': {
      const { token } = access;
      return unchanging(cloud, undefined, [token], () => ({ 'x-auth-token': token.reveal() }));
    }
    case 'httpBasic': {
      const { username, password } = access;
      const pair = new SecretString(Buffer.from(`${username}:${password.reveal()}`).toString('base64'));
      return unchanging(cloud, username, [password, pair], () => ({ authorization: `Basic ${pair.reveal()}` }));
    }
    case 'none':
      return unchanging(cloud, undefined, [], () => ({}));
  }
}

/** What no Keystone vouches for: the project is the one that clouds.yaml names. */
function unchanging(
  { projectId }: CloudConfig,
  user: string | undefined,
  secrets: readonly SecretString[],
  headers: Authorization['headers'],
): Authorizer {
  const identity: Identity = {
    user: user === undefined ? undefined : { id: user, name: user },
    project: projectId === undefined ? undefined : { id: projectId, name: projectId },
    scope: projectId === undefined ? 'none' : 'project',
    roles: [],
  };
  const authorization: Authorization = { identity, catalog: undefined, headers, secrets, reject: () => false };
  return {
    async current(signal) {
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
    return createTokenSource(createSignIn({ ...options, whose, login, transport, timeoutMs }), clock);
  };
  const users = sourceOf(user, 'credentials');
  const services = service && sourceOf(service, 'service credentials (service_auth)');

  return {
    async current(signal, lifeMs) {
      const [token, beside] = await Promise.all([users.current(signal, lifeMs), services?.current(signal)]);
      const { id, identity, catalog } = token;
      return {
        identity,
        catalog,
        headers: () => ({
          'x-auth-token': id.reveal(),
          ...(beside === undefined ? {} : { 'x-service-token': beside.id.reveal() }),
        }),
        secrets: beside === undefined ? [id] : [id, beside.id],
        reject() {
          // The service does not say which of the two it refuses.
          users.reject(token);
          if (beside !== undefined) services?.reject(beside);
          return true;
        },
      };
    },
  };
}
