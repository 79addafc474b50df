/**
 * An annotation in which the owner of an object lists where its secrets may go, because the author of a resource can name the object
 * without a right to read it, and must not be able to send its secrets to a server of their own.
 *
 * Invariant: without the annotation, or with an entry in it that cannot be read, nothing is allowed. A rejection does not quote the
 * annotation.
 */
import { shellQuoted } from './text.ts';

export interface AllowList<T> {
  annotation: string;
  /** What kind of object has it. */
  resource: 'Secret' | 'ServiceAccount';
  /** Completes "which lists". */
  meaning: string;
  /** Completes "is not a list of". */
  form: string;
  /** Completes "does not list", with advice. */
  missing(wanted: string): string;
  parse(entry: string): T | undefined;
}

export interface WantedUse<T> {
  /** Those of the object. */
  namespace: string;
  name: string;
  /** Of the annotation. */
  value: string | undefined;
  /** The entry that would allow this use. */
  wanted: string;
  isAllowedBy(entry: T): boolean;
}

/** Why the owner does not allow this use, with advice. Undefined: it is allowed. */
export function rejectionOf<T>(
  list: AllowList<T>,
  { namespace, name, value, wanted, isAllowedBy }: WantedUse<T>,
): string | undefined {
  const { annotation, resource } = list;
  if (value === undefined) {
    const command = `kubectl annotate ${resource.toLowerCase()} ${name} -n ${namespace} ${annotation}=${shellQuoted(wanted)}`;
    return `${resource} "${name}" has no annotation ${annotation}, which lists ${list.meaning}. Its owner can add it: ${command}`;
  }
  const place = `the annotation ${annotation} of ${resource} "${name}"`;
  const entries = value.split(',').map((entry) => list.parse(entry.trim()));
  if (entries.includes(undefined)) return `${place} is not a list of ${list.form}`;
  if (entries.some((entry) => entry !== undefined && isAllowedBy(entry))) return undefined;
  return `${place} does not list ${list.missing(wanted)}`;
}
