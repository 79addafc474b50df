/**
 * The operations on both image services, named as in Cinder's.
 *
 * Names in angle brackets stand for ids that differ from run to run: `<image>` and other names given by a case, `<new>`
 * for an image that it creates, `<mark>` for a text that no other case has, `<project>` and `<stranger>` for the
 * projects, `<glance>` for the address of the server.
 *
 * Invariant: an operation means the same on both sides. A value that one of them does not accept is reported as a
 * difference.
 */
import type { JsonValue } from '../../src/openstack/json.ts';

/** `member` and `reader` are of the project that owns the images, `stranger` is not. */
export type Who = 'member' | 'reader' | 'stranger';

/** An image in Cinder's shape: attributes by their names in Glance, everything else under `properties`. */
export type Meta = Readonly<Record<string, JsonValue>>;

export interface Requester {
  token: string | null;
  admin: boolean;
  project: string;
  user: string;
}

export type Operation = { as?: Who } & (
  | { op: 'create'; meta: Meta; data?: string }
  | { op: 'update'; image: string; meta: Meta; data?: string; purge?: boolean; store?: string; baseImageRef?: string }
  /** An update with all that `show` returns, except for what `meta` has. */
  | { op: 'giveBack'; image: string; meta: Meta }
  | { op: 'show'; image: string }
  | { op: 'showRef'; ref: string }
  | {
      op: 'detail';
      filters?: Readonly<Record<string, string | readonly string[]>>;
      marker?: string;
      limit?: number;
      sortKey?: string;
      sortDir?: string;
    }
  | { op: 'delete'; image: string }
  /** Whether the rules for clouds without authentication give a user access to an image. */
  | { op: 'isAvailable'; image: Meta; to: Requester; members: readonly { project: string; status: string }[] }
  | { op: 'listMembers'; image: string }
  | { op: 'getStores' }
  | { op: 'getLocation'; image: string }
  | { op: 'addLocation'; image: string; url: string; metadata: Meta }
  /** `sink`: into a file instead of as a stream; default true. `schemes`: those of locations that may be copied directly. */
  | { op: 'download'; image: string; sink?: boolean; schemes?: readonly string[] }
);

/** An image that is there before the operations begin. */
export interface Given {
  /** As Glance has them. */
  fields?: Readonly<Record<string, JsonValue>>;
  data?: string;
  owner?: 'project' | 'stranger';
  members?: readonly Who[];
  is?: 'deleted' | 'deactivated' | 'imported';
}
