/**
 * Parses clouds.yaml as openstacksdk does.
 *
 * Guarantees: the result is a complete CloudConfig or one sentence that names what to change; nothing is guessed; no file is
 * opened; no value of the text appears in an error.
 */
import { z } from 'zod';
import { type Access, accessOf, authSchema, authShape, type Fail } from './clouds-auth.ts';
import { isMapping, readCloud, settled } from './clouds-yaml.ts';
import { ConfigurationError } from './errors.ts';
import { type ClientCertificate, clientCertificate, readableCa } from './pem.ts';
import { overrideOf, type ServiceConfig, type ServiceType, serviceShape, servicesOf } from './services.ts';

export interface TlsConfig {
  /** PEM. Undefined: the system's certificate authorities. */
  ca: string | undefined;
  /** Whether the certificate of the server is verified. */
  verify: boolean;
  client: ClientCertificate | undefined;
}

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

/** The keys of a Secret that concern a cloud. */
export interface CloudFiles {
  cloudsYaml: string;
  /** PEM. Replaces the system's certificate authorities. */
  cacert?: string | undefined;
  /** PEM: the client certificate, with those between it and its authority. */
  cert?: string | undefined;
  /** PEM: the client certificate's private key. */
  key?: string | undefined;
}

/**
 * The cloud `name` of the files. `region` overrides that of the file. Throws ConfigurationError.
 *
 * Cluster API's templates for OpenStack write a Secret whose clouds.yaml keeps the path of a certificate next to its text under the
 * key `cacert`, and a `cacert` of one line break where the cloud has none: the text counts, and an empty one is absent.
 */
export function parseCloud(given: CloudFiles, name: string, region?: string): CloudConfig {
  const files = { ...given, cacert: given.cacert?.trim() === '' ? undefined : given.cacert };
  const fail = (problem: string) => new ConfigurationError('SecretInvalid', `cloud ${name} in clouds.yaml: ${problem}`);
  const s = parsed(cloudSchema, readCloud(files.cloudsYaml, name, region), fail);
  for (const key of ['cacert', 'cert', 'key'] as const) {
    if (s[key] !== undefined && files[key] === undefined) {
      throw fail(`${key} names a file, but files are not read: put the PEM text into the key ${key} of the Secret`);
    }
  }
  if (s.profile !== undefined || s.cloud !== undefined) {
    throw fail('profile is not supported: write auth_url and the other values out');
  }
  const services = servicesOf(s, region, fail);
  const service = s.service_auth === undefined ? undefined : serviceAuthOf(s.service_auth, fail);
  const access = accessOf(s, service, services.image.region, fail);
  return {
    name,
    access,
    projectId: s.project_id,
    tls: {
      ca: files.cacert === undefined ? undefined : readableCa(files.cacert),
      verify: s.insecure !== true && s.verify !== false,
      client: clientCertificate(files.cert, files.key),
    },
    apiTimeoutMs: s.api_timeout === undefined ? undefined : s.api_timeout * 1000,
    retries: s.image_connect_retries ?? s.connect_retries,
    services: access.kind === 'keystone' ? services : withoutCatalog(services, s.endpoint, fail),
  };
}

function serviceAuthOf(value: unknown, fail: Fail) {
  if (!isMapping(value)) throw fail('service_auth is not a mapping');
  return parsed(authSchema, settled(value), (problem) => fail(`service_auth: ${problem}`));
}

/** Without Keystone's catalog, clouds.yaml must contain the addresses of the services. */
function withoutCatalog(services: CloudConfig['services'], endpoint: string[] | undefined, fail: Fail) {
  const override = services.image.override ?? overrideOf('endpoint', endpoint, fail);
  if (override === undefined) throw fail('this auth_type has no catalog: set image_endpoint_override');
  return { ...services, image: { ...services.image, override } };
}

const text = z.string();
const flag = text.transform((word, context) => {
  if (/^(?:true|yes|on|1)$/i.test(word)) return true;
  if (/^(?:false|no|off|0)$/i.test(word)) return false;
  context.addIssue({ code: 'custom', message: 'is neither true nor false' });
  return z.NEVER;
});
const seconds = text
  .refine((given) => /^\d{1,5}(?:\.\d+)?$/.test(given) && Number(given) > 0, 'is not a number of seconds')
  .transform(Number);
const count = text.refine((given) => /^\d{1,2}$/.test(given), 'is not a number from 0 to 99').transform(Number);

/** The settings that are read. Those of other tools and services are ignored. */
const cloudSchema = z.object({
  ...authShape,
  ...serviceShape,
  service_auth: z.unknown().optional(),
  verify: flag.optional(),
  insecure: flag.optional(),
  api_timeout: seconds.optional(),
  connect_retries: count.optional(),
  image_connect_retries: count.optional(),
  cacert: z.unknown().optional(),
  cert: z.unknown().optional(),
  key: z.unknown().optional(),
  profile: z.unknown().optional(),
  cloud: z.unknown().optional(),
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
