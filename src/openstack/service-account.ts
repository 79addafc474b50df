/**
 * A ServiceAccount whose token takes the place of a password, and where that token may go. The owner of the ServiceAccount says so in
 * an annotation (allow-list.ts), with what the token is valid for: the author of a resource or of a clouds.yaml must not choose that.
 *
 * Invariant: a ServiceAccount without the annotation has no token sent anywhere. An entry is the origin of a Keystone and, after a
 * space, an audience, if it is not that origin: `https://keystone.example.com:5000`, `https://keystone.example.com openstack`.
 */
import { type AllowList, rejectionOf } from '../lib/allow-list.ts';
import type { SecretString } from '../lib/secret.ts';
import type { ServiceAccount } from './credentials.ts';
import { ConfigurationError } from './errors.ts';

export const keystoneAnnotation = 'glance-image-operator.dev/keystone';

/**
 * Requests a token for one audience, if the ServiceAccount and its annotation are still those that were read. Throws an
 * OperatorError that names the ServiceAccount.
 */
export type ServiceAccountTokens = (
  account: ServiceAccount,
  audience: string,
  signal: AbortSignal,
) => Promise<SecretString>;

export const noServiceAccounts: ServiceAccountTokens = async ({ name }) => {
  throw refused(
    `only the operator requests tokens of ServiceAccounts, and the cloud needs one of ServiceAccount "${name}"`,
  );
};

interface Entry {
  origin: string;
  audience: string;
}

const keystoneList: AllowList<Entry> = {
  annotation: keystoneAnnotation,
  resource: 'ServiceAccount',
  meaning: 'the Keystones that its tokens may be sent to',
  form: 'entries such as https://keystone.example.com:5000, or https://keystone.example.com:5000 AUDIENCE, separated by commas',
  missing: (entry) =>
    `"${entry}". Its owner can add that entry, or clouds.yaml needs another auth_url or access_token_audience`,
  parse: parseEntry,
};

/** Throws ServiceAccountRefused, which does not quote the annotation. */
export function checkKeystone({ namespace, name, keystone }: ServiceAccount, authUrl: string, audience: string): void {
  const { origin } = new URL(authUrl);
  const wanted = audience === origin ? origin : `${origin} ${audience}`;
  const isAllowedBy = (entry: Entry) => entry.origin === origin && entry.audience === audience;
  const rejection = rejectionOf(keystoneList, { namespace, name, value: keystone, wanted, isAllowedBy });
  if (rejection !== undefined) throw refused(rejection);
}

function parseEntry(text: string): Entry | undefined {
  const [, address = '', audience] = /^(https?:\/\/[^\s/?#@]+)\/?(?:\s+(\S+))?$/i.exec(text) ?? [];
  const url = URL.parse(address);
  return url === null ? undefined : { origin: url.origin, audience: audience ?? url.origin };
}

function refused(why: string): ConfigurationError {
  return new ConfigurationError('ServiceAccountRefused', `no token is requested: ${why}`);
}
