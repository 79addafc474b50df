/** The source `content.glance`: another image of Glance, verified against the digest that its Glance reports. */
import * as z from 'zod';
import { cloud } from '../fields.ts';
import { matching, rule, text } from '../rules.ts';

/** The id of an image, or its address at another Glance: `https://glance.example.com/v2/images/<id>`. */
const imagePattern =
  '^(https?://[A-Za-z0-9._~:%\\[\\]-]+(/[A-Za-z0-9._~%-]+)*/)?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$';

export const glance = rule(
  z.object({
    image: matching(
      text(36, 2048),
      imagePattern,
      'must be the id of an image, or its address such as https://glance.example.com/v2/images/<id>',
    ).meta({
      description:
        'ID of the image, or its URL. A URL needs cloud, and must begin with an image endpoint of that cloud: one of its catalog, or image_endpoint_override of its clouds.yaml. ' +
        'Keep this image: it is read again if the copy is lost.',
    }),
    cloud: cloud.optional().meta({
      description:
        'The cloud that holds the image, and the credentials to read it with. They are sent to endpoints of that cloud only. A change makes another copy, because another cloud may have another image with the same ID. Default: spec.cloud.',
    }),
  }),
  {
    cel: "!self.image.contains('/') || has(self.cloud)",
    test: ({ image: ref, cloud: holder }) => !ref.includes('/') || holder !== undefined,
    message:
      'an address needs the cloud that it belongs to: name it in cloud; for an image of spec.cloud give the id alone',
    fieldPath: '.cloud',
  },
).meta({
  description:
    'Another image in Glance, in the same cloud or in another one. Its data is verified against the digest that its Glance reports.',
});
