/** The transfer that a resource asks for, as a plan in plain JSON. */
import type { GlanceImage } from '../api/glanceimage.ts';
import { defaultLimits, type TransferPlan } from '../transfer/plan.ts';
import type { CloudRef } from './clouds.ts';
import type { Content } from './desired.ts';

export function cloudRefOf(resource: GlanceImage): CloudRef {
  return { namespace: resource.metadata.namespace, ...resource.spec.cloud };
}

export function transferPlan(resource: GlanceImage, imageID: string, content: Content): TransferPlan {
  return {
    imageID,
    cloud: cloudRefOf(resource),
    source: { kind: 'http', url: content.url, digest: content.digest },
    diskFormat: content.diskFormat,
    limits: defaultLimits,
  };
}
