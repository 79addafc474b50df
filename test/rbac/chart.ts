/** The chart as rendered by Helm, and the permissions in its roles. It is never read from templates. */
import { join, resolve } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import type { Kubernetes } from '../env/kubernetes.ts';
import type { Attributes } from './review.ts';

const chart = join(resolve(import.meta.dirname, '../..'), 'charts/glance-image-operator');

export interface Rendering {
  release: string;
  namespace: string;
  values?: Readonly<Record<string, unknown>>;
}

const objectSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().optional() }),
});
export type RenderedObject = z.infer<typeof objectSchema>;

export async function render(
  kubernetes: Kubernetes,
  { release, namespace, values = {} }: Rendering,
): Promise<RenderedObject[]> {
  const args = ['template', release, chart, '--namespace', namespace, '--values', '-'];
  const { code, stdout, stderr } = await kubernetes.helm(args, { input: JSON.stringify(values) });
  if (code !== 0) throw new Error(stderr);
  const documents = parseAllDocuments(stdout).map((document): unknown => document.toJS());
  return documents.filter((object) => object !== null).map((object) => objectSchema.parse(object));
}

export function ofKind(objects: readonly RenderedObject[], ...kinds: string[]): RenderedObject[] {
  return objects.filter(({ kind }) => kinds.includes(kind));
}

/** One verb on one resource, as `patch glance-image-operator.dev/glanceimages/status`; the core group has no name. */
export type Permission = string;

export function permission(verb: string, apiGroup: string, resource: string): Permission {
  return `${verb} ${apiGroup === '' ? '' : `${apiGroup}/`}${resource}`;
}

const roleSchema = objectSchema.extend({
  rules: z.array(
    z.strictObject({
      apiGroups: z.array(z.string()),
      resources: z.array(z.string()),
      verbs: z.array(z.string()),
      resourceNames: z.array(z.string()).optional(),
    }),
  ),
});
type Role = z.infer<typeof roleSchema>;

/** The operator's own roles; those for users, which are aggregated, or name paths, are left out. */
export function rolesOf(objects: readonly RenderedObject[]): Role[] {
  const own = ofKind(objects, 'Role', 'ClusterRole').filter(
    (role) => !JSON.stringify(role).includes('nonResourceURLs'),
  );
  const roles = own.map((object) => roleSchema.parse(object));
  return roles.filter(({ metadata }) => !JSON.stringify(metadata).includes('aggregate-to-'));
}

/** Every (apiGroup, resource, verb) that the roles grant, each once. */
export function permissionsOf(roles: readonly Role[]): Permission[] {
  const all = roles
    .flatMap(({ rules }) => rules)
    .flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) => verbs.map((verb) => permission(verb, group, resource))),
      ),
    );
  return [...new Set(all)].sort();
}

/** What the roles allow, as the server would be asked for it; of a ClusterRole in one namespace. */
export function attributesOf(roles: readonly Role[], otherwise: string): Attributes[] {
  return roles.flatMap(({ metadata: { namespace = otherwise }, rules }) =>
    rules.flatMap(({ apiGroups, resources, verbs, resourceNames: [name] = [] }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((path) => {
          const [resource = '', subresource = ''] = path.split('/');
          return verbs.map((verb) => ({ verb, group, resource, subresource, namespace, name: name ?? '' }));
        }),
      ),
    ),
  );
}

/** The same role without one permission. */
export function without(role: Role, lost: Permission): Role {
  const rules = role.rules.flatMap((rule) =>
    rule.apiGroups.flatMap((group) =>
      rule.resources.map((resource) => ({
        ...rule,
        apiGroups: [group],
        resources: [resource],
        verbs: rule.verbs.filter((verb) => permission(verb, group, resource) !== lost),
      })),
    ),
  );
  return { ...role, rules: rules.filter(({ verbs }) => verbs.length > 0) };
}
