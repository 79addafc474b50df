/**
 * What the operator remembers of its work on a resource, kept in `status.operation`. What people see in the status (`transfer`,
 * `lastError`, `content`) is never read back.
 *
 * Invariant: a memory belongs to one uid. A lost one costs reads, or one more transfer, but no image and no second one. One that a
 * later version wrote is not interpreted.
 */
import * as z from 'zod';
import type { GlanceImage } from '../../api/glanceimage.ts';
import { sourceSchema } from '../../api/status.ts';
import { compact } from '../../lib/compact.ts';
import { errorCodes } from '../../lib/error-codes.ts';
import { printable } from '../../lib/text.ts';
import { mostNumbers } from './identity.ts';

export const memoryVersion = 1;

/** Of one resource. All but one or two of that many are in use, or Glance would have deleted them. */
export const mostImages = 64;

const text = z.string().max(512);
const moment = z.string().max(64);
export const mostKeys = 256;
const keys = z.array(text).max(mostKeys);
/** Keys that do not fit are forgotten, so that the rest of the memory is not. */
const lossyKeys = z.array(text).max(mostKeys).catch([]);

/** Two of each image. */
const mostFindings = 2 * mostImages;

/** What is known of the data of one image, for one content. */
const finding = z.object({
  imageID: text,
  /** `bindingOf` the content. */
  fingerprint: text,
  verdict: z.enum(['right', 'wrong', 'unverifiable']),
  /** `<algorithm>:<hex>` of the data, as Glance reported it then. */
  hash: text.optional(),
  /** Bytes in Glance. */
  size: z.number().optional(),
  /** Why it is wrong, or not verifiable. */
  why: text.optional(),
  /** The code of the failure that showed it. */
  code: z.enum(errorCodes).optional(),
});
export type DataFinding = z.output<typeof finding>;

const schema = z.object({
  version: z.literal(memoryVersion),
  uid: text,
  /** Of an object that was moved here: it stays known if its annotation gets lost. */
  identity: z.string().max(64).optional(),
  /** The lowest number that is not used up: the next image gets its ID. */
  next: z.int().min(0).max(mostNumbers),
  /** There may be images that `images` lacks: one was requested, or the rest of the memory was lost. They are found by their marks. */
  incomplete: z.literal(true).optional(),
  /** IDs of images that this memory has created or found, the oldest first. */
  images: z.array(text).max(mostImages),
  /** The image that consumers are given: `status.imageID`. */
  promoted: text.optional(),
  /** The image that was seen last, if this resource only observes one. */
  observed: text.optional(),
  /** The image that existed before, and was taken over. */
  adopted: text.optional(),
  /** The content with which that image was compared first, or that it was found to have: its fingerprint, or that with its declaration. */
  adoptedContent: text.optional(),
  /** What the image to use looked like when it took the place of another one, where that is not declared. */
  leftAlone: z
    .object({
      name: text,
      hidden: z.boolean(),
      tags: z.array(text).max(mostKeys),
      visibility: text.optional(),
    })
    .optional()
    .catch(undefined),
  /** Images that consumers may know. They are deleted only after another one is promoted. */
  published: z.array(text).max(mostImages),
  /** The owner project as last applied. */
  owner: text.optional(),
  /** Other projects that were declared as the owner since, and may own an image. */
  owners: z.array(text).max(mostImages).optional().catch(undefined),
  /** Keys of the properties that were declared, in this or an earlier generation, and may be on the image. */
  propertyKeys: lossyKeys,
  /** Properties that an import plugin of the cloud has set. They are kept. */
  injected: keys.optional().catch(undefined),
  /** Undeclared properties that Glance did not let us remove. */
  unremovable: z.object({ keys, at: moment }).optional().catch(undefined),
  /** A mark that the cloud accepted and does not show to us. */
  hiddenMark: text.optional(),
  /** Projects that were declared as members, in this or an earlier generation, and may be members of an image. */
  members: lossyKeys.optional(),
  /** ConfigMaps that were declared, and may have been written. */
  configMaps: z.array(text).max(mostImages).optional().catch(undefined),
  /** Where the images are. */
  place: z.object({ projectID: text, region: text.optional(), endpoint: z.string().max(2048) }).optional(),
  findings: z.array(finding).max(mostFindings).catch([]),
  /** The import that the operator asked for or found under way. */
  import: z
    .object({
      imageID: text,
      kind: z.enum(['fetch', 'copy', 'found']),
      stores: keys.optional().catch(undefined),
      at: moment,
    })
    .optional(),
  /** An upload that no client continues: since when, and whether it is known to be incomplete. */
  interrupted: z.object({ imageID: text, at: moment, isCut: z.boolean() }).optional(),
  /** How often the owner mark was restored since `at`. */
  marks: z.object({ restored: z.int(), at: moment }).optional(),
  /** Images that another one has replaced as the one to use, and since when. */
  retired: z
    .array(
      z.object({
        imageID: text,
        at: z.iso.datetime(),
        /** It was never the image to use, so no revision has to give way to it. */
        isUnused: z.literal(true).optional().catch(undefined),
      }),
    )
    .max(mostImages)
    .optional()
    .catch(undefined),
  /** Images that are to be deleted and in use, and when that was seen last. */
  inUse: z
    .array(
      z.object({
        imageID: text,
        at: moment,
        /** What uses it, or why that is unknown. */
        why: text.optional().catch(undefined),
        isUnknown: z.literal(true).optional().catch(undefined),
      }),
    )
    .max(mostImages)
    .optional(),
  /** `Moment.specHash` when everything was as declared last. */
  settled: z.string().max(64).optional().catch(undefined),
  /** ID of a transfer that outlives this process. */
  run: text.optional(),
  /** The newer file of a publisher whose image is being made. */
  candidate: sourceSchema.optional().catch(undefined),
});
export type Memory = z.output<typeof schema>;

