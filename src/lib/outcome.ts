/**
 * What a reconcile says when it ends. Law: one sum type, so that "done, but also retry" cannot be said. A throw is a bug
 * or an unforeseen fault, and is tried again with backoff.
 */
export type Outcome =
  /** Nothing to do until something changes. */
  | { kind: 'done' }
  /** Come again at once, in turn: what was learned may make it another's turn. */
  | { kind: 'again' }
  /** Look again after `afterMs` (drift check, the next try of what failed, polling of something that moves). */
  | { kind: 'recheck'; afterMs: number };

/** The name of a namespaced resource, in the form `namespace/name`. It is all that a queue carries. */
export type Key = string;

export function keyOf(namespace: string, name: string): Key {
  return `${namespace}/${name}`;
}

/** The two parts of a key. */
export function partsOf(key: Key): { namespace: string; name: string } {
  const [namespace = '', name = ''] = key.split('/');
  return { namespace, name };
}

export function namespaceOf(key: Key): string {
  return partsOf(key).namespace;
}
