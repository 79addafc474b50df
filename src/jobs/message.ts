/**
 * The outcome of a transfer as the termination message of its pod.
 *
 * Guarantees: a message has at most 4096 bytes, which is what a kubelet keeps; code, HTTP status and request id of a failure are
 * always in it, and texts are cut first. All texts come from a stranger: its numbers fit into a status, and its texts are printable.
 */
import * as z from 'zod';
import type { Image } from '../glance/image.ts';
import { type ErrorCode, errorCodes, longestDelayMs } from '../lib/error-codes.ts';
import { parseBounded } from '../lib/json.ts';
import { printable } from '../lib/text.ts';
import type { EncodedError } from '../transfer/error-codec.ts';
import type { TransferPlan, TransferResult } from '../transfer/plan.ts';

export type PodResult = Omit<TransferResult, 'image'>;

export type PodOutcome = { kind: 'succeeded'; result: PodResult } | { kind: 'failed'; error: EncodedError };

export const maxMessageBytes = 4096;

const count = z.int().min(0);
const text = z
  .string()
  .max(maxMessageBytes)
  .transform((value) => printable(value, maxMessageBytes));
const errorSchema: z.ZodType<EncodedError> = z.lazy(() =>
  z.discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('operator'),
      message: text,
      code: z.custom<ErrorCode>((code) => errorCodes.some((known) => known === code)),
      cause: errorSchema.exactOptional(),
      httpStatus: z.int().min(100).max(999).exactOptional(),
      requestId: text.exactOptional(),
      retryAfterMs: z.number().min(0).max(longestDelayMs).exactOptional(),
    }),
    z.strictObject({
      kind: z.literal('other'),
      name: text,
      message: text,
      code: text.exactOptional(),
      stack: text.exactOptional(),
      cause: errorSchema.exactOptional(),
    }),
  ]),
);
const resultSchema = z.strictObject({
  bytes: count,
  servedBytes: count,
  digest: text,
  imageDigest: text,
  compression: text.exactOptional(),
  member: text.exactOptional(),
  format: text,
  virtualSize: count.exactOptional(),
  url: text,
  warnings: z.array(text).max(64).exactOptional(),
  resumes: count,
  startedAt: z.iso.datetime(),
  durationMs: z.number().min(0),
});
const outcomeSchema = z.discriminatedUnion('kind', [
  z.strictObject({ version: z.literal(1), kind: z.literal('succeeded'), result: resultSchema }),
  z.strictObject({ version: z.literal(1), kind: z.literal('failed'), error: errorSchema }),
]);

/** Undefined for anything but a complete message of this version. */
export function readMessage(message: string | undefined): PodOutcome | undefined {
  const read = parseBounded(outcomeSchema, message, maxMessageBytes);
  if (read === undefined) return undefined;
  const { version: _, ...outcome } = read;
  return outcome;
}

/**
 * Why the result is not one of this image, as the end of a sentence. Unreported fields are not compared; plugins of the cloud may
 * change what was staged.
 */
export function faultOfResult(
  { bytes, digest, imageDigest }: PodResult,
  { digest: declared, method }: TransferPlan,
  { status, size, hash }: Image,
): string | undefined {
  if (status === 'queued') return 'the image has no data';
  if (digest !== (declared?.toLowerCase() ?? imageDigest)) return `its digest is ${digest}`;
  const isCompared = hash !== null && imageDigest.startsWith(`${hash.algorithm}:`);
  if (isCompared && imageDigest !== `${hash.algorithm}:${hash.value.toLowerCase()}`)
    return `its digest is ${imageDigest}, that of the image ${hash.algorithm}:${hash.value}`;
  if (method !== 'Stage' && size !== null && size !== bytes) return `it has ${bytes} bytes, and the image ${size}`;
  return undefined;
}

export function writeMessage(outcome: PodOutcome): string {
  const forms = outcome.kind === 'succeeded' ? resultForms(outcome) : errorForms(outcome);
  const messages = forms.map((form) => JSON.stringify({ version: 1, ...form }));
  const fits = messages.find((message) => Buffer.byteLength(message) <= maxMessageBytes);
  return fits ?? messages.at(-1) ?? '';
}

/** From the complete one to the smallest. */
function resultForms({ kind, result }: Extract<PodOutcome, { kind: 'succeeded' }>): PodOutcome[] {
  const { warnings = [], member, ...rest } = result;
  const named = member === undefined ? {} : { member: cut(member, 200) };
  const few = { ...rest, ...named, warnings: warnings.slice(0, 4).map((warning) => cut(warning, 100)) };
  const none = { ...rest, ...named, url: cut(rest.url, 400) };
  return [result, few, none].map((form) => ({ kind, result: form }));
}

function errorForms({ kind, error }: Extract<PodOutcome, { kind: 'failed' }>): PodOutcome[] {
  const complete = withoutStack(error);
  const { cause: _, ...alone } = complete;
  const cutTo = (length: number) => ({ ...alone, message: cut(alone.message, length) });
  return [complete, alone, cutTo(600), shortest(cutTo(100))].map((form) => ({ kind, error: form }));
}

function withoutStack(error: EncodedError): EncodedError {
  const cause = error.cause === undefined ? {} : { cause: withoutStack(error.cause) };
  if (error.kind === 'operator') return { ...error, ...cause };
  const { stack: _, ...rest } = error;
  return { ...rest, ...cause };
}

/** Texts of a server in other fields are cut, too. */
function shortest(error: EncodedError): EncodedError {
  if (error.kind === 'other') return { ...error, name: cut(error.name, 50) };
  return { ...error, ...(error.requestId === undefined ? {} : { requestId: cut(error.requestId, 100) }) };
}

/** A character takes at most 6 bytes of JSON. */
function cut(value: string, length: number): string {
  return value.length <= length ? value : `${value.slice(0, length).toWellFormed()}…`;
}
