/**
 * What a reconcile returns. Invariant: it is one sum type, so "done, but also retry" cannot be expressed. A reconcile that
 * throws has met a bug or an unforeseen fault, and is retried with backoff.
 */
export type Outcome =
  /** Nothing to do until something changes. */
  | { kind: 'done' }
  /** Reconcile again as soon as it is this key's turn: what was learned may have moved it to another flow. */
  | { kind: 'again' }
  /** Reconcile again after `afterMs`: a drift check, a retry, or polling. */
  | { kind: 'recheck'; afterMs: number };
