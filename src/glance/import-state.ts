/**
 * The progress of an import, read from the image alone: its status, and the notes that Glance keeps among its
 * properties.
 *
 * Glance sets the note of the running task before it accepts an import and removes it shortly after the end, so an
 * accepted import is visible at any time.
 */
import type { ImageTask } from './client/imports.ts';
import type { Image } from './image.ts';

export type ImportState =
  /** `stores`: those that do not have the data yet. A worker that died leaves this state; after an hour Glance accepts another import. */
  | { kind: 'running'; task: string | undefined; stores: string[] }
  /** The image is active, and in all requested stores. */
  | { kind: 'succeeded' }
  /** The image is active, but not in these stores. */
  | { kind: 'partial'; failedStores: string[] }
  /**
   * The image is as it was before, and the import may be requested again. `tasks` has the cause, if Glance reports it.
   */
  | { kind: 'failed'; failedStores: string[] }
  /** Nothing more will happen and no data is accepted: only deletion of the image helps. */
  | { kind: 'stuck' };

/**
 * Of an image for which an import, a copy or a new location was accepted. `requested`: the stores of that request. Without them,
 * a store where only an earlier import failed counts as failed, because Glance never removes it from its list.
 */
export function importState(image: Pick<Image, 'status' | 'properties'>, requested?: readonly string[]): ImportState {
  const task = image.properties['os_glance_import_task'];
  if (typeof task === 'string')
    return { kind: 'running', task, stores: listed(image, 'os_glance_importing_to_stores') };
  const failedStores = listed(image, 'os_glance_failed_import').filter((store) => requested?.includes(store) ?? true);
  switch (image.status) {
    case 'active':
    case 'deactivated':
      return failedStores.length === 0 ? { kind: 'succeeded' } : { kind: 'partial', failedStores };
    case 'queued':
    case 'uploading':
      return { kind: 'failed', failedStores };
    case 'importing':
    case 'killed':
    case 'deleted':
    case 'pending_delete':
      return { kind: 'stuck' };
    default:
      // `saving`, or a state of a newer Glance: the data is in work.
      return { kind: 'running', task: undefined, stores: [] };
  }
}

function listed({ properties }: Pick<Image, 'properties'>, key: string): string[] {
  const text = properties[key];
  return typeof text === 'string' ? text.split(',').filter((store) => store !== '') : [];
}

/** Why the last import failed, as the end of a sentence with the message of Glance; often it has little information. */
export function whyImportFailed(tasks: readonly Pick<ImageTask, 'status' | 'message'>[]): string {
  const message = tasks.findLast(({ status }) => status === 'failure')?.message;
  return message ? `Glance reports: ${message}` : 'Glance reports no cause';
}
