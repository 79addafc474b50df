/**
 * Our own finalizer, and nobody else's. It is added before the first side effect outside the cluster and removed after the
 * last, so that the object cannot go while something of it is left.
 *
 * Law: each write is a JSON patch that tests the uid and the entries it relies on; so it cannot hit a successor of the same
 * name, nor overwrite what another controller did to the list meanwhile, nor bring a deleted object back.
 */
import type { JsonPatchOperation, KubernetesClient } from './client.ts';
import { isConflict, isInvalid, isNotFound } from './errors.ts';
import type { KubernetesObject, ResourceType } from './resource.ts';

type Client = Pick<KubernetesClient, 'get' | 'jsonPatch'>;
type Operations = readonly [{ op: 'test'; path: string; value: unknown }, ...JsonPatchOperation[]];

const maxTries = 5;

/** Returns the object with the finalizer, or undefined where it is gone or already being deleted. */
export function addFinalizer<T extends KubernetesObject>(
  client: Client,
  type: ResourceType<T>,
  object: T,
  finalizer: string,
  signal: AbortSignal,
): Promise<T | undefined> {
  return change(client, type, object, signal, ({ finalizers = [], deletionTimestamp, uid }) => {
    if (finalizers.includes(finalizer)) return 'done';
    if (deletionTimestamp !== undefined) return 'impossible';
    const path = '/metadata/finalizers';
    return [
      { op: 'test', path: '/metadata/uid', value: uid },
      // An absent list equals null.
      { op: 'test', path, value: finalizers.length === 0 ? null : finalizers },
      { op: 'add', path, value: [...finalizers, finalizer] },
    ];
  });
}

/** Does nothing where the object or the finalizer is gone. */
export async function removeFinalizer<T extends KubernetesObject>(
  client: Client,
  type: ResourceType<T>,
  object: T,
  finalizer: string,
  signal: AbortSignal,
): Promise<void> {
  await change(client, type, object, signal, ({ finalizers = [], uid }) => {
    if (!finalizers.includes(finalizer)) return 'done';
    const path = `/metadata/finalizers/${finalizers.indexOf(finalizer)}`;
    return [
      { op: 'test', path: '/metadata/uid', value: uid },
      { op: 'test', path, value: finalizer },
      { op: 'remove', path },
    ];
  });
}

/** Patches as `plan` says; when a test fails, the object changed meanwhile: then anew from what it is now. */
async function change<T extends KubernetesObject>(
  client: Client,
  type: ResourceType<T>,
  object: T,
  signal: AbortSignal,
  plan: (metadata: T['metadata']) => Operations | 'done' | 'impossible',
): Promise<T | undefined> {
  const { uid } = object.metadata;
  let current = object;
  for (let attempt = 1; ; attempt++) {
    const operations = plan(current.metadata);
    if (operations === 'done') return current;
    if (operations === 'impossible') return undefined;
    try {
      return await client.jsonPatch(type, current.metadata, operations, signal);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      if (!(isInvalid(error) || isConflict(error)) || attempt === maxTries) throw error;
    }
    const latest = await client.get(type, current.metadata, signal);
    if (latest?.metadata.uid !== uid) return undefined;
    current = latest;
  }
}
