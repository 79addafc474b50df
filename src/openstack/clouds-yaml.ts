/**
 * The settings of one cloud, from clouds.yaml and secure.yaml, in one flat mapping with current names.
 *
 * Guarantees: no error quotes a value; nothing inside `auth` changes how certificates are checked.
 */
import { authShape } from './clouds-settings.ts';
import { ConfigurationError } from './errors.ts';
import { isMapping, type Mapping, parseYaml } from './yaml-text.ts';

export interface CloudTexts {
  cloudsYaml: string;
  /** Its entries override those of clouds.yaml, as in openstacksdk. */
  secureYaml?: string | undefined;
}

/**
 * The settings of cloud `name` in one mapping: those under `auth` and next to it, with current names and without empty ones. If they
 * differ by region, those of `region`. Throws ConfigurationError.
 */
export function readCloud(texts: CloudTexts, name: string, region: string | undefined): Mapping {
  const fail = (problem: string) => new ConfigurationError('SecretInvalid', `cloud ${name} in clouds.yaml: ${problem}`);
  const { regions, region_name, ...others } = plain(cloudEntry(texts, name));
  const general = region_name === undefined ? others : { ...others, region_name: firstRegion(region_name) };
  const hasRegions = regions !== undefined && !(Array.isArray(regions) && regions.length === 0);
  const special = hasRegions ? regionValues(regions, region ?? general['region_name'], fail) : {};
  const { auth, ...outer } = { ...general, ...special };
  const auths = [general['auth'], special['auth']].map((one) => {
    if (one !== undefined && !isMapping(one)) throw fail('auth is not a mapping');
    return plain(one ?? {});
  });
  for (const key of ['verify', 'insecure']) {
    if (auths.some((one) => key in one))
      throw fail(`${key} is inside auth, where it has no effect: put it next to auth`);
  }
  const winning = Object.entries(outer).filter(([key]) => !belongsInside(currentName(key)));
  return settled({ ...outer, ...auths[0], ...auths[1], ...Object.fromEntries(winning) });
}

/** Whether a setting inside `auth` overrides that next to it. */
function belongsInside(name: string): boolean {
  return Object.hasOwn(authShape, name) && !overriding.has(name);
}

/** The settings of a sign-in that override those inside `auth`, as in openstacksdk. */
const overriding: ReadonlySet<string> = new Set([
  'auth_type',
  'domain_id',
  'domain_name',
  'project_domain_id',
  'project_domain_name',
  'project_id',
  'project_name',
  'token',
  'user_domain_id',
  'user_domain_name',
]);

/** The same cloud in files that hold no other, so that a program gets no other's secrets. JSON is YAML. Throws ConfigurationError. */
export function onlyCloud(texts: CloudTexts, name: string): CloudTexts {
  return { cloudsYaml: JSON.stringify({ clouds: { [name]: cloudEntry(texts, name) } }) };
}

/** Settings with current names and without empty ones. */
export function settled(mapping: Mapping): Mapping {
  return fannedOut(currentNames(plain(mapping)));
}

/** The settings for one region of `regions`, a list of names and of `{name, values}`. Default: the first region. */
function regionValues(regions: unknown, wanted: unknown, fail: (problem: string) => ConfigurationError): Mapping {
  if (!Array.isArray(regions)) throw fail('regions is not a list');
  const all = regions.map((one: unknown): Mapping => (isMapping(one) ? one : { name: one }));
  const found = all.find(({ name }) => wanted === undefined || name === wanted);
  if (found === undefined) throw fail('regions does not list the region');
  const values = found['values'] ?? {};
  if (!isMapping(values)) throw fail('the values of a region are not a mapping');
  return { ...plain(values), region_name: found['name'] };
}

