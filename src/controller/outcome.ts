/**
 * The result of a reconcile. Invariant: it is one sum type, so "await a change, but also retry" cannot be expressed. An exception is a bug
 * or an unexpected fault; the reconcile is retried with backoff.
 */
export type Outcome =
  /** Nothing to do until something changes. */
  | { kind: 'awaitChange' }
  /** Queue the key again: its flow may have changed. */
  | { kind: 'requeue' }
  /** Reconcile again after `afterMs`: a drift check, a retry, or polling. */
  | { kind: 'requeueAfter'; afterMs: number };
