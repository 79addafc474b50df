/**
 * Checks what a caller gives, because callers may be in JavaScript.
 *
 * Invariant: a value of a wrong type is an InvalidRequest that names it, before any call. Calls use a copy of
 * the arguments, which the caller cannot change.
 */
import { isAbsolute } from 'node:path';
import type { Writable } from 'node:stream';
import { isDate } from 'node:util/types';
import * as z from 'zod';
import type { LocationDigest, MemberStatus } from '../glance/client/index.ts';
import { InvalidRequest } from '../glance/errors.ts';
import type { ImageSort, ListFilters } from '../glance/list.ts';
import { deepest } from '../http/json-bounds.ts';
import { compact } from '../lib/compact.ts';
import { describe } from '../lib/errors.ts';
import { mapOf } from '../lib/map-of.ts';
import { serviceRoot } from '../openstack/catalog.ts';
import { isPlainObject, jsonObjectCopy } from '../openstack/json.ts';
import { contentProblem, type ImageContent, isContent } from './content.ts';

const text = z.string();
const texts = z.array(text);
const flag = z.boolean();
const count = z.number().int().min(0);

/** A text that only Glance can check. */
const textOf = <T extends string>() => z.custom<T>((given) => typeof given === 'string', 'expected a text');
const time = z.custom<Date>((given) => isDate(given) && !Number.isNaN(given.getTime()), 'expected a valid Date');
/** An object with keys that have a meaning, unlike those of a Map or of an instance of another class. */
const plain = <T extends z.ZodType<unknown, object>>(schema: T, problem = 'expected a plain object') =>
  z.custom<object>(isPlainObject, problem).transform(compact).pipe(schema);

const query = plain(
  z.strictObject({
    filters: plain(
      z.strictObject({
        ids: texts.exactOptional(),
        name: text.exactOptional(),
        names: texts.exactOptional(),
        statuses: texts.exactOptional(),
        owner: text.exactOptional(),
        visibility: textOf<NonNullable<ListFilters['visibility']>>().exactOptional(),
        memberStatus: textOf<MemberStatus | 'all'>().exactOptional(),
        hidden: flag.exactOptional(),
        protected: flag.exactOptional(),
        diskFormats: texts.exactOptional(),
        containerFormats: texts.exactOptional(),
        minDiskGiB: count.exactOptional(),
        minRAMMiB: count.exactOptional(),
        minSize: count.exactOptional(),
        maxSize: count.exactOptional(),
        checksum: text.exactOptional(),
        hash: text.exactOptional(),
        tags: texts.exactOptional(),
        properties: plain(mapOf(text).transform((properties) => Object.fromEntries(properties))).exactOptional(),
        createdSince: time.exactOptional(),
        createdBefore: time.exactOptional(),
        updatedSince: time.exactOptional(),
        updatedBefore: time.exactOptional(),
      }),
    ).exactOptional(),
    marker: text.exactOptional(),
    limit: count.exactOptional(),
    sort: z
      .array(z.strictObject({ key: textOf<ImageSort['key']>(), direction: textOf<ImageSort['direction']>() }))
      .exactOptional(),
  }),
  'query: expected a plain object',
);

