/** The cloud of a resource. */
import type { GlanceImage } from '../../api/glanceimage.ts';

/** Which cloud of which Secret; plain JSON. */
export interface CloudRef {
  namespace: string;
  secretRef: { name: string };
  name: string;
  region?: string | undefined;
  serviceAccountName?: string | undefined;
}

export function cloudRefOf(resource: GlanceImage): CloudRef {
  return { namespace: resource.metadata.namespace, ...resource.spec.cloud };
}
