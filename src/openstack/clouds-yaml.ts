/**
 * Reads the settings of one cloud from the text of a clouds.yaml.
 *
 * Guarantees: time and memory are bounded for any text; every scalar is read as text, so that a password `0123` and a project id
 * `1234e5` stay unchanged; no error quotes the text.
 */
import { isNode, isScalar, LineCounter, parseDocument, visit } from 'yaml';
import { ConfigurationError } from './errors.ts';

/** Real files have a few KiB. */
const largestFile = 64 * 1024;
/** More aliases than real files have, far fewer than an alias bomb needs. */
const mostAliases = 50;

/** Keys to texts, lists and mappings. */
export type Mapping = Record<string, unknown>;

/**
 * The settings of cloud `name` in one mapping: those under `auth`, overridden by those next to `auth`, with current names and
 * without empty ones. If they differ by region, those of `region`. Throws ConfigurationError.
 */
export function readCloud(text: string, name: string, region: string | undefined): Mapping {
  const fail = (problem: string) => new ConfigurationError('SecretInvalid', `cloud ${name} in clouds.yaml: ${problem}`);
  const { regions, ...general } = plain(cloudEntry(text, name));
  const special = regions === undefined ? {} : regionValues(regions, region ?? general['region_name'], fail);
  const { auth, ...outer } = { ...general, ...special };
  const auths = [general['auth'], special['auth']].map((one) => {
    if (one !== undefined && !isMapping(one)) throw fail('auth is not a mapping');
    return plain(one ?? {});
  });
  return settled({ ...auths[0], ...auths[1], ...outer });
}

/** Settings with current names and without empty ones. */
export function settled(mapping: Mapping): Mapping {
  return fannedOut(plain(mapping));
}

/** The settings for one region of `regions`, a list of names and of `{name, values}`. Default: the first region. */
function regionValues(regions: unknown, wanted: unknown, fail: (problem: string) => ConfigurationError): Mapping {
  if (!Array.isArray(regions) || regions.length === 0) throw fail('regions is not a list');
  const all = regions.map((one: unknown): Mapping => (isMapping(one) ? one : { name: one }));
  const found = all.find(({ name }) => wanted === undefined || name === wanted);
  if (found === undefined) throw fail('regions does not list the region');
  const values = found['values'] ?? {};
  if (!isMapping(values)) throw fail('the values of a region are not a mapping');
  return { ...plain(values), region_name: found['name'] };
}

/** The mapping under `clouds.<name>`. */
function cloudEntry(text: string, name: string): Mapping {
  if (text.length > largestFile) {
    throw new ConfigurationError('SecretInvalid', `clouds.yaml is larger than ${largestFile / 1024} KiB`);
  }
  const root = parsed(text);
  if (!isMapping(root) || !isMapping(root['clouds'])) {
    throw new ConfigurationError('SecretInvalid', 'clouds.yaml has no mapping named clouds at its top level');
  }
  const { clouds } = root;
  if (!Object.hasOwn(clouds, name)) {
    const names = Object.keys(clouds);
    const there = names.length === 0 ? 'it is empty' : `it has ${names.slice(0, 20).join(', ')}`;
    throw new ConfigurationError('CloudNotFound', `clouds.yaml has no cloud named ${name}; ${there}`);
  }
  const entry = clouds[name];
  if (!isMapping(entry)) throw new ConfigurationError('SecretInvalid', `cloud ${name} in clouds.yaml is not a mapping`);
  return entry;
}

function parsed(text: string): unknown {
  const lines = new LineCounter();
  try {
    const document = parseDocument(text, {
      schema: 'failsafe',
      customTags: ['null', 'merge'],
      // The parser compares each key with all before it, which takes seconds. The check below is linear.
      uniqueKeys: false,
      prettyErrors: false,
      // Warnings of the parser go to standard error and quote the text.
      logLevel: 'error',
      lineCounter: lines,
    });
    const [error] = document.errors;
    if (error !== undefined) throw notYaml(error.code, error.pos[0], lines);
    visit(document, {
      Map(_, { items }) {
        const seen = new Set<unknown>();
        for (const { key } of items) {
          if (!isScalar(key)) throw notYaml('KEY_IS_NO_TEXT', isNode(key) ? (key.range?.[0] ?? 0) : 0, lines);
          if (seen.has(key.value)) throw notYaml('DUPLICATE_KEY', key.range?.[0] ?? 0, lines);
          seen.add(key.value);
        }
      },
    });
    return document.toJS({ maxAliasCount: mostAliases });
  } catch (error) {
    if (error instanceof ConfigurationError) throw error;
    // Messages of the library may quote the text. The causes are too many aliases, and nesting deeper than the stack.
    throw new ConfigurationError(
      'SecretInvalid',
      'clouds.yaml cannot be used: it has too many aliases, or is nested too deeply',
    );
  }
}

function notYaml(code: string, offset: number, lines: LineCounter): ConfigurationError {
  const { line, col } = lines.linePos(offset);
  return new ConfigurationError('SecretInvalid', `clouds.yaml is not YAML: ${code} at line ${line}, column ${col}`);
}

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `user-domain-name` is an old spelling of `user_domain_name`. Empty keys are ignored. */
function plain(mapping: Mapping): Mapping {
  const given = Object.entries(mapping).filter(([, value]) => value !== null && value !== '');
  return Object.fromEntries(given.map(([key, value]) => [key.replaceAll('-', '_'), value]));
}

/**
 * Replaces old names, and copies the default domain to the user and the project if they have none of their own. `domain_*` itself
 * stays: without a project it is the scope of the token.
 */
function fannedOut(given: Mapping): Mapping {
  const { tenant_id, tenant_name, default_domain_id, default_domain_name, ...rest } = given;
  const general = rest['domain_id'] === undefined && rest['domain_name'] === undefined;
  const id = general ? default_domain_id : rest['domain_id'];
  const domain = id === undefined ? { name: general ? default_domain_name : rest['domain_name'] } : { id };
  const fan = (whose: 'user_domain' | 'project_domain') =>
    rest[`${whose}_id`] !== undefined || rest[`${whose}_name`] !== undefined
      ? {}
      : Object.fromEntries(Object.entries(domain).map(([key, value]) => [`${whose}_${key}`, value]));
  const all = {
    project_id: tenant_id,
    project_name: tenant_name,
    ...rest,
    ...fan('user_domain'),
    ...fan('project_domain'),
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}
