/**
 * Parses clouds.yaml as openstacksdk does.
 *
 * Guarantees: the result is a complete CloudConfig or one sentence that names what to change; nothing is guessed; no file is
 * opened; no value of the text appears in an error.
 */
import * as z from 'zod';
import { type Access, accessOf } from './clouds-auth.ts';
import { authSchema, authShape, type Fail } from './clouds-settings.ts';
import { type TlsConfig, type TlsFiles, tlsOf, tlsShape } from './clouds-tls.ts';
import { type CloudTexts, readCloud, settled } from './clouds-yaml.ts';
import type { ServiceAccount } from './credentials.ts';
import { ConfigurationError } from './errors.ts';
import { overrideOf, type ServiceConfig, type ServiceType, serviceShape, servicesOf } from './services.ts';
import { isMapping } from './yaml-text.ts';

export interface CloudConfig {
  name: string;
  access: Access;
  /** The project, for a cloud whose token does not contain it. */
  projectId: string | undefined;
  tls: TlsConfig;
  /** The deadline of one attempt of a call, if clouds.yaml sets one. */
  apiTimeoutMs: number | undefined;
  /** How often a call is retried, if clouds.yaml sets it. */
  retries: number | undefined;
  services: Readonly<Record<ServiceType, ServiceConfig>>;
}

/** The keys of a Secret that concern a cloud, and the ServiceAccount whose tokens it uses. */
export interface CloudFiles extends CloudTexts, TlsFiles {
  serviceAccount?: ServiceAccount | undefined;
}

/** The cloud `name` of the files. `region` overrides that of the file. Throws ConfigurationError. */
export function parseCloud(files: CloudFiles, name: string, region?: string): CloudConfig {
  const fail = (problem: string) => new ConfigurationError('SecretInvalid', `cloud ${name} in clouds.yaml: ${problem}`);
  const s = parsed(cloudSchema, readCloud(files, name, region), fail);
  const services = servicesOf(s, region, fail);
  const service = s.service_auth === undefined ? undefined : serviceAuthOf(s.service_auth, fail);
  const { serviceAccount } = files;
  const access = accessOf(s, service, { region: services.image.region, serviceAccount, fail });
  if (serviceAccount !== undefined && Object.values(services).some(({ override }) => override !== undefined))
    throw fail(
      'it sets the address of a service, for example with image_endpoint_override, but a sign-in with a ServiceAccount uses only the endpoints of the catalog: remove the address',
    );
  const reached = access.kind === 'keystone' ? services : withoutCatalog(services, s.endpoint, fail);
  return {
    name,
    access,
    projectId: s.project_id,
    tls: tlsOf(s, files, usesTls(access, reached), fail),
    apiTimeoutMs: s.api_timeout,
    retries: s.image_connect_retries ?? s.connect_retries,
    services: reached,
  };
}

/** The addresses in a catalog are not known yet. A cloud whose Keystone is http is taken as one without TLS. */
function usesTls(access: Access, services: CloudConfig['services']): boolean {
  const logins = access.kind === 'keystone' ? [access.user.authUrl, access.service?.authUrl ?? ''] : [];
  const addresses = Object.values(services).flatMap(({ override }) => override ?? []);
  return [...logins, ...addresses].some((url) => url.startsWith('https:'));
}

function serviceAuthOf(value: unknown, fail: Fail) {
  if (!isMapping(value)) throw fail('service_auth is not a mapping');
  return parsed(authSchema, settled(value), (problem) => fail(`service_auth: ${problem}`));
}

/** Without Keystone's catalog, clouds.yaml must contain the addresses of the services. */
function withoutCatalog(services: CloudConfig['services'], endpoint: string[] | undefined, fail: Fail) {
  const override = services.image.override ?? overrideOf('endpoint', endpoint, services.image.region, fail);
  if (override === undefined) throw fail('this auth_type has no catalog: set image_endpoint_override');
  return { ...services, image: { ...services.image, override } };
}

const text = z.string();
/** Timers of Node end at once above 24 days. */
const longestTimeoutS = 86_400;
/** In milliseconds. openstacksdk reads 0 as no limit of its own. */
const seconds = text
  .refine((given) => /^\d{1,9}(?:\.\d+)?$/.test(given), 'is not a number of seconds')
  .transform((given) => (Number(given) === 0 ? undefined : Math.min(Number(given), longestTimeoutS) * 1000));
const count = text.refine((given) => /^\d{1,2}$/.test(given), 'is not a number from 0 to 99').transform(Number);

/** The settings that are read. Those of other tools and services are ignored. */
const cloudSchema = z.object({
  ...authShape,
  ...serviceShape,
  ...tlsShape,
  service_auth: z.unknown().optional(),
  api_timeout: seconds.optional(),
  connect_retries: count.optional(),
  image_connect_retries: count.optional(),
});

function parsed<T extends z.ZodType>(schema: T, value: unknown, fail: Fail): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw fail(result.error.issues.map(issueSentence).join('; '));
}

/** Names the setting and the problem, never the value, which may be a password in the wrong place. */
function issueSentence(issue: z.core.$ZodIssue): string {
  return `${issue.path.join('.')} ${issue.code === 'custom' ? issue.message : 'is not plain text'}`;
}
