/** Statuses and reports with values that no type rules out at run time: texts of any code units, numbers and times of any size. */
import fc from 'fast-check';
import type { Warning } from '../../src/api/conditions.ts';
import { isReason, reasons } from '../../src/api/reasons.ts';
import type { GlanceImageStatus } from '../../src/api/status.ts';
import type { Image } from '../../src/glance/image.ts';
import type { Report } from '../../src/image/model/report.ts';
import { declaredBy, type Pinning } from '../../src/image/publishers/resolution.ts';
import type { Moment } from '../../src/image/status/status.ts';
import { summarise } from '../../src/image/status/status.ts';
import { errorCodes } from '../../src/lib/error-codes.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { fullStatus } from '../api/full-status.ts';
import { imageOf, resourceOf } from './resource.ts';
import { memoryOf, observedOf, promotes } from './states.ts';

/** Any code units: halves of surrogate pairs, control characters, U+0085, U+FFFE; sometimes long. */
export const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc
    .array(fc.oneof(fc.integer({ min: 0, max: 0xff }), fc.integer({ min: 0xd7f0, max: 0xffff })), { maxLength: 20 })
    .map((units) => String.fromCharCode(...units)),
  fc.constantFrom('\u007f', '\u0085', '\u0092', '\ufeff', '\ufffe', '\uffff', '\ud83d', '\ude00', '\u2028', ''),
  fc
    .tuple(fc.constantFrom('x', '\u0092', '😀', '\ud83d', '<', '漢'), fc.integer({ min: 200, max: 5000 }))
    .map(([unit, times]) => unit.repeat(times)),
);
const anyNumber = fc.oneof(fc.double(), fc.integer(), fc.maxSafeInteger(), fc.constantFrom(-0, 2 ** 63, 1e300, 999));
/** JSON has no NaN, and reads 1e999 as Infinity. */
const anyJsonNumber = anyNumber.filter((number) => !Number.isNaN(number));
const anyTime = fc.oneof(
  anyText,
  fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
  fc.constantFrom(
    '2026-03-01T10:00:00Z',
    '9999-12-31T23:59:59+23:59',
    '+011275-01-01T00:00:00Z',
    '2026-02-30T00:00:00Z',
  ),
);
export const anyJson: fc.Arbitrary<unknown> = fc.anything({
  values: [anyText, anyJsonNumber, fc.boolean(), fc.constant(null)],
  key: fc.oneof(anyText, fc.constantFrom('__proto__', '<<', '')),
  maxKeys: 6,
  maxDepth: 3,
});
const anyProperties = fc.dictionary(fc.oneof(anyText, fc.constantFrom('__proto__', '<<', 'null', '1')), anyJson, {
  maxKeys: 20,
  noNullPrototype: true,
});

/** The same status with any of its values replaced by any other. */
function variants(value: unknown): fc.Arbitrary<unknown> {
  const other = fc.oneof(anyText, anyNumber, anyTime, anyProperties, fc.anything());
  const same = Array.isArray(value)
    ? fc
        .tuple(fc.tuple(...value.map(variants)), fc.integer({ min: 1, max: 100 }))
        .map(([items, times]) => Array.from({ length: times }, () => items).flat())
    : typeof value === 'object' && value !== null
      ? fc.record(Object.fromEntries(Object.entries(value).map(([key, item]) => [key, variants(item)])))
      : fc.constant(value);
  return fc.oneof({ weight: 12, arbitrary: same }, { weight: 1, arbitrary: other });
}
export const anyStatus = variants(fullStatus);

export interface AnyReport {
  report: Report;
  previous: GlanceImageStatus;
  moment: Moment;
}

export function statusOf({ report, previous, moment }: AnyReport): GlanceImageStatus {
  return summarise(report, previous, moment);
}

const anyImage: fc.Arbitrary<Image> = fc
  .record({
    name: fc.option(anyText),
    status: anyText,
    owner: fc.option(anyText),
    diskFormat: fc.option(anyText),
    size: fc.option(anyJsonNumber),
    virtualSize: fc.option(anyJsonNumber),
    checksum: fc.option(anyText),
    hash: fc.option(fc.record({ algorithm: anyText, value: anyText })),
    minDiskGiB: anyJsonNumber,
    tags: fc.array(anyText, { maxLength: 2000, size: 'small' }),
    properties: anyProperties,
    stores: fc.array(anyText, { maxLength: 100, size: 'small' }),
    createdAt: anyTime,
    updatedAt: anyTime,
  })
  .map(({ properties, ...fields }) => imageOf({ ...fields, properties: JSON.parse(jsonOf(properties)) }));

