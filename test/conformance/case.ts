/**
 * A case of the comparison: the given images, the operations, and the expected differences between the two services.
 *
 * Invariant: a difference is listed field by field with its reason, or the case fails. A listed difference that does
 * not occur fails, too.
 */
import type { JsonValue } from '../../src/openstack/json.ts';
import type { Rule } from '../env/proxy.ts';
import type { Given, Operation } from './operation.ts';
import type { Reason } from './reasons.ts';

export interface Case {
  /** The operation, as the page of differences describes it: begins with a verb. */
  name: string;
  given?: Readonly<Record<`<${string}>`, Given>>;
  operations: readonly Operation[];
  /** What Cinder makes of each operation: `returned`, or the error's class and number. So that `same` is never the same mishap. */
  cinder: readonly string[];
  expect: 'same' | Differences;
  /** The service is one that was made from a reference to an image on the server. */
  remote?: true;
  /** Faults of a proxy that then stands in front of Glance. */
  faults?: readonly Rule[];
  /** The end of the address by which the service knows Glance. */
  suffix?: string;
  /** How often a call without a response is repeated. */
  retries?: number;
}

/**
 * By their reason, the places where the outcomes differ, as JSON Pointers, with Cinder's value and ours. Undefined: there is
 * nothing in this place. An object stands for every object that has at least its keys.
 *
 * `/results/0` is what became of the first operation: `returned`, or an error's class and number. Where both return,
 * `/results/0/value` has the value. `/glance/<image>` is what Glance holds in the end.
 */
export type Differences = { readonly [reason in Reason]?: Readonly<Record<string, Pair>> };

export type Pair = readonly [cinder: JsonValue | undefined, ours: JsonValue | undefined];
