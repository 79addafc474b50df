/**
 * A GlanceImage as `status` shows it, whichever version of the operator wrote its status.
 *
 * Guarantees: a value that this version does not know is text, or is left out alone; it never hides the others. `written` is the status
 * as it was written.
 */
import * as z from 'zod';
import { statusSchema } from '../api/status.ts';
import { glanceImageType } from '../image/access/resources.ts';
import { type ObjectMeta, parseObject, type ResourceType } from '../kubernetes/resource.ts';

const text = z.string().optional().catch(undefined);
const count = z.number().optional().catch(undefined);

/** Without the elements that are not of this form. */
function listOf<T extends z.ZodType>(element: T) {
  return z
    .array(z.unknown())
    .transform((all) =>
      all.flatMap((one): z.output<T>[] => {
        const parsed = element.safeParse(one);
        return parsed.success ? [parsed.data] : [];
      }),
    )
    .optional()
    .catch(undefined);
}

const seenStatus = z.object({
  conditions: listOf(z.object({ type: z.string(), status: z.string(), reason: text, message: text })),
  imageID: text,
  progress: text,
  nextAttemptTime: text,
  image: z.object({ size: count }).optional().catch(undefined),
  transfer: z
    .object({ phase: z.string(), bytes: count, totalBytes: count, bytesPerSecond: count })
    .optional()
    .catch(undefined),
  lastError: z
    .object({ reason: text, message: text, attempts: count, httpStatus: count, requestID: text, at: text })
    .optional()
    .catch(undefined),
  revisions: listOf(
    z.object({
      number: count,
      imageID: text,
      digest: text,
      hash: text,
      state: text,
      createdAt: text,
      retiredAt: text,
    }),
  ),
});

export interface SeenResource {
  metadata: Pick<ObjectMeta, 'name' | 'namespace'>;
  spec: { suspend: boolean };
  status: z.output<typeof seenStatus>;
}

export interface WrittenResource extends SeenResource {
  metadata: ObjectMeta;
  written: unknown;
  /** Each value is one that this version knows. */
  isKnown: boolean;
}

const parts = z.object({
  spec: z.object({ suspend: z.boolean().catch(false) }).catch({ suspend: false }),
  status: z.unknown().optional(),
});

export const seenType: ResourceType<WrittenResource> = {
  ...glanceImageType,
  parse(object) {
    const { spec, status: written = {} } = parts.parse(object);
    const status = seenStatus.safeParse(written);
    return {
      metadata: parseObject(object).metadata,
      spec,
      status: status.success ? status.data : {},
      written,
      isKnown: statusSchema.safeParse(written).success,
    };
  },
};
