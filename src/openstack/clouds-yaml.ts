/**
 * clouds.yaml as text, to the settings of one cloud. Law: no text can make this slow or large, every scalar is taken as the
 * text that stands there (a password `0123` or a project id `1234e5` stays what it is), and no error quotes the text.
 */
import { isNode, isScalar, LineCounter, parseDocument, visit } from 'yaml';
import { ConfigurationError } from './errors.ts';

/** What people write is a few KiB; what is larger only takes time. */
const largestFile = 64 * 1024;
/** More aliases than any human file has, far fewer than an alias bomb needs. */
const mostAliases = 50;

/** Keys to texts, lists and mappings. */
export type Mapping = Record<string, unknown>;

/**
 * The settings of cloud `name`: those under `auth` and those beside it in one mapping, where those beside win, under their
 * current names and without the empty ones; where they differ by region, those of `region`. Throws ConfigurationError.
 */
export function readCloud(text: string, name: string, region: string | undefined): Mapping {
  const fail = (problem: string) => new ConfigurationError('SecretInvalid', `cloud ${name} in clouds.yaml: ${problem}`);
  const { regions, ...general } = plain(cloudEntry(text, name));
  const special = regions === undefined ? {} : regionValues(regions, region ?? general['region_name'], fail);
  const { auth, ...beside } = { ...general, ...special };
  const auths = [general['auth'], special['auth']].map((one) => {
    if (one !== undefined && !isMapping(one)) throw fail('auth is not a mapping');
    return plain(one ?? {});
  });
  return settled({ ...auths[0], ...auths[1], ...beside });
}

/** Settings as they stand in the text, under their current names and without the empty ones. */
export function settled(mapping: Mapping): Mapping {
  return fannedOut(plain(mapping));
}

/** What holds in one region of `regions`, a list of names and of `{name, values}`; in the first one where none is asked for. */
function regionValues(regions: unknown, wanted: unknown, fail: (problem: string) => ConfigurationError): Mapping {
  if (!Array.isArray(regions) || regions.length === 0) throw fail('regions is not a list');
  const all = regions.map((one: unknown): Mapping => (isMapping(one) ? one : { name: one }));
  const found = all.find(({ name }) => wanted === undefined || name === wanted);
  if (found === undefined) throw fail('the region is none of those under regions');
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
      // The parser compares each key with all before it, which takes seconds; we look ourselves.
      uniqueKeys: false,
      prettyErrors: false,
      // Its warnings go to the process's standard error, and quote.
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
    // The library's own words may quote the text. What ends here: aliases, and nesting deeper than the stack.
    throw new ConfigurationError('SecretInvalid', 'clouds.yaml is not usable: too many aliases, or nested too deeply');
  }
}

function notYaml(code: string, offset: number, lines: LineCounter): ConfigurationError {
  const { line, col } = lines.linePos(offset);
  return new ConfigurationError('SecretInvalid', `clouds.yaml is not YAML: ${code} at line ${line}, column ${col}`);
}

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `user-domain-name` is an old spelling of `user_domain_name`; keys that are written but empty say nothing. */
function plain(mapping: Mapping): Mapping {
  const given = Object.entries(mapping).filter(([, value]) => value !== null && value !== '');
  return Object.fromEntries(given.map(([key, value]) => [key.replaceAll('-', '_'), value]));
}

/**
 * Old names to current ones, and the domain that is named for all to the user and the project where they have none of their own.
 * `domain_*` itself stays: without a project it is what the token is for.
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
