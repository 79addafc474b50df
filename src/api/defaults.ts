/**
 * What the absence of a field means for an image that the operator creates: the only place that fills in the documented
 * defaults. Guarantees: pure; a spec that has every field comes back equal.
 */
import { type ContentSpec, defaultMethod } from './content.ts';
import { usualContainer } from './fields.ts';
import { revisionDefaults } from './revisions.ts';
import { type GlanceImageSpec, imageDefaults, policyDefaults } from './spec.ts';

type Image = GlanceImageSpec['image'];

export interface CompleteSpec extends Omit<GlanceImageSpec, 'image' | 'content' | 'revisions'> {
  deletionPolicy: NonNullable<GlanceImageSpec['deletionPolicy']>;
  propertyPolicy: NonNullable<GlanceImageSpec['propertyPolicy']>;
  image: Pick<Image, 'name' | 'owner' | 'diskFormat' | 'members' | 'state'> & { containerFormat: string } & {
    [Field in keyof typeof imageDefaults]: NonNullable<Image[Field]>;
  };
  revisions: { keep: number; keepFor: string; pin: string | undefined; retired: { hidden: boolean; name: string } };
  content: (ContentSpec & { method: NonNullable<ContentSpec['method']> }) | undefined;
}

export function withDefaults(spec: GlanceImageSpec): CompleteSpec {
  const { image, content, revisions = {} } = spec;
  return {
    ...spec,
    deletionPolicy: spec.deletionPolicy ?? policyDefaults.deletionPolicy,
    propertyPolicy: spec.propertyPolicy ?? (spec.import === undefined ? policyDefaults.propertyPolicy : 'Merge'),
    image: {
      ...image,
      containerFormat: image.containerFormat ?? usualContainer(image.diskFormat),
      visibility: image.visibility ?? imageDefaults.visibility,
      protected: image.protected ?? imageDefaults.protected,
      hidden: image.hidden ?? imageDefaults.hidden,
      minDiskGiB: image.minDiskGiB ?? imageDefaults.minDiskGiB,
      minRAMMiB: image.minRAMMiB ?? imageDefaults.minRAMMiB,
      tags: image.tags ?? [...imageDefaults.tags],
      properties: image.properties ?? { ...imageDefaults.properties },
      stores: image.stores ?? [...imageDefaults.stores],
      allStores: image.allStores ?? imageDefaults.allStores,
    },
    revisions: {
      keep: revisions.keep ?? revisionDefaults.keep,
      keepFor: revisions.keepFor ?? revisionDefaults.keepFor,
      pin: revisions.pin,
      retired: {
        hidden: revisions.retired?.hidden ?? revisionDefaults.retired.hidden,
        name: revisions.retired?.name ?? revisionDefaults.retired.name,
      },
    },
    content: content === undefined ? undefined : { ...content, method: content.method ?? defaultMethod },
  };
}
