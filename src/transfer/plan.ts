/**
 * The plan of a transfer and its result, as plain JSON.
 *
 * Invariant: a plan is complete, contains no secret and no function, and equal plans mean equal work. So it can be compared, logged
 * and sent to another thread or machine.
 */
import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import type { Image } from '../glance/image.ts';
import { compact } from '../lib/compact.ts';
import { planned } from '../source/kind.ts';
import { imageItself, SourcePlan } from '../source/registry.ts';

const { text } = planned;
const count = z.int().positive();

const fields = z.strictObject({
  /** The image to fill or to verify. */
  imageID: z.guid(),
  /** The cloud with that image. Namespaces take turns. */
  cloud: z.strictObject({
    namespace: text,
    ...planned.cloud,
    /** Origin of the image endpoint. It identifies the cloud in limits and metrics, for any number of Secrets. */
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
  /** Auto: a file that starts like gzip, zstd, xz or bzip2 is decompressed during the transfer. */
  decompress: z.enum(['Auto', 'None']),
  /** The file of an archive that becomes the image, with `*` for any characters but `/`. Absent: the only file. */
  member: text.optional(),
  /** Raw: the file is a qcow2 image, and the image is the disk that it describes. */
  convert: z.enum(['Raw']).optional(),
  /** Glance's name: qcow2, raw, … */
  diskFormat: text,
  /** Glance's name. Default: the usual one for the disk format, which is bare for all but ami, ari and aki. */
  containerFormat: text.optional(),
  /** The declared minimum disk size, which the virtual size must not exceed. 0: not declared. */
  minDiskGiB: z.int().min(0),
  /**
   * Upload: one PUT, after which the image is active. Stage: by way of Glance's staging area, so that its import plugins run.
   * Verify: the data of the image is read back, and goes nowhere.
   */
  method: z.enum(['Upload', 'Stage', 'Verify']),
  /** Of a verification: as what the data is verified. */
  fingerprint: text.optional(),
  /**
   * The stores for the image. An upload reaches one store only: the first of several, or the default store of `all`. The others
   * get a copy of the active image.
   */
  stores: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('default') }),
    z.strictObject({ kind: z.literal('some'), names: z.array(text).min(1).max(64) }),
    z.strictObject({ kind: z.literal('all') }),
  ]),
  limits: z.strictObject({
    /** Of the bytes as served, and of those of the image. More is an error. */
    maxBytes: count,
    /** Virtual size of the disk in the image. */
    maxVirtualBytes: count,
    /** Bytes of the image per served byte. */
    maxRatio: z.number().positive(),
    /** Of a decoder: the dictionary of xz, the window of zstd. All decoders together have a bound of their own. */
    maxDictionaryBytes: count,
    /** The source has stalled if fewer than `stallBytes` arrived in `stallWindowMs` of waiting for it. */
    stallBytes: count,
    stallWindowMs: count,
    /** Safety checks of partition tables that may fail, by their names in Glance. */
    nonfatalChecks: z.array(z.enum(['mbr', 'gptmbr'])).exactOptional(),
    /** From the first request to the last byte of the source. Default: no limit. */
    totalMs: count.exactOptional(),
  }),
});
export type TransferPlan = z.infer<typeof fields>;

export const TransferPlan = fields.refine(
  (plan) => plan.method !== 'Verify' || readsItself(plan),
  'Verify needs the image itself as its source, with the same cloud, digestOf Image, decompress None, no member and no conversion',
);

function readsItself({ source, imageID, cloud, digestOf, decompress, member, convert }: TransferPlan): boolean {
  const isItself = isDeepStrictEqual(compact(source), imageItself(imageID, cloud));
  return isItself && digestOf === 'Image' && decompress === 'None' && member === undefined && convert === undefined;
}

/**
 * `maxBytes` is Glance's default for `image_size_cap`. gzip compresses at most 1032 : 1. `xz -9` needs 64 MiB, and
 * `zstd --long` 128 MiB, which zstd itself permits without an option. The stall limit is
 * 1 KiB/s over a minute.
 */
export const defaultLimits: TransferPlan['limits'] = {
  maxBytes: 2 ** 40,
  maxVirtualBytes: 2 ** 43,
  maxRatio: 1100,
  maxDictionaryBytes: 128 * 2 ** 20,
  stallBytes: 64 * 1024,
  stallWindowMs: 60_000,
};

/** Plain JSON. */
export interface TransferResult {
  /** Bytes of the image: sent to Glance, or read back from it. */
  bytes: number;
  /** Bytes received from the source. The same unless they were compressed, or the file was read twice for a conversion. */
  servedBytes: number;
  /** `<algorithm>:<hex>`: the declared digest, or that of the image if none is declared. */
  digest: string;
  /** `<algorithm>:<hex>` of the image's data as Glance reports it, usually sha512. As it was sent if Glance reports none. */
  imageDigest: string;
  /** How the served bytes were compressed. Absent if they were not, or were not decompressed. */
  compression?: string;
  /** The file of the archive that was served, if it was one. */
  member?: string;
  /** The format of the data. */
  format: string;
  /** Virtual size of the disk in bytes, if the format contains it. */
  virtualSize?: number;
  /** The final URL after redirects, without user, query and fragment. */
  url: string;
  /** Notes on the transfer that users should know. */
  warnings?: string[];
  /** How often the download was resumed after a failure. */
  resumes: number;
  /** RFC 3339. */
  startedAt: string;
  durationMs: number;
  /** As Glance reported it after the transfer. */
  image: Image;
}

/** connecting: to the source; transferring: bytes arrive; finishing: Glance has all bytes and completes the image. */
export type TransferPhase = 'connecting' | 'transferring' | 'finishing';

export interface TransferProgress {
  /** Bytes of the image that Glance accepted so far, or that were read back. */
  bytes: number;
  /** Bytes received from the source so far. */
  servedBytes: number;
  /** Of the served bytes, if the source announced it. A conversion reads about twice the length of the file. */
  total: number | undefined;
  phase: TransferPhase;
  /** Of the memory that all decoders share. Absent if this transfer needs none now. */
  decoderMemory?: 'awaited' | 'held';
  /** Of a run elsewhere that has reported nothing yet: the missing requirement for its start, as a noun phrase; null: it runs. */
  awaits?: string | null;
}

export const noProgress: TransferProgress = { bytes: 0, servedBytes: 0, total: undefined, phase: 'connecting' };
