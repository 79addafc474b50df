/**
 * The settings of an entry of clouds.yaml that concern the sign-in, and what all of their readers share.
 *
 * Guarantees: an error names the setting, never its value.
 */
import * as z from 'zod';
import type { ConfigurationError } from './errors.ts';

/** Creates the error for a problem. The problem is a sentence that contains no value of the text. */
export type Fail = (problem: string) => ConfigurationError;

const text = z.string();

/** The settings that may stand under `auth` and `service_auth`, or on the level above them. */
export const authShape = {
  auth_type: text.optional(),
  auth_url: text.optional(),
  username: text.optional(),
  user_id: text.optional(),
  password: text.optional(),
  token: text.optional(),
  user_domain_id: text.optional(),
  user_domain_name: text.optional(),
  domain_id: text.optional(),
  domain_name: text.optional(),
  project_id: text.optional(),
  project_name: text.optional(),
  project_domain_id: text.optional(),
  project_domain_name: text.optional(),
  system_scope: text.optional(),
  trust_id: text.optional(),
  application_credential_id: text.optional(),
  application_credential_name: text.optional(),
  application_credential_secret: text.optional(),
  /** Of the types that sign in through an identity provider. */
  identity_provider: text.optional(),
  protocol: text.optional(),
  access_token: text.optional(),
  access_token_audience: text.optional(),
  access_token_endpoint: text.optional(),
  access_token_type: text.optional(),
  discovery_endpoint: text.optional(),
  client_id: text.optional(),
  client_secret: text.optional(),
  openid_scope: text.optional(),
  scope: text.optional(),
  /** The name of a vendor, whose defaults openstacksdk knows: not of interest where the address is given. `cloud` is an old name. */
  profile: z.unknown().optional(),
  cloud: z.unknown().optional(),
};
export const authSchema = z.object(authShape);
export type AuthSettings = z.infer<typeof authSchema>;

/** openstacksdk reads a second file by itself. */
export function secretMissing(key: string): string {
  return `${key} is missing; if it is in a secure.yaml, put that file into the same Secret under the key secure.yaml, with the cloud under the same name`;
}

/** An http or https URL, with `region` in the place of `{region_name}`. `key` names the setting in the error. */
export function configuredUrl(key: string, value: string, region: string | undefined, fail: Fail): URL {
  if (region === undefined && value.includes('{region_name}')) {
    throw fail(`${key} contains {region_name}, but there is no region_name`);
  }
  const filled = value.replaceAll('{region_name}', region ?? '');
  if (/[{}]|[%$]\(/.test(filled))
    throw fail(`${key} contains a placeholder other than {region_name}: write its value out`);
  const url = URL.canParse(filled) ? new URL(filled) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw fail(`${key} is not an http or https URL`);
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw fail(`${key} must not have a user, a query or a fragment`);
  }
  return url;
}
