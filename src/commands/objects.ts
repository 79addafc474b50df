/** GlanceImages as commands read them: by name, or all of a namespace or of the cluster, page by page. */
import * as z from 'zod';
import type { GlanceImage } from '../api/glanceimage.ts';
import { glanceImageType } from '../image/access/resources.ts';
import type { KubernetesClient } from '../kubernetes/client.ts';
import {
  type Item,
  type KubernetesObject,
  metadataOnly,
  parseObject,
  type ResourceType,
} from '../kubernetes/resource.ts';
import { withDeadline } from '../lib/abort.ts';
import { OperatorError } from '../lib/errors.ts';
import type { Surroundings } from './command.ts';
import { UsageError, type ValuesOf } from './config.ts';
import { objectName } from './manifests.ts';
import { type Cluster, type clusterSettings, reachCluster } from './reach.ts';

/** Throws an OperatorError that names the ways out where there is none, and a UsageError for what is no name. */
export function namedResource(name: string, cluster: Cluster, signal: AbortSignal): Promise<GlanceImage> {
  return namedAs(glanceImageType, name, cluster, signal);
}

/** As `namedResource`, read in another way. */
export async function namedAs<T extends KubernetesObject>(
  type: ResourceType<T>,
  name: string,
  { client, namespace }: Cluster,
  signal: AbortSignal,
): Promise<T> {
  const checked = objectName.safeParse(name);
  if (!checked.success)
    throw new UsageError(`${JSON.stringify(name)} is no name of a GlanceImage: it ${checked.error.issues[0]?.message}`);
  const resource = await client.get(type, { namespace, name }, signal);
  if (resource !== undefined) return resource;
  throw new OperatorError(
    `there is no GlanceImage ${name} in namespace ${namespace}: name its namespace with --namespace`,
    {
      code: 'KubernetesRejected',
    },
  );
}

/** Without a namespace: of the whole cluster. */
export async function allResources<T extends KubernetesObject>(
  type: ResourceType<T>,
  client: KubernetesClient,
  namespace: string | undefined,
  signal: AbortSignal,
): Promise<Item<T>[]> {
  const scope = namespace === undefined ? {} : { namespace };
  const items: Item<T>[] = [];
  let token: string | undefined;
  do {
    const page = await client.listPage(type, scope, token, signal);
    items.push(...page.items);
    token = page.continueToken;
  } while (token !== undefined);
  return items;
}

/** A person waits for the completion of a word. */
const completionMs = 3_000;

/** The names of all resources of the namespace, for the completion. */
export async function resourceNames(
  settings: ValuesOf<typeof clusterSettings>,
  surroundings: Surroundings,
): Promise<string[]> {
  // A question would be mixed with the line that is typed.
  await using cluster = reachCluster(settings, surroundings, { isUnattended: true });
  const { clock, signal } = surroundings;
  const items = await withDeadline(clock, 'a list of names', completionMs, signal, (over) =>
    allResources(metadataOnly(glanceImageType), cluster.client, cluster.namespace, over),
  );
  return items.map(({ object }) => object.metadata.name).filter((name) => objectName.safeParse(name).success);
}

const managedSchema = z.object({
  metadata: z.object({
    labels: z.record(z.string(), z.string()).default({}),
    annotations: z.record(z.string(), z.string()).default({}),
    managedFields: z.array(z.looseObject({ manager: z.string().default('') })).default([]),
  }),
});

interface Managed {
  metadata: ReturnType<typeof parseObject>['metadata'];
  managers: string[];
}

const managedType: ResourceType<Managed> = {
  ...glanceImageType,
  parse(object) {
    const { labels, annotations, managedFields } = managedSchema.parse(object).metadata;
    return {
      metadata: { ...parseObject(object).metadata, labels, annotations },
      managers: managedFields.map(({ manager }) => manager),
    };
  },
};

/** The tool that keeps the resource as it is in Git, for a warning; undefined where there is none. */
export async function gitManager(
  name: string,
  { client, namespace }: Cluster,
  signal: AbortSignal,
): Promise<string | undefined> {
  const found = await client.get(managedType, { namespace, name }, signal);
  if (found === undefined) return undefined;
  const { labels = {}, annotations = {} } = found.metadata;
  const kustomization = labels['kustomize.toolkit.fluxcd.io/name'];
  const release = labels['helm.toolkit.fluxcd.io/name'];
  const application =
    annotations['argocd.argoproj.io/tracking-id']?.split(':')[0] ?? labels['argocd.argoproj.io/instance'];
  const has = (start: string) => found.managers.some((manager) => manager.startsWith(start));
  if (kustomization !== undefined || has('kustomize-controller'))
    return `the Flux Kustomization ${kustomization ?? ''}`.trim();
  if (release !== undefined || has('helm-controller')) return `the Flux HelmRelease ${release ?? ''}`.trim();
  if (application !== undefined || has('argocd')) return `the Argo CD Application ${application ?? ''}`.trim();
  return undefined;
}
