/**
 * clouds.yaml, read as openstacksdk reads it. Law: whatever the text is, the answer is a complete CloudConfig or one
 * sentence that says what to change; nothing is guessed, no file is opened, and no value of the text is shown in an error.
 */
import { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { SecretString } from '../lib/secret.ts';
import { readCloud } from './clouds-yaml.ts';
import type { ApplicationCredentialRef, Credentials, DomainRef, ScopedRef } from './credentials.ts';
import { ConfigurationError } from './errors.ts';

export const endpointInterfaces = ['public', 'internal', 'admin'] as const;
export type EndpointInterface = (typeof endpointInterfaces)[number];

/** Where a service is looked for. */
export interface ServiceConfig {
  /** Undefined: the first region of the catalog. */
  region: string | undefined;
  /** In order of preference. */
  interfaces: readonly [EndpointInterface, ...EndpointInterface[]];
  /** Wins over the catalog. */
  endpointOverride: string | undefined;
}

export interface CloudConfig {
  name: string;
  /** Keystone's v3 root, without a trailing slash: `https://host/identity/v3`. */
  authUrl: string;
  credentials: Credentials;
  tls: { ca: string | undefined; verify: boolean };
  /** The deadline of one call, where clouds.yaml sets one. */
  apiTimeoutMs: number | undefined;
  services: { image: ServiceConfig };
}

export interface CloudFiles {
  cloudsYaml: string;
  /** PEM. Replaces the system's certificate authorities. */
  cacert?: string;
}

/** The cloud `name` of the files; `region` wins over the file's own. Throws ConfigurationError. */
export function parseCloud(files: CloudFiles, name: string, region?: string): CloudConfig {
  const fail = (problem: string) => new ConfigurationError('SecretInvalid', `cloud ${name} in clouds.yaml: ${problem}`);
  const settings = cloudSchema.safeParse(readCloud(files.cloudsYaml, name));
  if (!settings.success) throw fail(settings.error.issues.map(issueSentence).join('; '));
  const s = settings.data;
  if (s.auth_url === undefined) throw fail('auth_url is missing');
  for (const key of ['cacert', 'cert', 'key'] as const) {
    if (s[key] !== undefined) throw fail(fileProblem[key]);
  }
  if (s.profile !== undefined || s.cloud !== undefined) {
    throw fail('profile is not supported: write auth_url and the other values out');
  }
  const chosenRegion = region ?? s.image_region_name ?? s.region_name;
  return {
    name,
    authUrl: keystoneRoot(s.auth_url, chosenRegion, fail),
    credentials: credentialsOf(s, fail),
    tls: {
      ca: files.cacert === undefined ? undefined : readableCa(files.cacert),
      verify: s.insecure !== true && s.verify !== false,
    },
    apiTimeoutMs: s.api_timeout === undefined ? undefined : s.api_timeout * 1000,
    services: {
      image: {
        region: chosenRegion,
        interfaces: s.image_interface ?? s.interface ?? s.endpoint_type ?? ['public'],
        endpointOverride: endpointOverride(s.image_endpoint_override, fail),
      },
    },
  };
}

type Fail = (problem: string) => ConfigurationError;

const flag = z.string().transform((text, context) => {
  if (/^(?:true|yes|on|1)$/i.test(text)) return true;
  if (/^(?:false|no|off|0)$/i.test(text)) return false;
  context.addIssue({ code: 'custom', message: 'is neither true nor false' });
  return z.NEVER;
});
const text = z.string();
/** One name or a list of them in order of preference; `publicURL` is an old spelling of `public`. */
const interfaces = z.union([text.transform((name) => [name]), z.array(text)]).transform((names, context) => {
  const known = names.map((name) => endpointInterfaces.find((one) => one === name.replace(/URL$/, '')));
  const [first, ...others] = known.filter((name) => name !== undefined);
  if (first !== undefined && others.length === names.length - 1) return [first, ...others] as const;
  context.addIssue({ code: 'custom', message: `is none of ${endpointInterfaces.join(', ')}` });
  return z.NEVER;
});

/** What we read of a cloud. Keys of other tools and services are left alone. */
const cloudSchema = z.object({
  auth_type: text.optional(),
  auth_url: text.optional(),
  username: text.optional(),
  user_id: text.optional(),
  password: text.optional(),
  user_domain_id: text.optional(),
  user_domain_name: text.optional(),
  project_id: text.optional(),
  project_name: text.optional(),
  project_domain_id: text.optional(),
  project_domain_name: text.optional(),
  application_credential_id: text.optional(),
  application_credential_name: text.optional(),
  application_credential_secret: text.optional(),
  system_scope: text.optional(),
  trust_id: text.optional(),
  region_name: text.optional(),
  image_region_name: text.optional(),
  interface: interfaces.optional(),
  endpoint_type: interfaces.optional(),
  image_interface: interfaces.optional(),
  image_endpoint_override: text.optional(),
  verify: flag.optional(),
  insecure: flag.optional(),
  api_timeout: text
    .refine((seconds) => /^\d{1,5}(?:\.\d+)?$/.test(seconds) && Number(seconds) > 0, 'is not a number of seconds')
    .transform(Number)
    .optional(),
  cacert: z.unknown().optional(),
  cert: z.unknown().optional(),
  key: z.unknown().optional(),
  profile: z.unknown().optional(),
  cloud: z.unknown().optional(),
});
type Settings = z.infer<typeof cloudSchema>;

/** Where and what, never the value: it may be a password in the wrong place. */
function issueSentence(issue: z.core.$ZodIssue): string {
  return `${issue.path.join('.')} ${issue.code === 'custom' ? issue.message : 'is not plain text'}`;
}

const fileProblem = {
  cacert: 'cacert names a file, and no file is read here: put the certificates (PEM) into the key cacert of the Secret',
  cert: 'client certificates (cert, key) are not supported',
  key: 'client certificates (cert, key) are not supported',
};

function credentialsOf(s: Settings, fail: Fail): Credentials {
  if (s.system_scope !== undefined || s.trust_id !== undefined) {
    throw fail('system_scope and trust_id are not supported: images belong to a project, so name one');
  }
  const inferred = s.password === undefined && s.application_credential_secret !== undefined;
  const type = s.auth_type ?? (inferred ? 'v3applicationcredential' : 'password');
  switch (type) {
    case 'password':
    case 'v3password':
      if (s.password === undefined) throw fail('password is missing');
      return {
        kind: 'password',
        user: userOf(s, fail),
        password: new SecretString(s.password),
        project: projectOf(s, fail),
      };
    case 'v3applicationcredential':
      if (s.application_credential_secret === undefined) throw fail('application_credential_secret is missing');
      return {
        kind: 'applicationCredential',
        credential: applicationCredentialOf(s, fail),
        secret: new SecretString(s.application_credential_secret),
      };
    default:
      throw fail('auth_type is none of password, v3password, v3applicationcredential');
  }
}

function applicationCredentialOf(s: Settings, fail: Fail): ApplicationCredentialRef {
  if (s.application_credential_id !== undefined) return { id: s.application_credential_id };
  if (s.application_credential_name === undefined) throw fail('application_credential_id is missing');
  return { name: s.application_credential_name, user: userOf(s, fail) };
}

function userOf(s: Settings, fail: Fail): ScopedRef {
  if (s.user_id !== undefined) return { id: s.user_id };
  if (s.username === undefined) throw fail('username (or user_id) is missing');
  const domain = domainOf(s.user_domain_id, s.user_domain_name);
  if (domain === undefined) throw fail('user_domain_name (or user_domain_id) is missing; it is often Default');
  return { name: s.username, domain };
}

function projectOf(s: Settings, fail: Fail): ScopedRef | undefined {
  if (s.project_id !== undefined) return { id: s.project_id };
  if (s.project_name === undefined) return undefined;
  const domain = domainOf(s.project_domain_id, s.project_domain_name);
  if (domain === undefined) throw fail('project_domain_name (or project_domain_id) is missing; it is often Default');
  return { name: s.project_name, domain };
}

function domainOf(id: string | undefined, name: string | undefined): DomainRef | undefined {
  if (id !== undefined) return { id };
  return name === undefined ? undefined : { name };
}

function httpUrl(key: string, value: string, fail: Fail): URL {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw fail(`${key} is not an http or https URL`);
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw fail(`${key} has a user, a query or a fragment, which it must not have`);
  }
  return url;
}

/** `auth_url` may be Keystone's root or its v3 root. */
function keystoneRoot(authUrl: string, region: string | undefined, fail: Fail): string {
  const url = httpUrl('auth_url', authUrl.replaceAll('{region_name}', region ?? ''), fail);
  const path = url.pathname.replace(/\/+$/, '');
  return `${url.origin}${path.endsWith('/v3') ? path : `${path}/v3`}`;
}

function endpointOverride(value: string | undefined, fail: Fail): string | undefined {
  return value === undefined ? undefined : httpUrl('image_endpoint_override', value, fail).href;
}

/** Node ignores what it cannot read in `ca` and then trusts nobody, so it is looked at here. */
function readableCa(pem: string): string {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  try {
    for (const block of blocks) new X509Certificate(block);
  } catch {
    throw new ConfigurationError('SecretInvalid', 'cacert holds a certificate that cannot be read');
  }
  if (blocks.length === 0) throw new ConfigurationError('SecretInvalid', 'cacert holds no certificate in PEM form');
  return pem;
}
