/**
 * Who we are to Keystone, and how we say it. Law: an object in a domain is named completely, by its id or by its name and
 * its domain, and secrets are revealed only in the body that goes to Keystone.
 */
import type { SecretString } from '../lib/secret.ts';

/** A domain, or an object in one, is named by its id or by its name. */
export type DomainRef = { id: string } | { name: string };
export type ScopedRef = { id: string } | { name: string; domain: DomainRef };

export type Credentials =
  /** `project` undefined: the user's default project. */
  | { kind: 'password'; user: ScopedRef; password: SecretString; project: ScopedRef | undefined }
  | { kind: 'applicationCredential'; credential: ApplicationCredentialRef; secret: SecretString };
export type ApplicationCredentialRef = { id: string } | { name: string; user: ScopedRef };

/** The body of `POST /v3/auth/tokens`. It holds the secret in the clear. */
export function authenticationRequest(credentials: Credentials) {
  switch (credentials.kind) {
    case 'password': {
      const { user, password, project } = credentials;
      return {
        auth: {
          identity: { methods: ['password'], password: { user: { ...scoped(user), password: password.reveal() } } },
          ...(project === undefined ? {} : { scope: { project: scoped(project) } }),
        },
      };
    }
    case 'applicationCredential': {
      // Its project is part of the credential: Keystone refuses a request that names a scope.
      const { credential, secret } = credentials;
      const which = 'id' in credential ? credential : { name: credential.name, user: scoped(credential.user) };
      return {
        auth: {
          identity: {
            methods: ['application_credential'],
            application_credential: { ...which, secret: secret.reveal() },
          },
        },
      };
    }
  }
}

function scoped(ref: ScopedRef): { id: string } | { name: string; domain: DomainRef } {
  return 'id' in ref ? { id: ref.id } : { name: ref.name, domain: ref.domain };
}
