/**
 * The fields of this version that the CRD in the cluster does not have, because it was installed by an earlier version.
 *
 * Guarantees: a status that is written has only fields that the CRD has, because the API server rejects an apply with any other;
 * each change of the missing fields is logged once; without a response all fields count as there, and after a rejected status the
 * schema is read again at most every ten seconds.
 */
import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import { group, kind, version } from '../../api/group.ts';
import { specSchema } from '../../api/spec.ts';
import { type GlanceImageStatus, statusSchema } from '../../api/status.ts';
import type { ApiTransport } from '../../kubernetes/transport.ts';
import type { Clock } from '../../lib/clock.ts';
import { describe } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';

export interface ServedFields {
  /** The status without fields that the CRD does not have: the same object if it has all. */
  fit(status: GlanceImageStatus): GlanceImageStatus;
  /** Reads the schema of the CRD. Resolves whether the missing fields have changed. Never throws, except the signal's reason. */
  look(signal: AbortSignal): Promise<boolean>;
  /** Looks again from time to time, until `stop`, whose reason it then throws. */
  run(stop: AbortSignal): Promise<never>;
}

export interface ServedFieldsOptions {
  transport: Pick<ApiTransport, 'request'>;
  clock: Clock;
  log: Logger;
}

interface Schema {
  properties?: Record<string, Schema> | undefined;
  items?: Schema | undefined;
}

const schemaSchema: z.ZodType<Schema> = z.lazy(() =>
  z.object({ properties: z.record(z.string(), schemaSchema).optional(), items: schemaSchema.optional() }),
);
const kindSchema = z.looseObject({ group: z.string(), version: z.string(), kind: z.string() });
const documentSchema = z.object({
  components: z.object({
    schemas: z.record(
      z.string(),
      z.object({
        'x-kubernetes-group-version-kind': z.array(kindSchema).optional(),
        properties: z.unknown().optional(),
      }),
    ),
  }),
});

/** Every user of a cluster may read it. */
const path = `/openapi/v3/apis/${group}/${version}`;
const deadlineMs = 10_000;
const lookAgainMs = 5 * 60_000;
const shortestMs = 10_000;

const own: Schema = schemaSchema.parse(
  z.toJSONSchema(z.object({ spec: specSchema, status: statusSchema }), {
    target: 'openapi-3.0',
    io: 'input',
    reused: 'inline',
    unrepresentable: 'any',
  }),
);

/** Paths of the fields that `known` has and `served` does not, with `[]` for the entries of a list; none below another one. */
export function missingFields(known: Schema, served: Schema | undefined, at = ''): string[] {
  // A map, or any JSON: its keys are not fields.
  if (served === undefined) return [];
  const fields = Object.entries(known.properties ?? {}).flatMap(([name, field]) => {
    const inner = at === '' ? name : `${at}.${name}`;
    if (served.properties === undefined) return [];
    const same = served.properties[name];
    return same === undefined ? [inner] : missingFields(field, same, inner);
  });
  return known.items === undefined ? fields : [...fields, ...missingFields(known.items, served.items, `${at}[]`)];
}

/** `value` without the fields at these paths. */
export function withoutFields(value: unknown, missing: ReadonlySet<string>, at: string): unknown {
  if (Array.isArray(value)) return value.map((item: unknown) => withoutFields(item, missing, `${at}[]`));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([name]) => !missing.has(`${at}.${name}`));
  return Object.fromEntries(entries.map(([name, item]) => [name, withoutFields(item, missing, `${at}.${name}`)]));
}

export function createServedFields({ transport, clock, log }: ServedFieldsOptions): ServedFields {
  let missing: ReadonlySet<string> = new Set();
  let lookedAt: number | undefined;
  let current: Promise<boolean> | undefined;

  async function read(signal: AbortSignal): Promise<boolean> {
    try {
      const document = documentSchema.parse(await transport.request({ method: 'GET', path, deadlineMs }, signal));
      const served = Object.values(document.components.schemas).find((schema) =>
        schema['x-kubernetes-group-version-kind']?.some((each) => each.kind === kind && each.group === group),
      );
      if (served === undefined) return false;
      const found = missingFields(own, schemaSchema.parse(served));
      if (isDeepStrictEqual(new Set(found), missing)) return false;
      missing = new Set(found);
      if (found.length === 0) log.info('The CRD has all fields of this version now');
      else log.warn({ missing: found }, `The CRD is older than this operator: ${advice}`);
      return true;
    } catch (error) {
      signal.throwIfAborted();
      log.debug({ problem: describe(error) }, 'The schema of the CRD cannot be read');
      return false;
    }
  }

  async function look(signal: AbortSignal): Promise<boolean> {
    if (current !== undefined) return current;
    const now = clock.monotonic();
    if (lookedAt !== undefined && now - lookedAt < shortestMs) return false;
    lookedAt = now;
    current = read(signal).finally(() => {
      current = undefined;
    });
    return current;
  }

  return {
    fit(status) {
      if (missing.size === 0) return status;
      return statusSchema.parse(withoutFields(status, missing, 'status'));
    },
    look,
    async run(stop) {
      for (;;) {
        await clock.sleep(lookAgainMs, stop);
        await look(stop);
      }
    },
  };
}

const advice =
  'it has none of the missing fields, which are left out of the status, and which the API server drops from declarations. Install the CRD of this version';
