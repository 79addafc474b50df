/** Plans: their steps, what follows these, and the state that they change: what Glance holds, and what the operator remembers. */
import type { ImportRequest } from '../../glance/client/index.ts';
import type { Image } from '../../glance/image.ts';
import type { JsonPatchOperation } from '../../glance/patch.ts';
import type { WantedImage } from '../../glance/translation.ts';
import type { ErrorCode } from '../../lib/error-codes.ts';
import type { Content } from './content.ts';
import type { Memory } from './memory.ts';
import type { Published } from './published-data.ts';
import type { Observed } from './revisions.ts';

/**
 * Each changes Glance once, but `publish` and `unpublish`, which change a ConfigMap, and `record`, which writes the memory into the
 * status.
 */
export type PlanStep =
  /** `keys`: of the declared properties. */
  | { kind: 'create'; imageID: string; number: number; image: WantedImage; keys: readonly string[] }
  /** `adopts`: from now on, the image is ours. */
  | { kind: 'patch'; image: Image; operations: JsonPatchOperation[]; keys: readonly string[]; adopts?: true }
  /** Glance downloads the data, or copies it to other stores. */
  | { kind: 'import'; image: Image; request: ImportRequest }
  | { kind: 'removeFromStore'; image: Image; store: string }
  /**
   * `mustGo`: an image that is in use is a failure. Otherwise it is tried again later. `unlessInUse`: not if a server of the project
   * uses it, because Glance does not know of all servers.
   */
  | { kind: 'delete'; image: Image; why: string; mustGo?: true; unlessInUse?: true }
  | { kind: 'addMember'; image: Image; project: string }
  | { kind: 'removeMember'; image: Image; project: string }
  | { kind: 'deactivate' | 'reactivate'; image: Image }
  /** The ConfigMap shows the image to use. */
  | ({ kind: 'publish' } & Published)
  | { kind: 'unpublish'; configMap: string }
  | { kind: 'record'; memory: Memory };

export interface State {
  observed: Observed;
  memory: Memory;
}

/** What happens after the steps. */
export type Next =
  | { kind: 'settled'; image: Image }
  | { kind: 'wait'; image: Image; phase: 'Importing' | 'Waiting'; why: string; ms: number }
  /** fill: the image gets its data. verify: its data is read back and compared. */
  | { kind: 'transfer'; image: Image; content: Content; purpose: 'fill' | 'verify' }
  | { kind: 'inspect'; image: Image; content: Content }
  /** The members of these images have to be known before the plan goes on. */
  | { kind: 'readMembers'; images: readonly Image[] }
  | { kind: 'importFailed'; image: Image; what: string }
  | { kind: 'blocked'; code: ErrorCode; message: string };

export interface Plan {
  steps: readonly PlanStep[];
  next: Next;
}
