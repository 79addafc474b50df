/**
 * What a reconcile says when it ends. Law: one sum type, so that "done, but also retry" cannot be said. A throw is a bug
 * or an unforeseen fault, and is retried with backoff like `retry`.
 */
export type Outcome =
  /** Nothing to do until something changes. Forgets the key's backoff. */
  | { kind: 'done' }
  /** All is well; look again after `afterMs` (drift check, polling of something that moves). Forgets the key's backoff. */
  | { kind: 'recheck'; afterMs: number }
  /** It failed and may work later: exponential backoff per key. `floorMs` is the least wait that the cause asks for. */
  | { kind: 'retry'; reason: string; floorMs?: number };

/** The name of a namespaced resource, in the form `namespace/name`. It is all that a queue carries. */
export type Key = string;

export function keyOf(namespace: string, name: string): Key {
  return `${namespace}/${name}`;
}
