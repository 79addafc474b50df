/**
 * What a transfer is to do, as plain JSON. Law: a plan says all that is needed, holds no secret and no function, and two
 * equal plans mean the same work; so it can be compared, logged and sent to another thread or machine.
 */
import { z } from 'zod';

export const TransferPlan = z.strictObject({
  /** The image that waits for its data. */
  imageID: z.string().min(1),
  source: z.discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('http'),
      url: z.string(),
      /** `sha256:<hex>`, of the bytes as served. */
      digest: z.string().optional(),
    }),
  ]),
  /** Glance's word: qcow2, raw, … */
  diskFormat: z.string().min(1),
  limits: z.strictObject({
    /** A longer file is refused. */
    maxBytes: z.int().positive(),
    /** The source has stalled when fewer than `stallBytes` came in `stallWindowMs` of waiting for it. */
    stallBytes: z.int().positive(),
    stallWindowMs: z.int().positive(),
  }),
  /** Where the image waits: which cloud of which Secret. Turns and limits per namespace and per cloud go by it too. */
  cloud: z.strictObject({
    namespace: z.string().min(1),
    secretName: z.string().min(1),
    name: z.string().min(1),
    region: z.string().optional(),
  }),
});
export type TransferPlan = z.infer<typeof TransferPlan>;

/** `maxBytes` is Glance's own default for `image_size_cap`; the stall limit is 1 KiB/s, seen over a minute. */
export const defaultLimits: TransferPlan['limits'] = {
  maxBytes: 2 ** 40,
  stallBytes: 64 * 1024,
  stallWindowMs: 60_000,
};

/** Plain JSON too. */
export interface TransferResult {
  /** Bytes sent to Glance. */
  bytes: number;
  /** `<algorithm>:<hex>` of the bytes as served: the declared algorithm, or else sha512. */
  digest: string;
  /** Where they came from in the end, after redirects; without user, query and fragment. */
  url: string;
  /** RFC 3339. */
  startedAt: string;
  durationMs: number;
}

export interface TransferProgress {
  /** Bytes taken by Glance so far. */
  bytes: number;
  /** Where the source announced its length. */
  total: number | undefined;
}
