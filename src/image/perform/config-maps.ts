/**
 * The ConfigMaps that show the image to use.
 *
 * Guarantees: each is read before it is written, and written only in the version that was read, so a ConfigMap of another owner is
 * neither changed nor deleted. It belongs to its resource by an ownerReference, and Kubernetes deletes it with that. Each call can be
 * repeated. Only `get`, `create`, `patch` and `delete` are needed, on ConfigMaps that resources name.
 */
import * as z from 'zod';
import type { GlanceImage } from '../../api/glanceimage.ts';
import { apiVersion, kind } from '../../api/group.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import { isAlreadyExists, isConflict, isInvalid, isNotFound, KubernetesError } from '../../kubernetes/errors.ts';
import { type ObjectMeta, parseObject, type ResourceType } from '../../kubernetes/resource.ts';
import { attempt, OperatorError, responseFieldsOf } from '../../lib/errors.ts';
import type { Observed, Publication, PublishedData } from '../model/revisions.ts';
import { notOwned } from '../plan/publication.ts';
import { asFailure } from '../status/failure.ts';

export interface ConfigMaps {
  of(resource: GlanceImage): OwnConfigMaps;
}

/** Those of one resource. */
export interface OwnConfigMaps {
  /** Throws only the signal's reason. */
  read(name: string, signal: AbortSignal): Promise<Publication>;
  /** Creates or changes it. Throws an OperatorError where it belongs to another owner. */
  write(name: string, data: PublishedData, signal: AbortSignal): Promise<void>;
  /** Deletes it, unless it belongs to another owner. */
  remove(name: string, signal: AbortSignal): Promise<void>;
}

/** Undefined where none is named. */
export async function readConfigMaps(
  names: readonly string[],
  configMaps: Pick<OwnConfigMaps, 'read'>,
  signal: AbortSignal,
): Promise<Observed['configMaps']> {
  if (names.length === 0) return undefined;
  const read = new Map<string, Publication>();
  for (const name of names) read.set(name, await configMaps.read(name, signal));
  return read;
}

const ownerSchema = z.looseObject({ apiVersion: z.string(), kind: z.string(), name: z.string(), uid: z.string() });
const ownersSchema = z.object({ metadata: z.object({ ownerReferences: z.array(ownerSchema).optional() }) });
const dataSchema = z.object({ data: z.record(z.string(), z.string()).optional() });

interface ConfigMap {
  metadata: ObjectMeta & { ownerReferences?: z.output<typeof ownerSchema>[] | undefined };
  data: PublishedData;
}

export const configMapType: ResourceType<ConfigMap> = {
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  parse(object) {
    const { metadata } = parseObject(object);
    const { ownerReferences } = ownersSchema.parse(object).metadata;
    return { metadata: { ...metadata, ownerReferences }, data: dataSchema.parse(object).data ?? {} };
  },
};

/** Flux's controllers watch ConfigMaps with this label, and reconcile at once what uses them. */
const labels = { 'reconcile.fluxcd.io/watch': 'Enabled', 'app.kubernetes.io/managed-by': 'glance-image-operator' };

type Client = Pick<KubernetesClient, 'get' | 'create' | 'jsonPatch' | 'delete'>;

export function createConfigMaps(client: Client): ConfigMaps {
  return { of: (resource) => configMapsOf(resource, client) };
}

