/** Reasons of images that existed before the resource. */
import { type ReasonEntry, showImage, showResource } from './reason-entry.ts';

export const importReasons = {
  NotCompared: {
    meaning:
      'The image of spec.import is active and has everything that is declared. No content is declared, so the operator has not compared its data.',
    shownBy: ['Ready', 'Event'],
    actor: 'operator',
    remedy:
      'Nothing, if the image is trusted. To have its data compared, declare `spec.content` with `spec.managementPolicy: Manage`.',
    command: 'kubectl explain glanceimage.spec.content',
  },
  ImportNotFound: {
    meaning:
      'No image in Glance has the ID of spec.import, or matches its filter. The operator looks again every minute.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy:
      'Create the image, or fix `spec.import`. The credentials must be able to read the image: it belongs to their project, is shared with it, or is public or community. A filter finds images of other projects only with `owner` or `visibility: public`.',
    command: 'openstack image list --name NAME --long',
  },
  ImportAmbiguous: {
    meaning: 'Several images match spec.import.filter. The message names at most 16 of them.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy:
      'Add to the filter what only the right image has, name it by `import.id`, or declare `select: Newest`. Or have the other images renamed or hidden: hidden ones count only if no other image matches.',
    command: 'openstack image list --name NAME --long',
  },
  ImportVanished: {
    meaning:
      'The image of spec.import was deleted in Glance, or is no longer shared with the project. The operator asked for it by its ID.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy:
      'Find out which tool deleted it. An ID is never used again: name another image in `spec.import`, or, with managementPolicy Manage, create another GlanceImage. The operator does not create the image again.',
    command: showResource,
  },
  NotAdoptable: {
    meaning:
      'The image of spec.import.id belongs to another project, or bears the mark of another resource or cluster. It was not changed.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy:
      'Use credentials of the project that owns the image, or observe it with `managementPolicy: Observe`. If this GlanceImage was moved here from another cluster, the administrator of the operator can name that cluster in --inherit-from (chart: settings.inheritFrom). If nothing manages the image any more, remove the marks: the command, and the same for `glance_image_operator_cluster` and `glance_image_operator_content`.',
    command: 'openstack image unset --property glance_image_operator_owner ID',
  },
  TooManyProperties: {
    meaning:
      'With the marks of the operator, the image of spec.import.id would have more properties than Glance admits. It was not changed.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy: 'Remove properties from the image or from `spec.image.properties`: at most 122 are possible.',
    command: 'openstack image show --column properties ID',
  },
  ContentDiffers: {
    meaning:
      'The image of spec.import.id does not have the declared content or formats. The operator leaves it as it is, and does not replace it.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy:
      'Find out what the image is. Declare the content and the formats that it has, or none. If another content is declared after this one, the operator creates an image with that content.',
    command: showImage,
  },
} as const satisfies Record<string, ReasonEntry>;
