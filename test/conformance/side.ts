/** One of the two image services that are compared. */
import type { JsonValue } from '../../src/openstack/json.ts';
import type { Operation } from './operation.ts';

/** What became of an operation: what it returned, or which error it ended in. */
export type Outcome = { returned: JsonValue } | { error: string; code: number | null; text: string };

export interface RunOptions {
  /** Another Glance than the cloud's, such as a proxy in front of it. */
  glance?: string;
  /** How often a call without a response is repeated. */
  retries?: number;
  /** A reference to an image on a server: the service is made from it. */
  remote?: string;
}

export interface Side {
  /** Runs the operations one after another, whatever becomes of them, on one service. */
  run(operations: readonly Operation[], options: RunOptions): Promise<Outcome[]>;
  close(): Promise<void>;
}
