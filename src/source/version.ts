/**
 * Which version of a file an answer is of. Law: two answers are of the same version only on the word of a validator that is
 * bound to change with any byte of the file (RFC 9110 §8.8.1); weaker ones prove nothing, and are not kept.
 */
export interface Version {
  /** Scheme, host and port that said so. */
  readonly origin: string;
  /** A strong entity tag, quotes included. */
  readonly etag: string | undefined;
  /** Last-Modified as the server wrote it, where it is as good as a strong entity tag. */
  readonly lastModified: string | undefined;
}

type Header = (name: string) => string | undefined;

/**
 * A file can change twice within the second that a Last-Modified names. It cannot have done so unseen when the answer was
 * made well after that second, with some room for a date that another clock wrote (RFC 9110 §8.8.2.2).
 */
const settledMs = 60_000;

export function versionOf(origin: string, header: Header): Version {
  return { origin, etag: strongTag(header('etag')), lastModified: settledDate(header) };
}

/** Blanks, which older servers use, do no harm; without quotes it is no entity tag, and nobody knows what it means. */
function strongTag(etag: string | undefined): string | undefined {
  return etag !== undefined && /^"[\x20\x21\x23-\x7e\x80-\xff]*"$/.test(etag) ? etag : undefined;
}

function settledDate(header: Header): string | undefined {
  const [modified, date] = [header('last-modified'), header('date')];
  if (modified === undefined || date === undefined) return undefined;
  // A date that cannot be read is NaN, and no comparison with it is true.
  return Date.parse(date) - Date.parse(modified) >= settledMs ? modified : undefined;
}

/** The value for If-Range; undefined when the server cannot be asked for the rest of the same version. */
export function validatorOf(version: Version): string | undefined {
  return version.etag ?? version.lastModified;
}

/**
 * `unknown`: they have no validator in common. Servers name versions in ways of their own, so a difference between two of
 * them says nothing, while on one server it is a change.
 */
export function compareVersions(one: Version, other: Version): 'same' | 'changed' | 'unknown' {
  const different = one.origin === other.origin ? 'changed' : 'unknown';
  for (const key of ['etag', 'lastModified'] as const) {
    if (one[key] === undefined || other[key] === undefined) continue;
    if (one[key] === other[key]) return 'same';
    if (different === 'changed') return 'changed';
  }
  return 'unknown';
}