const importRequest = z.strictObject({
  method: z.discriminatedUnion('name', [
    z.strictObject({ name: z.enum(['glance-direct', 'copy-image']) }),
    z.strictObject({ name: z.literal('web-download'), uri: text }),
    z.strictObject({
      name: z.literal('glance-download'),
      imageId: text,
      region: text,
      serviceInterface: z.enum(['public', 'internal', 'admin']).optional(),
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

const requester = z.strictObject({
  token: flag,
  admin: flag.optional(),
  projectId: text.optional(),
  userId: text.optional(),
});

const commonOptions = z.strictObject({
  fileDirectories: z.array(text.refine(isAbsolute, 'expected an absolute path')).optional(),
  signatures: z.enum(['enabled', 'disabled']).optional(),
  certificates: z
    .custom<object>((given) => hasMethod(given, 'get'), 'expected an object with the function get')
    .optional(),
  requester: requester.optional(),
  pageSize: z.number().int().min(1).optional(),
  newId: callable.optional(),
});

const serviceOptions = commonOptions.extend({
  privileged: z.custom<object>((given) => hasMethod(given, 'call'), 'expected a session').optional(),
});

const connectOptions = commonOptions.extend({
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
  proxy: proxy.optional(),
});

const shown = z.custom<object>(
  (given) => isPlainObject(given) && isPlainObject(Reflect.get(given, 'properties')),
  'expected an image with its properties',
);
const members = z.array(z.object({ memberId: text, status: text })).optional();
const pems = z.map(text, text, 'expected a Map of texts');
const remoteOptions = z.strictObject({
  service: z.custom<object>((given) => hasMethod(given, 'show'), 'expected an image service'),
  connect: callable,
});

const callOptions = z.strictObject({
  signal: z.custom<AbortSignal>(isSignal, 'expected an AbortSignal').exactOptional(),
});
const stageOptions = callOptions.extend({ size: count.exactOptional() });
const content = z.custom<ImageContent>(isContent, contentProblem);
const createOptions = stageOptions.extend({
  data: content.exactOptional(),
  store: text.exactOptional(),
  baseImageRef: text.exactOptional(),
});
const updateOptions = createOptions.extend({ purge: flag.exactOptional() });

/** Glance returns metadata inside of an image of a list: so many levels of the response are not of the metadata. */
const levelsAround = 5;
const metadataLevels = deepest - levelsAround;

const digestBy = <T extends LocationDigest['algorithm']>(algorithm: T, digits: number) =>
  z.strictObject({
    algorithm: z.literal(algorithm),
    value: text.regex(new RegExp(`^[0-9a-f]{${digits}}$`, 'i'), `expected ${digits} hex digits`),
  });

const metadata = z.unknown().transform((given, context) => {
  const copy = jsonObjectCopy(given, metadataLevels);
  if (copy !== undefined) return copy;
  context.addIssue(`expected an object of JSON values with at most ${metadataLevels} levels`);
  return z.NEVER;
});

const location = plain(
  z.strictObject({
    url: text,
    metadata: metadata.exactOptional(),
    digest: z
      .discriminatedUnion(
        'algorithm',
        [digestBy('md5', 32), digestBy('sha1', 40), digestBy('sha256', 64), digestBy('sha512', 128)],
        'expected md5, sha1, sha256 or sha512',
      )
      .exactOptional(),
  }),
);

export const queryIn = (given: unknown) => check('', query, given, 'query');
export const dataIn = (given: unknown) => check('data', content, given);
export const locationIn = (given: unknown) => check('location', location, given);

export function checkImport(given: unknown): void {
  check('request', importRequest, given);
}

export function checkServiceOptions(given: unknown): void {
  check('', serviceOptions, objectOf(given));
}

export function checkConnectOptions(given: unknown): void {
  check('', connectOptions, objectOf(given));
}

/** The signal of a call's options, for calls without other ones. */
export function signalIn(given: unknown): AbortSignal | undefined {
  return callOptionsIn(callOptions, given).signal;
}

export const stageOptionsIn = (given: unknown) => callOptionsIn(stageOptions, given);
export const createOptionsIn = (given: unknown) => callOptionsIn(createOptions, given);
export const updateOptionsIn = (given: unknown) => callOptionsIn(updateOptions, given);

/** The options of a call, without those that are undefined. */
function callOptionsIn<T>(schema: z.ZodType<T>, given: unknown): T {
  return check('', schema, objectOf(given === undefined ? {} : given));
}

/** Without the keys that are undefined. */
function objectOf(given: unknown): object {
  return whenReadable('options', () => {
    if (isPlainObject(given)) return compact(given);
    throw new InvalidRequest('options: expected a plain object');
  });
}

/** An image as it was shown, or those of its fields that decide. */
export function checkShown(given: unknown): void {
  check('image', shown, given);
}

export function checkRequester(given: unknown): void {
  check('requester', requester, given);
}

export function checkMembers(given: unknown): void {
  check('members', members, given);
}

export function checkPems(given: unknown): void {
  check('pems', pems, given);
}

/** Of references to images: `service` is for those to the same cloud, `connect` for the others. */
export function checkRemote(given: unknown): void {
  check('', remoteOptions, objectOf(given));
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

const sink = z.custom<Writable>(isWritable, 'expected a Writable').refine(takesData, 'it has ended or was destroyed');

export function checkSink(given: unknown): void {
  check('sink', sink, given);
}

/** Whether data can be written to it. A pipeline into one that has ended or was destroyed never settles. */
export function takesData({ writable, writableEnded, destroyed }: Writable): boolean {
  return writable && !writableEnded && !destroyed;
}

/** The streams of other packages are no instances of Node's class. */
function isWritable(given: unknown): boolean {
  return ['write', 'end', 'destroy', 'on'].every((name) => hasMethod(given, name));
}

/** Throws for what only inherits from AbortSignal. */
function isSignal(given: unknown): boolean {
  return given instanceof AbortSignal && typeof given.aborted === 'boolean';
}

function hasMethod(given: unknown, name: string): boolean {
  return typeof given === 'object' && given !== null && typeof Reflect.get(given, name) === 'function';
}

/** `name` begins the place of a problem; `what` is all that was given. */
function check<T>(name: string, schema: z.ZodType<T>, given: unknown, what = name || 'options'): T {
  return whenReadable(what, () => {
    const parsed = schema.safeParse(given);
    if (parsed.success) return parsed.data;
    throw new InvalidRequest(parsed.error.issues.map((issue) => issueSentence(issue, name)).join('; '));
  });
}

/** The result of reading what a caller gave: a getter, or a proxy, can throw anything. */
export function whenReadable<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof InvalidRequest) throw error;
    throw new InvalidRequest(`${name}: it cannot be read: ${describe(error)}`, { cause: error });
  }
}

/** For example `minDiskGiB: expected number, received string`. */
export function issueSentence({ path, message }: z.core.$ZodIssue, name = ''): string {
  const place = [name, ...path.map(String)].filter((part) => part !== '').join('.');
  return `${place === '' ? '' : `${place}: `}${message.replace(/^Invalid input: /, '')}`;
}
