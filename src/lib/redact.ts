/**
 * The second protection of logs against secrets: every line is searched for text that looks like a secret. The first
 * protection is at the source: `SecretString`, `safeUrl`, and errors that quote nothing secret.
 *
 * Invariant: it changes only such text, never throws, and is bounded in depth and size.
 */
import { SecretString, safeUrl } from './secret.ts';

const placeholder = '[redacted]';
const deepest = 8;
const mostEntries = 100;
const longestText = 16_384;

/** A field with such a name holds a secret, but `secretName`, `tokenVersion` and the like only speak of one. */
const secretName =
  /(pass(word|wort|wd|phrase|code)?|pwd|secret|token|authorization|credentials?|cookie|api[-_]?key|private[-_]?key|signature[-_]?key|x-jfrog-art-api|clouds\.ya?ml|kubeconfig)$/i;

/** Every repetition is bounded, or begins where no other match could: the time is linear in the length of the text. */
const secretWord =
  'passw(?:or)?d|passwort|passphrase|passcode|\\bpwd|["\']pass(?=["\'])|secret(?:[-_]?key)?|token|credential|' +
  '(?:api|access|private|account|auth)[-_ ]?key|session[-_]?id|\\bsig(?:nature)?|kennwort';
/** They have other meanings too, so they count only in front of a separator, and with a value without blanks. */
const shortWord = '(?<![a-z])(?:(?:db|root|user|admin|my)?pass|pw)';
/** A quote, a blank and a separator may be encoded for a URL, and that once more: `token%253D`. */
const quote = String.raw`(?:\\{0,4}["']|%(?:25){0,4}2[27])?`;
const blanks = String.raw`(?:\s|\+|%(?:25){0,4}20){0,8}`;
const separator = `(${quote}${blanks}(?:=>|[:=]|%(?:25){0,4}3[ad])${blanks})`;
/** Up to the quote that ends it, also where another one is escaped before. Where a text is cut off, up to the end of the line. */
const quoted = [
  String.raw`"(?:[^"\\\r\n]|\\[^\r\n])*"?`,
  String.raw`'(?:[^'\\\r\n]|\\[^\r\n])*'?`,
  // The same within JSON that is a text of JSON, where the inner quote has three backslashes; and deeper ones.
  String.raw`\\"(?:[^"\\\r\n]|\\\\\\"|\\(?!"))*(?:\\")?`,
  String.raw`\\{2,4}"[^"\r\n]*"?`,
  String.raw`\\{1,4}'[^'\r\n]*'?`,
].join('|');
const bare = String.raw`(?:[^\s"',;&}\\]|\\(?!\\{0,3}["'])){1,4096}`;
/** Also the first one of a list or an object. */
const value = String.raw`(?:(?:\[\s{0,8}|\{\s{0,8}["']\w{1,64}["']\s{0,8}:\s{0,8})?(?:${quoted})|${bare})`;
/** Of YAML: a text without quotes may have blanks, so it goes to the next key or the end of the line; a block has lines of its own. */
const yamlValue = String.raw`(?:${quoted}|[|>][-+\d]{0,2}[ \t]{0,8}(?:\r?\n[ \t]+[^\r\n]*)+|\S[^\r\n]*?(?=\s["']?[\w.-]{1,64}["']?:(?:\s|$)|[\r\n]|$))`;

const rules: readonly [RegExp, string][] = [
  [/-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]{0,40}PRIVATE KEY-----|$)/g, placeholder],
  // The digest of a file is no credential, and the first thing that a reader looks for.
  [/\b(bearer|basic|negotiate|ntlm)\s{1,8}(?!(?:sha\d+|md5):)[\w.~+/=-]{4,}/gi, `$1 ${placeholder}`],
  // Messages have the word too. Credentials of this scheme are a list of parameters.
  [/\b(digest)\s{1,8}\w{1,32}=[^\s,]{1,400}(?:,\s{0,2}\w{1,32}=[^\s,]{1,400}){0,20}/gi, `$1 ${placeholder}`],
  // Headers to the end of their line, settings to the end of their value.
  [
    new RegExp(
      String.raw`\b((?:set-)?cookie|(?:proxy-)?authorization|x-jfrog-art-api|private-token)${separator}[^\r\n]+`,
      'gi',
    ),
    `$1$2${placeholder}`,
  ],
  [
    new RegExp(String.raw`(${secretWord})(\\{0,4}["']?:\s{1,8})(?!\[redacted\])${yamlValue}`, 'gi'),
    `$1$2${placeholder}`,
  ],
  [
    new RegExp(String.raw`(${secretWord}|${shortWord})${separator}(?!\[redacted\])${value}`, 'gi'),
    `$1$2${placeholder}`,
  ],
  [/\b((?:password|passwd|passphrase|passcode|pwd) (?:is|was) )\S{1,1024}/gi, `$1${placeholder}`],
  [
    /\b((?:password|passwd|passphrase|pwd|identified by)\s{1,8})(?:"[^"\r\n]{1,1024}"|'[^'\r\n]{1,1024}')/gi,
    `$1${placeholder}`,
  ],
  [/(?<!\S)(-u\s{1,8}[\w.@+-]{1,64}:)\S{1,1024}/g, `$1${placeholder}`],
  [new RegExp(String.raw`(--[\w-]{0,32}(?:${secretWord})\s{1,8})(?![-\s])\S{1,4096}`, 'gi'), `$1${placeholder}`],
  [new RegExp(`(<(?:${secretWord})>)[^<]{1,4096}`, 'gi'), `$1${placeholder}`],
  // User and password of an address without a scheme, with // and without. A digest is not a host.
  [/(?<![\w:/])\/\/[^\s/@:]{1,255}:[^\s/@]{1,255}@/g, '//'],
  [
    /(?<![\w:/.@+-])(?!(?:mailto|acct|sips?|xmpp|npm|jsr|pkg):)([\w.+-]{1,64}:)(?!\/\/)[^\s"'<>,;]{1,255}@(?!sha\d|md5:)(?=[\w[])/gi,
    `$1${placeholder}@`,
  ],
  // Tokens that show what they are: of Keystone, of Kubernetes and OpenID Connect, of GitHub, GitLab, Artifactory, AWS, Vault,
  // Slack, Docker and npm.
  [/\bgAAAA[\w-]{16,}=*/g, placeholder],
  [/\beyJ[\w-]{8,4096}\.[\w-]{1,4096}\.[\w-]*/g, placeholder],
  [
    /\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{8,}|AKC[a-zA-Z0-9]{8,}|(?:AKIA|ASIA)[A-Z0-9]{16}\b|hvs\.[\w-]{20,}|xox[abprs]-[\w-]{10,}|dckr_pat_[\w-]{20,}|npm_\w{30,})/g,
    placeholder,
  ],
];

