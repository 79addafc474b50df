/**
 * Where the data of an active image has to be, against where it is.
 *
 * Invariant: a copy is removed only once all that are wanted are there, so the data is never in fewer places than before.
 */
import type { Image } from '../../glance/image.ts';
import { importState } from '../../glance/import-state.ts';
import type { Stores } from './content.ts';

export type StoreStep =
  | { kind: 'none' }
  | { kind: 'copy'; stores: string[] }
  | { kind: 'remove'; store: string }
  /** The copy that the operator asked for has failed. */
  | { kind: 'failed'; stores: string[] }
  | { kind: 'impossible'; message: string };

/**
 * `names` are all stores of the cloud that accept data, where that matters; undefined on a cloud without named stores. `asked`:
 * the stores of the last copy that the operator asked for.
 */
export function storeChange(
  wanted: Stores,
  image: Image,
  names: readonly string[] | undefined,
  asked: readonly string[] | undefined,
): StoreStep {
  if (wanted.kind === 'default') return { kind: 'none' };
  const { stores: present } = image;
  if (present === undefined || (wanted.kind === 'all' && names === undefined)) {
    return {
      kind: 'impossible',
      message: 'this cloud has one store without a name: remove image.stores and image.allStores',
    };
  }
  const places = wanted.kind === 'all' ? (names ?? []) : wanted.names;
  const missing = places.filter((store) => !present.includes(store));
  if (missing.length > 0) {
    const state = importState(image);
    const failed = state.kind === 'partial' ? missing.filter((store) => state.failedStores.includes(store)) : [];
    return asked !== undefined && failed.length > 0
      ? { kind: 'failed', stores: failed }
      : { kind: 'copy', stores: missing };
  }
  const extra = wanted.kind === 'some' ? present.find((store) => !places.includes(store)) : undefined;
  return extra === undefined ? { kind: 'none' } : { kind: 'remove', store: extra };
}