/** The mapping under `clouds.<name>` of both files. */
function cloudEntry({ cloudsYaml, secureYaml }: CloudTexts, name: string): Mapping {
  const clouds = cloudsOf('clouds.yaml', cloudsYaml, name);
  const secure = secureYaml === undefined ? undefined : cloudsOf('secure.yaml', secureYaml, name);
  if (clouds === undefined) {
    throw new ConfigurationError('SecretInvalid', 'clouds.yaml has no mapping named clouds at its top level');
  }
  const entries = [
    ...(Object.hasOwn(clouds, name) ? [{ file: 'clouds.yaml', entry: clouds[name] }] : []),
    // An empty entry there has no secret, and takes nothing away.
    ...(secure !== undefined && Object.hasOwn(secure, name)
      ? [{ file: 'secure.yaml', entry: secure[name] ?? {} }]
      : []),
  ];
  if (entries.length === 0) {
    const names = Object.keys(clouds);
    const there = names.length === 0 ? 'it is empty' : `it has ${names.slice(0, 20).join(', ')}`;
    throw new ConfigurationError('CloudNotFound', `clouds.yaml has no cloud named ${name}; ${there}`);
  }
  return entries.reduce<Mapping>((before, { file, entry }) => {
    if (isMapping(entry)) return overridden(before, entry);
    throw new ConfigurationError('SecretInvalid', `cloud ${name} in ${file} is not a mapping`);
  }, {});
}

/** The mapping `clouds`. */
function cloudsOf(file: string, text: string, name: string): Mapping | undefined {
  const root = parseYaml(file, text, ['clouds', name]);
  if (!isMapping(root)) return undefined;
  if (isMapping(root['clouds'])) return root['clouds'];
  if (!('public-clouds' in root)) return undefined;
  const problem = `${file} is a list of vendors (public-clouds): a clouds.yaml has its clouds under clouds`;
  throw new ConfigurationError('SecretInvalid', problem);
}

/** Mappings in both are merged, as in openstacksdk's `merge_clouds`. An `auth:` without a value leaves the mapping as it is. */
function overridden(before: Mapping, after: Mapping): Mapping {
  const merged = Object.entries(after).map(([key, value]): [string, unknown] => {
    const old = Object.hasOwn(before, key) ? before[key] : undefined;
    return [key, isMapping(old) && (isMapping(value) || value === null) ? overridden(old, value ?? {}) : value];
  });
  return { ...before, ...Object.fromEntries(merged) };
}

/** `user-domain-name` is an old spelling of `user_domain_name`. Empty keys are ignored. */
function plain(mapping: Mapping): Mapping {
  const given = Object.entries(mapping).filter(([, value]) => value !== null && value !== '');
  return Object.fromEntries(given.map(([key, value]) => [key.replaceAll('-', '_'), value]));
}

/** Other names that openstacksdk and keystoneauth know. The current name overrides them. */
const oldNames: Readonly<Record<string, string>> = {
  auth_plugin: 'auth_type',
  auth_token: 'token',
  default_domain: 'default_domain_id',
  image_endpoint: 'image_endpoint_override',
  key_manager_endpoint: 'key_manager_endpoint_override',
  tenant_id: 'project_id',
  tenant_name: 'project_name',
  user_name: 'username',
};

function currentName(key: string): string {
  return (Object.hasOwn(oldNames, key) ? oldNames[key] : undefined) ?? key;
}

function currentNames(given: Mapping): Mapping {
  const isOld = (key: string) => Object.hasOwn(oldNames, key);
  const old = Object.entries(given).flatMap(([key, value]) => (isOld(key) ? [[currentName(key), value]] : []));
  const current = Object.entries(given).filter(([key]) => !isOld(key));
  return Object.fromEntries([...old, ...current]);
}

/** `region_name` may be a list, or names with commas between them: the first one counts. */
function firstRegion(given: unknown): unknown {
  const first: unknown = Array.isArray(given) ? given[0] : given;
  return typeof first === 'string' ? first.split(',')[0]?.trim() : first;
}

/**
 * Copies the default domain to the user and the project if they have none of their own. `domain_*` itself stays: without a project
 * it is the scope of the token.
 */
function fannedOut(given: Mapping): Mapping {
  const { default_domain_id, default_domain_name, ...rest } = given;
  const general = rest['domain_id'] === undefined && rest['domain_name'] === undefined;
  const id = general ? default_domain_id : rest['domain_id'];
  const domain = id === undefined ? { name: general ? default_domain_name : rest['domain_name'] } : { id };
  const fan = (whose: 'user_domain' | 'project_domain') =>
    rest[`${whose}_id`] !== undefined || rest[`${whose}_name`] !== undefined
      ? {}
      : Object.fromEntries(Object.entries(domain).map(([key, value]) => [`${whose}_${key}`, value]));
  const all = { ...rest, ...fan('user_domain'), ...fan('project_domain') };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}