/** A URL, taken whole so that no part of it is looked at twice. */
const urls = /(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{0,15}:\/\/)([^\s"'<>]+)/gi;

/** Without user, password, query and fragment. An @ in the path stays. */
function cleanUrl(_: string, scheme: string, rest: string): string {
  const end = rest.search(/[?#]/);
  const place = end === -1 ? rest : rest.slice(0, end);
  const slash = place.indexOf('/');
  const authority = slash === -1 ? place : place.slice(0, slash);
  const path = slash === -1 ? '' : place.slice(slash);
  return `${scheme}${authority.slice(authority.lastIndexOf('@') + 1)}${path}${end === -1 ? '' : '?…'}`;
}

export function cleanText(text: string): string {
  const short = text.length > longestText ? `${text.slice(0, longestText)}…` : text;
  const plain = short.replace(urls, cleanUrl);
  return rules.reduce((cleaned, [pattern, replacement]) => cleaned.replace(pattern, replacement), plain);
}

/** A copy of plain data that can be logged. */
export function cleanFields(fields: object): Record<string, unknown> {
  return cleanEntries(Object.entries(fields), 0, new Set([fields]));
}

function cleanEntries(
  entries: readonly [unknown, unknown][],
  depth: number,
  above: ReadonlySet<object>,
): Record<string, unknown> {
  return Object.fromEntries(
    entries.slice(0, mostEntries).map(([key, value]) => {
      const name = String(key);
      const hidden = secretName.test(name) && value !== undefined && value !== null;
      return [cleanText(name), hidden ? placeholder : clean(value, depth + 1, above)];
    }),
  );
}

function clean(value: unknown, depth: number, above: ReadonlySet<object>): unknown {
  if (typeof value === 'string') return cleanText(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'function' || typeof value === 'symbol') return undefined;
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof SecretString) return placeholder;
  if (value instanceof URL) return safeUrl(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'no time' : value.toISOString();
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (depth > deepest || above.has(value)) return '…';
  const path = new Set(above).add(value);
  if (value instanceof Error) return cleanError(value, depth, path);
  if (value instanceof Map) return cleanEntries([...value], depth, path);
  if (value instanceof Set) return cleanList([...value], depth, path);
  if (Array.isArray(value)) return cleanList(value, depth, path);
  return cleanEntries(Object.entries(value), depth, path);
}

/** Raw headers are lists in which each name is followed by its value. */
function cleanList(list: readonly unknown[], depth: number, above: ReadonlySet<object>): unknown[] {
  return list.slice(0, mostEntries).map((value, index) => {
    const before = list[index - 1];
    return typeof before === 'string' && secretName.test(before) ? placeholder : clean(value, depth + 1, above);
  });
}

/** An error's message and codes, and the chain of causes; its stack only if it is a bug of ours. */
function cleanError(error: Error, depth: number, above: ReadonlySet<object>): Record<string, unknown> {
  const { name, message, cause, stack } = error;
  const field = (key: string): unknown => (key in error ? Reflect.get(error, key) : undefined);
  const isBug = error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
  const known = {
    name,
    message,
    code: field('code'),
    httpStatus: field('httpStatus'),
    requestId: field('requestId'),
    cause,
    errors: field('errors'),
    stack: isBug ? stack : undefined,
  };
  const told = Object.entries(known).filter(([, value]) => value !== undefined);
  return cleanEntries(told, depth, above);
}
