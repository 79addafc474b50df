/**
 * What a ConfigMap shows of an image. Invariant: pure; it is worked out from the image as Glance returned it, never from a prediction
 * of it, because Glance sets the time of creation.
 */
import { rfc3339 } from '../../api/conditions.ts';
import { dateOf, type Image } from '../../glance/image.ts';
import type { PublishedData } from './revisions.ts';
import { hashOf } from './verify.ts';

/** What is to be published of an image, and where. */
export interface Published {
  configMap: string;
  image: Image;
  name: string;
  /** The declared one, where there is one. */
  digest: string | undefined;
}

/** Key of the ID of the image. */
export const idKey = 'imageID';

/** The keys are names of variables, as Flux and shells expect them. */
export function publishedData({ image, name, digest = hashOf(image) }: Omit<Published, 'configMap'>): PublishedData {
  return {
    [idKey]: image.id,
    imageName: name,
    ...(digest === undefined ? {} : { imageDigest: digest }),
    imageDate: rfc3339(dateOf(image.createdAt)),
  };
}

export function isSameData(a: PublishedData, b: PublishedData): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