export type Recollection =
  /** `isLost`: there is none of this uid, and earlier work is found by its marks. */
  { kind: 'memory'; memory: Memory; isLost: boolean } | { kind: 'newer'; version: number };

/**
 * The time since a moment that was recorded. A later moment was recorded by an operator whose clock was wrong, and is long ago as well,
 * so that nothing waits for it.
 */
export function msSince(at: string, now: Date): number {
  const ms = Math.abs(now.getTime() - Date.parse(at));
  return Number.isNaN(ms) ? Number.POSITIVE_INFINITY : ms;
}

/** An operator whose clock was wrong has recorded it. */
export function isLater(at: string, now: Date): boolean {
  return Date.parse(at) > now.getTime();
}

export function blankMemory(uid: string): Memory {
  return { version: memoryVersion, uid, next: 0, images: [], published: [], propertyKeys: [], findings: [] };
}

/** Nothing was done yet that has to be remembered. */
export function isBlank({ next, images, promoted, observed, place, propertyKeys, candidate }: Memory): boolean {
  const isUnset = [promoted, observed, place, candidate].every((one) => one === undefined);
  return next === 0 && images.length === 0 && isUnset && propertyKeys.length === 0;
}

/** Of the memory, if a later version of the operator wrote it. */
export function newerVersionIn({ operation }: GlanceImage['status']): number | undefined {
  const version = operation?.['version'];
  return typeof version === 'number' && version > memoryVersion ? version : undefined;
}

/** Whether there may be images that the memory of this status does not name. */
export function isIncompleteIn({ operation }: GlanceImage['status']): boolean {
  return operation?.['version'] === memoryVersion && operation['incomplete'] === true;
}

export function recall({ metadata, status }: Pick<GlanceImage, 'metadata' | 'status'>): Recollection {
  const { uid } = metadata;
  const { operation } = status;
  const version = newerVersionIn(status);
  if (version !== undefined) return { kind: 'newer', version };
  const parsed = schema.safeParse(operation);
  if (parsed.success && parsed.data.uid === uid) return { kind: 'memory', memory: parsed.data, isLost: false };
  return { kind: 'memory', memory: blankMemory(uid), isLost: true };
}

/** Without reading the rest. */
export function candidateIn({
  metadata,
  status: { operation },
}: Pick<GlanceImage, 'metadata' | 'status'>): Memory['candidate'] {
  if (operation?.['version'] !== memoryVersion || operation['uid'] !== metadata.uid) return undefined;
  return schema.shape.candidate.parse(operation['candidate']);
}

/** With the newer file whose image is being made, or without one. */
export function withCandidate({ candidate: _, ...memory }: Memory, candidate: Memory['candidate']): Memory {
  return candidate === undefined ? memory : { ...memory, candidate };
}

/** The value of `status.operation`. */
export function asOperation(memory: Memory): Record<string, unknown> {
  const { candidate, findings } = memory;
  const made = candidate && { candidate: compact(candidate) };
  return { ...compact(memory), findings: findings.map(compact), ...made };
}

/** In code points, of which some have two units. */
const longestWhy = 250;

/** A finding about an image replaces the ones before. The last successful verification stays known until the next one. */
export function withFinding(memory: Memory, found: DataFinding): Memory {
  const isOlder = (one: DataFinding) =>
    one.imageID === found.imageID &&
    (one.fingerprint === found.fingerprint || one.verdict !== 'right' || found.verdict === 'right');
  const others = memory.findings.filter((one) => !isOlder(one));
  const cut = found.why === undefined ? found : { ...found, why: printable(found.why, longestWhy) };
  return { ...memory, findings: [...others, cut].slice(-mostFindings) };
}

