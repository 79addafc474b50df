/**
 * clouds.yaml as text, to the settings of one cloud. Law: no text can make this slow or large, every scalar is taken as the
 * text that stands there (a password `0123` or a project id `1234e5` stays what it is), and no error quotes the text.
 */
import { isScalar, LineCounter, parseDocument, visit } from 'yaml';
import { ConfigurationError } from './errors.ts';

/** What people write is a few KiB; what is larger only takes time. */
const largestFile = 64 * 1024;
/** More aliases than any human file has, far fewer than an alias bomb needs. */
const mostAliases = 50;

/** Keys to texts, lists and mappings. */
export type Mapping = Record<string, unknown>;

/**
 * The settings of cloud `name`: those under `auth` and those beside it in one mapping, where those beside win, under their
 * current names and without the empty ones. Throws ConfigurationError.
 */
export function readCloud(text: string, name: string): Mapping {
  const { auth, ...beside } = underscored(present(cloudEntry(text, name)));
  if (auth !== undefined && !isMapping(auth)) {
    throw new ConfigurationError('SecretInvalid', `cloud ${name} in clouds.yaml: auth is not a mapping`);
  }
  return fannedOut({ ...underscored(present(auth ?? {})), ...beside });
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
      lineCounter: lines,
    });
    const [error] = document.errors;
    if (error !== undefined) throw notYaml(error.code, error.pos[0], lines);
    visit(document, {
      Map(_, { items }) {
        const seen = new Set<unknown>();
        for (const { key } of items) {
          if (!isScalar(key)) continue;
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

function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `user-domain-name` is an old spelling of `user_domain_name`. */
function underscored(mapping: Mapping): Mapping {
  return Object.fromEntries(Object.entries(mapping).map(([key, value]) => [key.replaceAll('-', '_'), value]));
}

/** Without the keys that are written but empty, which say nothing. */
function present(mapping: Mapping): Mapping {
  return Object.fromEntries(Object.entries(mapping).filter(([, value]) => value !== null && value !== ''));
}

/** Old names to current ones, and `domain_*` to the user's and the project's domain where those are not given. */
function fannedOut(given: Mapping): Mapping {
  const { tenant_id, tenant_name, domain_id, domain_name, ...rest } = given;
  const domain = domain_id !== undefined ? { id: domain_id } : domain_name !== undefined ? { name: domain_name } : {};
  const fan = (whose: 'user_domain' | 'project_domain') =>
    rest[`${whose}_id`] !== undefined || rest[`${whose}_name`] !== undefined
      ? {}
      : Object.fromEntries(Object.entries(domain).map(([key, value]) => [`${whose}_${key}`, value]));
  return present({
    project_id: tenant_id,
    project_name: tenant_name,
    ...rest,
    ...fan('user_domain'),
    ...fan('project_domain'),
  });
}
