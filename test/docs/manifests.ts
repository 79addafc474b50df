/**
 * Whether the real API server accepts a manifest, by a dry run with strict validation.
 *
 * Invariant: an unknown field is rejected as well as an invalid value. Only kinds of other projects, unknown to this
 * server, are merely parsed as YAML.
 */
import assert from 'node:assert/strict';
import { z } from 'zod';
import type { Kubernetes } from '../env/kubernetes.ts';

export const manifestSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string().optional(), namespace: z.string().optional() }).optional(),
});
export type Manifest = z.infer<typeof manifestSchema>;

/** API groups in the pages, in addition to those of Kubernetes and ours. */
const foreign =
  /^(?:argoproj\.io|(?:\w+\.)?toolkit\.fluxcd\.io|(?:infrastructure|controlplane|bootstrap)?\.?cluster\.x-k8s\.io|monitoring\.coreos\.com|kustomize\.config\.k8s\.io|openstack\.k-orc\.cloud)\//;

const resourcesSchema = z.object({
  resources: z.array(z.object({ name: z.string(), kind: z.string(), namespaced: z.boolean() })),
});

export type DryRun = (manifest: Manifest) => Promise<void>;

/** `namespace` stands in for every namespace that a manifest names. */
export function dryRunner(kubernetes: Kubernetes, namespace: string): DryRun {
  const known = new Map<string, z.infer<typeof resourcesSchema>['resources']>();

  async function resourcesOf(apiVersion: string) {
    const before = known.get(apiVersion);
    if (before !== undefined) return before;
    const answer = await kubernetes.request('GET', `/${apiVersion.includes('/') ? 'apis' : 'api'}/${apiVersion}`);
    const resources = answer.status === 404 ? [] : answer.as(resourcesSchema).resources;
    known.set(apiVersion, resources);
    return resources;
  }

  return async (manifest) => {
    const { apiVersion, kind } = manifest;
    const resources = await resourcesOf(apiVersion);
    const resource = resources.find((each) => each.kind === kind && !each.name.includes('/'));
    if (resource === undefined && foreign.test(apiVersion)) return;
    assert.ok(resource, `there is no ${kind} in ${apiVersion}`);
    const where = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const path = `${where}${resource.namespaced ? `/namespaces/${namespace}` : ''}/${resource.name}`;
    const metadata = { ...manifest.metadata, ...(resource.namespaced ? { namespace } : {}) };
    const answer = await kubernetes.request('POST', `${path}?dryRun=All&fieldValidation=Strict`, {
      ...manifest,
      metadata,
    });
    // That there is one already is known only once it was found to be valid.
    if (answer.status !== 409) answer.ok();
  };
}