/** What a parser of JSON can return: 1e999 is read as Infinity, and -0 as itself. */
function jsonOf(value: unknown): string {
  if (Object.is(value, -0)) return '-0';
  if (value === Number.POSITIVE_INFINITY) return '1e999';
  if (Array.isArray(value)) return `[${value.map(jsonOf).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  return `{${Object.entries(value)
    .map(([key, item]) => `${JSON.stringify(key)}:${jsonOf(item)}`)
    .join()}}`;
}

const anyReason = fc.constantFrom(...Object.keys(reasons).filter(isReason));
const anyFailure = fc
  .record({
    message: anyText,
    code: fc.constantFrom(...errorCodes),
    retryAfterMs: fc.option(fc.nat(), { nil: undefined }),
    httpStatus: anyJsonNumber,
    requestId: anyText,
  })
  .map(({ message, ...options }) => new OperatorError(message, options));
const anyWarning: fc.Arbitrary<Warning> = fc.record({ reason: anyReason, message: anyText });

/** With texts as others may have given them. */
const anyMemory = fc
  .record({ owner: anyText, propertyKeys: fc.array(anyText, { maxLength: 20 }), why: anyText, isKnown: fc.boolean() })
  .map(({ owner, propertyKeys, why, isKnown }) => {
    const findings = [{ imageID: imageOf().id, fingerprint: 'v1', verdict: 'wrong' as const, why }];
    return { ...(isKnown ? promotes(imageOf()) : memoryOf()), owner, propertyKeys, findings };
  });

const anySource = fc.record({
  url: anyText,
  digest: anyText,
  version: anyText,
  resolvedAt: anyText,
  signedBy: anyText,
  signedAt: anyText,
  declaration: anyText,
});
const anyPinning: fc.Arbitrary<Pinning> = fc.oneof(
  fc.constant(declaredBy(resourceOf())),
  fc.record({
    kind: fc.constant('pinned' as const),
    url: anyText,
    resource: fc.constant(resourceOf()),
    declared: fc.constant(resourceOf()),
    source: anySource,
    trouble: fc.option(anyFailure, { nil: undefined }),
  }),
  fc.record({
    kind: fc.constant('candidate' as const),
    url: anyText,
    resource: fc.constant(resourceOf()),
    declared: fc.constant(resourceOf()),
    before: anySource,
    source: anySource,
  }),
);

export const anyReport: fc.Arbitrary<AnyReport> = fc.record({
  report: fc.record(
    {
      cloud: fc.record({ projectID: anyText, region: fc.option(anyText, { nil: undefined }) }),
      secret: fc.record({ version: anyText }),
      memory: anyMemory,
      observed: fc.array(anyImage, { maxLength: 2 }).map((images) => observedOf(images, promotes(imageOf()))),
      content: fc.record({
        imageID: fc.constant(imageOf().id),
        url: anyText,
        digest: anyText,
        size: anyJsonNumber,
        virtualSize: anyJsonNumber,
        warnings: fc.array(anyText),
      }),
      changes: fc.constant([]),
      end: fc.oneof(
        fc.constant({ kind: 'converged' as const }),
        anyFailure.map((error) => ({ kind: 'failed' as const, error })),
        anyFailure.map((error) => ({ kind: 'held' as const, error })),
        anyText.map((url) => ({ kind: 'resolving' as const, url })),
        fc.record({
          kind: fc.constant('waiting' as const),
          phase: fc.constant('Waiting' as const),
          imageID: anyText,
          why: anyText,
          ms: fc.nat(),
        }),
      ),
    },
    { requiredKeys: ['memory', 'changes', 'end'] },
  ),
  previous: fc.constant({ observedGeneration: -1 }),
  moment: fc.record({
    generation: fc.nat(),
    specHash: fc.constantFrom('one', 'another'),
    reconcileAt: fc.option(anyText, { nil: undefined }),
    deletion: fc.constantFrom('Delete' as const, 'Retain' as const, undefined),
    recordOnly: fc.boolean(),
    imported: fc.constantFrom('adopted' as const, 'observed' as const, undefined),
    pinning: anyPinning,
    warning: fc.option(anyWarning, { nil: undefined }),
    now: fc.constant(new Date('2026-01-02T00:00:00Z')),
    random: fc.double({ min: 0, max: 0.99, noNaN: true }),
  }),
});
