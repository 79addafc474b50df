/**
 * Adds and removes our own finalizer. It is added before the first side effect outside the cluster and removed after the
 * last, so the object exists as long as something remains to be cleaned up.
 *
 * Guarantees: each write is a JSON patch that tests the uid and the entries that it relies on. So it can neither change a new
 * object of the same name, nor overwrite concurrent changes of other controllers, nor recreate a deleted object.
 */
import type { KubernetesClient, ObjectPatchOperation } from './client.ts';
import { isConflict, isInvalid, isNotFound } from './errors.ts';
import type { KubernetesObject, ResourceType } from './resource.ts';

type Client = Pick<KubernetesClient, 'get' | 'jsonPatch'>;
type Operations = readonly [{ op: 'test'; path: string; value: unknown }, ...ObjectPatchOperation[]];

const maxTries = 5;

export interface Annotation {
  name: string;
  value: string;
}

/**
 * Returns the object with the finalizer, or undefined if it does not exist, is already being deleted, or had the finalizer and has
 * lost it meanwhile. The annotation is written in the same patch, or alone if only it is missing, unless the object has one of this
 * name.
 */
export function addFinalizer<T extends KubernetesObject>(
  client: Client,
  type: ResourceType<T>,
  object: T,
  finalizer: string,
  signal: AbortSignal,
  annotation?: Annotation,
): Promise<T | undefined> {
  const wasThere = object.metadata.finalizers?.includes(finalizer) === true;
  return change(client, type, object, signal, ({ finalizers = [], annotations, deletionTimestamp, uid }) => {
    const annotating = annotation === undefined ? [] : annotate(annotations, annotation);
    const isThere = finalizers.includes(finalizer);
    if (isThere && (annotating.length === 0 || deletionTimestamp !== undefined)) return 'done';
    if (deletionTimestamp !== undefined || (wasThere && !isThere)) return 'impossible';
    const path = '/metadata/finalizers';
    return [
      { op: 'test', path: '/metadata/uid', value: uid },
      // An absent list equals null.
      { op: 'test', path, value: finalizers.length === 0 ? null : finalizers },
      ...(isThere ? [] : [{ op: 'add' as const, path, value: [...finalizers, finalizer] }]),
      ...annotating,
    ];
  });
}

function annotate(
  annotations: Readonly<Record<string, string>> = {},
  { name, value }: Annotation,
): ObjectPatchOperation[] {
  const path = '/metadata/annotations';
  if (Object.hasOwn(annotations, name)) return [];
  if (Object.keys(annotations).length > 0)
    return [{ op: 'add', path: `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, value }];
  // An absent map equals null. Another client may have added one meanwhile, which must not be lost.
  return [
    { op: 'test', path, value: null },
    { op: 'add', path, value: { [name]: value } },
  ];
}

/** Does nothing if the object or the finalizer does not exist. */
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

/** Patches as `plan` says. A failed test means that the object has changed meanwhile: then it is read and planned again. */
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
