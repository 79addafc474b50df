/**
 * Checks what a caller gives, because callers may be in JavaScript.
 *
 * Invariant: a value of a wrong type is an InvalidRequest that names it, before any call.
 */
import { isAbsolute } from 'node:path';
import * as z from 'zod';
import { InvalidRequest } from '../glance/errors.ts';
import { serviceRoot } from '../openstack/catalog.ts';

const text = z.string();
const texts = z.array(text);
const flag = z.boolean();
const count = z.number().int().min(0);

/** Values that only Glance can check, such as the key of a sort, are left to it. */
const query = z.strictObject({
  filters: z
    .strictObject({
      ids: texts.optional(),
      name: text.optional(),
      names: texts.optional(),
      statuses: texts.optional(),
      owner: text.optional(),
      visibility: text.optional(),
      memberStatus: text.optional(),
      hidden: flag.optional(),
      protected: flag.optional(),
      diskFormats: texts.optional(),
      containerFormats: texts.optional(),
      minDiskGiB: count.optional(),
      minRAMMiB: count.optional(),
      minSize: count.optional(),
      maxSize: count.optional(),
      checksum: text.optional(),
      hash: text.optional(),
      tags: texts.optional(),
      properties: z.record(text, text).optional(),
      createdSince: z.date().optional(),
      createdBefore: z.date().optional(),
      updatedSince: z.date().optional(),
      updatedBefore: z.date().optional(),
    })
    .optional(),
  marker: text.optional(),
  limit: count.optional(),
  sort: z.array(z.object({ key: text, direction: text })).optional(),
});

const importRequest = z.object({
  method: z.discriminatedUnion('name', [
    z.object({ name: z.enum(['glance-direct', 'copy-image']) }),
    z.object({ name: z.literal('web-download'), uri: text }),
    z.object({
      name: z.literal('glance-download'),
      imageId: text,
      region: text,
      serviceInterface: text.optional(),
    }),
  ]),
  stores: texts.optional(),
  allStores: flag.optional(),
  allStoresMustSucceed: flag.optional(),
});

const proxy = z.strictObject({
  url: text,
  credentials: z.union([text, z.instanceof(Function, { error: 'expected a text or a function' })]).optional(),
  except: texts.optional(),
  ca: text.optional(),
});

const httpUrl = text.refine((given) => serviceRoot(given) !== undefined, 'expected an http or https URL');
const callable = z.instanceof(Function, { error: 'expected a function' });

const serviceOptions = z.object({
  fileDirectories: z.array(text.refine(isAbsolute, 'expected an absolute path')).optional(),
  signatures: z.enum(['enabled', 'disabled']).optional(),
  certificates: z.custom<object>(hasGet, 'expected an object with the function get').optional(),
  requester: z
    .object({ token: flag, admin: flag.optional(), projectId: text.optional(), userId: text.optional() })
    .optional(),
  pageSize: z.number().int().min(1).optional(),
  newId: callable.optional(),
});

const connectOptions = serviceOptions.extend({
  cloudsYaml: text,
  secureYaml: text.optional(),
  cacert: text.optional(),
  cert: text.optional(),
  key: text.optional(),
  cloud: text,
  region: text.optional(),
  privilegedCloud: text.optional(),
  retries: count.max(99).optional(),
  trustedEndpoints: z.array(httpUrl).optional(),
});

const location = z.object({
  url: text,
  metadata: z.record(text, z.json()).optional(),
  digest: z.object({ algorithm: text, value: text }).optional(),
});

export function checkQuery(given: unknown): void {
  check('', query, given);
}

export function checkImport(given: unknown): void {
  check('request', importRequest, given);
}

export function checkLocation(given: unknown): void {
  check('location', location, given);
}

export function checkProxy(given: unknown): void {
  check('proxy', proxy, given);
}

export function checkServiceOptions(given: unknown): void {
  check('', serviceOptions, given);
}

export function checkConnectOptions(given: unknown): void {
  check('', connectOptions, given);
}

export function checkEndpoint(given: unknown): void {
  check('endpoint', httpUrl, given);
}

export function checkText(name: string, given: unknown): void {
  check(name, text, given);
}

export function checkTexts(name: string, given: unknown): void {
  check(name, texts, given);
}

/** `undefined` is no size. */
export function checkDataSize(given: unknown): void {
  check('size', count.optional(), given);
}

function hasGet(given: unknown): boolean {
  return typeof given === 'object' && given !== null && 'get' in given && typeof given.get === 'function';
}

function check(name: string, schema: z.ZodType, given: unknown): void {
  const parsed = schema.safeParse(given);
  if (parsed.success) return;
  throw new InvalidRequest(parsed.error.issues.map((issue) => issueSentence(issue, name)).join('; '));
}

/** For example `minDiskGiB: expected number, received string`. */
export function issueSentence({ path, message }: z.core.$ZodIssue, name = ''): string {
  const place = [name, ...path.map(String)].filter((part) => part !== '').join('.');
  return `${place === '' ? '' : `${place}: `}${message.replace(/^Invalid input: /, '')}`;
}