/** What is known of an image for this fingerprint. */
export function findingOf(
  { findings }: Memory,
  imageID: string,
  fingerprint: string | undefined,
): DataFinding | undefined {
  return findings.find((one) => one.imageID === imageID && one.fingerprint === fingerprint);
}

/** As what the data of an image was verified last. */
export function verifiedAs({ findings }: Memory, imageID: string): DataFinding | undefined {
  return findings.find((one) => one.imageID === imageID && one.verdict === 'right');
}

/**
 * With the keys of properties that are declared now: they and the earlier ones may be on the image until everything is applied. Of
 * more than fit, after many edits that were never applied, earlier ones are forgotten.
 */
export function withPropertyKeys(memory: Memory, declared: readonly string[]): Memory {
  if (declared.every((key) => memory.propertyKeys.includes(key))) return memory;
  const all = new Set([...declared, ...memory.propertyKeys]);
  return { ...memory, propertyKeys: [...all].slice(0, mostKeys).sort() };
}

/** With another image of ours. `isPublished`: consumers may know it. */
export function withImage(memory: Memory, imageID: string, isPublished: boolean): Memory {
  const { images, published } = memory;
  return {
    ...memory,
    images: images.includes(imageID) ? images : [...images, imageID].slice(-mostImages),
    published: !isPublished || published.includes(imageID) ? published : [...published, imageID].slice(-mostImages),
  };
}

/**
 * With this image as the one to use. `others`, which consumers may know too, are replaced from now on. So are those whose recorded
 * time has not come yet, because a clock was wrong: their time to be kept begins again. `unused`: those of the others that never were
 * the image to use.
 */
export function withPromoted(
  memory: Memory,
  imageID: string,
  others: readonly string[],
  now: Date,
  unused: readonly string[] = [],
): Memory {
  const known = [...others, imageID].reduce((next, id) => withImage(next, id, true), memory);
  const { retired: before = [], ...rest } = known;
  const at = now.toISOString();
  const retired = rest.published
    .filter((id) => id !== imageID)
    .map((id) => {
      const earlier = before.find((one) => one.imageID === id);
      if (earlier !== undefined) return isLater(earlier.at, now) ? { ...earlier, at } : earlier;
      return { imageID: id, at, ...(unused.includes(id) ? { isUnused: true as const } : {}) };
    });
  return { ...rest, promoted: imageID, ...(retired.length === 0 ? {} : { retired }) };
}

/** With an image that was not deleted because it is in use, or may be. Its users know it, so it counts as published. */
export function withInUse(
  memory: Memory,
  imageID: string,
  { why, isUnknown }: { why: string; isUnknown: boolean },
  now: Date,
): Memory {
  const others = memory.inUse?.filter((one) => one.imageID !== imageID) ?? [];
  const unknown = isUnknown ? { isUnknown: true as const } : {};
  const found = { imageID, at: now.toISOString(), why: printable(why, longestWhy), ...unknown };
  return { ...withImage(memory, imageID, true), inUse: [...others, found].slice(-mostImages) };
}

/** Whether another image has replaced it. */
export function isRetired({ retired = [], promoted }: Memory, imageID: string): boolean {
  return imageID !== promoted && retired.some((one) => one.imageID === imageID);
}

/** Without an image that Glance does not hold any more. The numbers that are used up stay. */
export function withoutImage(memory: Memory, imageID: string): Memory {
  const other = (id: string) => id !== imageID;
  const { promoted, import: running, interrupted, inUse, retired, ...rest } = memory;
  return {
    ...rest,
    images: memory.images.filter(other),
    published: memory.published.filter(other),
    findings: memory.findings.filter((one) => other(one.imageID)),
    ...(promoted === undefined || promoted === imageID ? {} : { promoted }),
    ...(running === undefined || running.imageID === imageID ? {} : { import: running }),
    ...(interrupted === undefined || interrupted.imageID === imageID ? {} : { interrupted }),
    ...(retired === undefined ? {} : { retired: retired.filter((one) => other(one.imageID)) }),
    ...(inUse === undefined ? {} : { inUse: inUse.filter((one) => other(one.imageID)) }),
  };
}

/** Without a ConfigMap that is deleted. */
export function withoutConfigMap({ configMaps = [], ...memory }: Memory, name: string): Memory {
  const others = configMaps.filter((one) => one !== name);
  return others.length === 0 ? memory : { ...memory, configMaps: others };
}
