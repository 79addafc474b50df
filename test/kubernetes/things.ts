/** A kind of object for tests, and a client for the logic above HTTP. */
import { z } from 'zod';
import type { Item, KubernetesObject, ResourceType } from '../../src/kubernetes/resource.ts';

const thingSchema = z.object({
  apiVersion: z.literal('example.com/v1'),
  kind: z.literal('Thing'),
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string().optional(),
    uid: z.string(),
    resourceVersion: z.string(),
    deletionTimestamp: z.string().optional(),
    finalizers: z.array(z.string()).optional(),
  }),
  spec: z.object({ size: z.int() }).optional(),
});
export type Thing = z.output<typeof thingSchema>;

export const thingType: ResourceType<Thing> = {
  group: 'example.com',
  version: 'v1',
  kind: 'Thing',
  plural: 'things',
  parse: (object) => thingSchema.parse(object),
};

export function thing(name: string, resourceVersion: string, more: { uid?: string; namespace?: string } = {}): Thing {
  const { uid = `uid-${name}`, namespace = 'default' } = more;
  return { apiVersion: 'example.com/v1', kind: 'Thing', metadata: { name, namespace, uid, resourceVersion } };
}

export function readable<T extends KubernetesObject>(object: T): Item<T> {
  return { kind: 'readable', object };
}