function configMapsOf(resource: GlanceImage, client: Client): OwnConfigMaps {
  const { namespace } = resource.metadata;

  function call<T>(verb: string, name: string, work: () => Promise<T>): Promise<T> {
    return permitted(verb, `ConfigMap ${name} in namespace ${namespace}`, work);
  }

  function get(name: string, signal: AbortSignal): Promise<ConfigMap | undefined> {
    return call('get', name, () => client.get(configMapType, { namespace, name }, signal));
  }

  async function create(name: string, data: PublishedData, signal: AbortSignal): Promise<void> {
    const metadata = { name, namespace, labels, ownerReferences: [ownerOf(resource)] };
    await call('create', name, () => client.create(configMapType, { metadata, data }, signal));
  }

  async function change({ metadata }: ConfigMap, data: PublishedData, signal: AbortSignal): Promise<void> {
    const { name, uid, resourceVersion, ownerReferences = [] } = metadata;
    const others = ownerReferences.filter((owner) => !isOwn(owner, resource));
    await call('patch', name, () =>
      client.jsonPatch(
        configMapType,
        { namespace, name },
        [
          { op: 'test', path: '/metadata/uid', value: uid },
          { op: 'test', path: '/metadata/resourceVersion', value: resourceVersion },
          { op: 'add', path: '/metadata/labels', value: { ...metadata.labels, ...labels } },
          { op: 'add', path: '/metadata/ownerReferences', value: [...others, ownerOf(resource)] },
          { op: 'add', path: '/data', value: data },
        ],
        signal,
      ),
    );
  }

  /** Again where another client was faster. A rejection of the version that is there stays one. */
  async function untilUndisturbed(
    name: string,
    signal: AbortSignal,
    work: (found: ConfigMap | undefined) => Promise<void>,
  ): Promise<void> {
    let found = await get(name, signal);
    for (let tries = 1; ; tries++) {
      try {
        return await work(found);
      } catch (error) {
        if (tries === mostTries || !mayBeDisturbed(error)) throw error;
        const latest = await get(name, signal);
        if (latest?.metadata.resourceVersion === found?.metadata.resourceVersion) throw error;
        found = latest;
      }
    }
  }

  return {
    async read(name, signal) {
      const found = await attempt(signal, () => get(name, signal));
      if (!found.ok) return { kind: 'unreadable', error: asFailure(found.error) };
      if (found.value === undefined) return { kind: 'absent' };
      const { metadata, data } = found.value;
      if (!belongsTo(found.value, resource)) return { kind: 'foreign', why: whyForeign(found.value) };
      const isLabelled = Object.entries(labels).every(([key, value]) => metadata.labels?.[key] === value);
      const isCurrent = metadata.ownerReferences?.some(({ uid }) => uid === resource.metadata.uid) === true;
      return { kind: 'own', data, isMarked: isLabelled && isCurrent };
    },

    write: (name, data, signal) =>
      untilUndisturbed(name, signal, async (found) => {
        if (found === undefined) return create(name, data, signal);
        if (belongsTo(found, resource)) return change(found, data, signal);
        throw new OperatorError(notOwned(name, whyForeign(found)), { code: 'ConfigMapNotOwned' });
      }),

    remove: (name, signal) =>
      untilUndisturbed(name, signal, async (found) => {
        if (found === undefined || !belongsTo(found, resource)) return;
        await call('delete', name, () => client.delete(configMapType, found, signal));
      }),
  };
}

/** Each try but the first follows from a change by another client at the same moment. */
const mostTries = 5;

/** The server rejects the `test` of a patch as it rejects a content that is not valid. */
function mayBeDisturbed(error: unknown): boolean {
  return isNotFound(error) || isConflict(error) || isAlreadyExists(error) || isInvalid(error);
}

type Owner = z.output<typeof ownerSchema>;

function ownerOf({ metadata: { name, uid } }: GlanceImage): Owner {
  return { apiVersion, kind, name, uid };
}

/** An owner of the same kind and name is the same resource, or an earlier one: a restored backup names that. */
function isOwn(owner: Owner, { metadata }: GlanceImage): boolean {
  const [group] = owner.apiVersion.split('/');
  return group === apiVersion.split('/')[0] && owner.kind === kind && owner.name === metadata.name;
}

function belongsTo({ metadata: { ownerReferences = [] } }: ConfigMap, resource: GlanceImage): boolean {
  return ownerReferences.some((owner) => isOwn(owner, resource));
}

function whyForeign({ metadata: { ownerReferences: [owner] = [] } }: ConfigMap): string {
  return owner === undefined ? 'exists and has no owner' : `belongs to ${owner.kind} ${owner.name}`;
}

async function permitted<T>(verb: string, what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof KubernetesError) || error.reason !== 'Forbidden') throw error;
    throw new OperatorError(
      `the operator has no right to ${verb} ${what}, which spec.publish needs: set publish.enabled in the values of its chart ` +
        `(${error.message})`,
      { code: 'PublishForbidden', cause: error, ...responseFieldsOf(error) },
    );
  }
}
