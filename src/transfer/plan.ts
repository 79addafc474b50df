/**
 * What a transfer is to do, as plain JSON. Law: a plan says all that is needed, holds no secret and no function, and two
 * equal plans mean the same work; so it can be compared, logged and sent to another thread or machine.
 */
import { z } from 'zod';
import type { Image } from '../glance/image.ts';
import { planned } from '../source/kind.ts';
import { SourcePlan } from '../source/registry.ts';

const { text } = planned;
const count = z.int().positive();

export const TransferPlan = z.strictObject({
  /** The image that waits for its data. */
  imageID: z.guid(),
  /** Where the image waits: which cloud of which Secret. Turns between namespaces go by it too. */
  cloud: z.strictObject({
    namespace: text,
    ...planned.cloud,
    /** Origin of the image endpoint. Limits and metrics per cloud go by it, however many Secrets lead there. */
    address: text,
  }),
  source: SourcePlan,
  /** `<algorithm>:<hex>`, of the bytes that `digestOf` names. */
  digest: z
    .string()
    .regex(/^(md5|sha1|sha256|sha384|sha512):[0-9A-Fa-f]+$/, 'must be <md5|sha1|sha256|sha384|sha512>:<hexadecimal>')
    .optional(),
  /** The bytes as the source serves them, or those of the image, after decompression. */
  digestOf: z.enum(['Served', 'Image']),
  /** Auto: a file that begins as gzip, zstd, xz or bzip2 does is decompressed on the way. */
  decompress: z.enum(['Auto', 'None']),
  /** Glance's word: qcow2, raw, … */
  diskFormat: text,
  /** Glance's word too. Default: what is usual for the disk format, which is bare for all but ami, ari and aki. */
  containerFormat: text.optional(),
  /** The least disk that the image declares to need, against which its virtual size is held; 0: nothing is declared. */
  minDiskGiB: z.int().min(0),
  /** Upload: one PUT, after which the image is active. Stage: by way of Glance's staging area, so that its import plugins run. */
  method: z.enum(['Upload', 'Stage']),
  /**
   * Where Glance is to put it. An upload reaches one store only, which is the first of several, or the default store of
   * `all`; the others take a copy of the active image.
   */
  stores: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('default') }),
    z.strictObject({ kind: z.literal('some'), names: z.array(text).min(1).max(64) }),
    z.strictObject({ kind: z.literal('all') }),
  ]),
  limits: z.strictObject({
    /** Of the bytes as served, and of those of the image: more is refused. */
    maxBytes: count,
    /** Of the disk that the image describes. */
    maxVirtualBytes: count,
    /** Bytes of the image for one served byte. */
    maxRatio: z.number().positive(),
    /** Memory that decompression may need. */
    maxDictionaryBytes: count,
    /** The source has stalled when fewer than `stallBytes` came in `stallWindowMs` of waiting for it. */
    stallBytes: count,
    stallWindowMs: count,
    /** From the first request to the last byte of the source. Default: as long as it takes. */
    totalMs: count.exactOptional(),
  }),
});
export type TransferPlan = z.infer<typeof TransferPlan>;

const keptCompressed: ReadonlySet<string | undefined> = new Set(['aki', 'ari', 'ami', 'compressed']);

/** Whether an image in these formats may be a compressed file itself, and stays as it is. */
export function staysCompressed(diskFormat: string, containerFormat: string | undefined): boolean {
  return keptCompressed.has(diskFormat) || keptCompressed.has(containerFormat);
}

/**
 * `maxBytes` is Glance's own default for `image_size_cap`; gzip cannot pack tighter than 1032 : 1; `xz -9` needs 64 MiB; the
 * stall limit is 1 KiB/s, seen over a minute.
 */
export const defaultLimits: TransferPlan['limits'] = {
  maxBytes: 2 ** 40,
  maxVirtualBytes: 2 ** 43,
  maxRatio: 1100,
  maxDictionaryBytes: 64 * 2 ** 20,
  stallBytes: 64 * 1024,
  stallWindowMs: 60_000,
};

/** Plain JSON too. */
export interface TransferResult {
  /** Bytes sent to Glance. */
  bytes: number;
  /** Bytes taken from the source; the same unless they were compressed. */
  servedBytes: number;
  /** `<algorithm>:<hex>`: the declared digest, or else the image's own. */
  digest: string;
  /** `<algorithm>:<hex>` of the image's data as Glance reports it (sha512 as a rule), or as it was sent if Glance does not. */
  imageDigest: string;
  /** How the served bytes were compressed; absent when they were not, or were left as they were. */
  compression?: string;
  /** What the data turned out to be. */
  format: string;
  /** Bytes of the disk that the image describes, where its format says so. */
  virtualSize?: number;
  /** Where they came from in the end, after redirects; without user, query and fragment. */
  url: string;
  /** How often the source was asked to go on after it broke. */
  resumes: number;
  /** RFC 3339. */
  startedAt: string;
  durationMs: number;
  /** As Glance reported it in the end. */
  image: Image;
}

/** connecting: to the source; transferring: bytes move; finishing: Glance has them all and makes the image of them. */
export type TransferPhase = 'connecting' | 'transferring' | 'finishing';

export interface TransferProgress {
  /** Bytes taken by Glance so far. */
  bytes: number;
  /** Bytes taken from the source so far. */
  servedBytes: number;
  /** Of the served bytes, where the source announced it. */
  total: number | undefined;
  phase: TransferPhase;
}

export const noProgress: TransferProgress = { bytes: 0, servedBytes: 0, total: undefined, phase: 'connecting' };
