/**
 * Sends every request of the client.
 *
 * Invariant: every failure is in Glance's terms, and every request that a retry may repeat can be repeated safely:
 * Glance rejects the second of two equal changes with 409, or accepts it as done.
 */

import { abortable, neverAborted } from '../../lib/abort.ts';
import { MalformedResponse } from '../../openstack/errors.ts';
import type { BodyLimit, HttpResponse } from '../../openstack/exchange.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../../openstack/json.ts';
import { expectNoPage, jsonOf } from '../../openstack/response.ts';
import type { ServiceCall, Session } from '../../openstack/session.ts';
import { builtInSchema, type ImageSchema, readSchema } from '../cloud-schema.ts';
import { GlanceUnavailable, InvalidRequest, NotAuthorized, NotFound, type Operation, translate } from '../errors.ts';

export interface Request {
  /** For messages and metrics. */
  operation: Operation;
  /** If the call is about one image: a 403 or 404 is then about that image. */
  imageId?: string;
  method: ServiceCall['method'];
  /** Below the versioned endpoint, escaped. */
  path: string;
  /** Sent as JSON, with `type` as its media type. */
  body?: JsonValue;
  /** Default `application/json`. */
  type?: string;
  /** Default: enough for one image. */
  limit?: BodyLimit;
}

/** The calls that all parts of the client share. */
export interface Calls {
  readonly session: Session;
  /** How this cloud's images are read. */
  schema(signal: AbortSignal): Promise<ImageSchema>;
  /** `read` parses the response; it throws MalformedResponse. */
  call<T>(request: Request, signal: AbortSignal, read: (response: HttpResponse) => T): Promise<T>;
  /** A call whose response has no body. A page in its place is no success: something else has responded. */
  send(request: Request, signal: AbortSignal): Promise<void>;
}

/** More than 128 properties of 64 KiB, which are the limits of Glance. */
const imageLimit: BodyLimit = { bytes: 16 * 1024 * 1024, values: 5_000 };

/** `useSchema`: by the cloud's own schema; otherwise by the built-in one, without a request. */
export function createCalls(session: Session, useSchema: boolean): Calls {
  async function call<T>(request: Request, signal: AbortSignal, read: (response: HttpResponse) => T): Promise<T> {
    const { operation, imageId, method, path, body, type = 'application/json' } = request;
    const { limit = imageLimit } = request;
    const content = body === undefined ? {} : { headers: { 'content-type': type }, body: JSON.stringify(body) };
    try {
      return read(
        await session.call('image', { operation, method, path, ...content, idempotent: true, limit, signal }),
      );
    } catch (error) {
      throw translate(error, operation, imageId);
    }
  }
  return {
    session,
    schema: useSchema ? rememberedSchema(call) : async () => builtInSchema,
    call,
    send: (request, signal) => call(request, signal, expectNoPage),
  };
}

/**
 * The schema of images of one cloud, fetched once: concurrent callers share the request, and a cloud that does not show it is
 * read without it.
 */
export function rememberedSchema(call: Calls['call']): Calls['schema'] {
  let current: Promise<ImageSchema> | undefined;

  async function fetchSchema(): Promise<ImageSchema> {
    try {
      const request = { operation: 'schema', method: 'GET', path: '/schemas/image' } as const;
      // Not aborted with the first caller: others may wait for it, too. The session bounds it.
      return await call(request, neverAborted(), (response) => {
        const schema = readSchema(jsonOf(response));
        if (schema !== undefined) return schema;
        throw new MalformedResponse('it contains no schema', response.requestId);
      });
    } catch (error) {
      const isRejected = error instanceof NotFound || error instanceof NotAuthorized || error instanceof InvalidRequest;
      const isUnauthenticated = error instanceof NotAuthorized && error.httpStatus === 401;
      if (isRejected && !isUnauthenticated) return builtInSchema;
      current = undefined;
      // The call itself shows the failure, as one about its image.
      if (isUnauthenticated || error instanceof GlanceUnavailable) return builtInSchema;
      throw error;
    }
  }

  return (signal) => {
    current ??= fetchSchema();
    return abortable(current, signal);
  };
}

/** The object in a response; `what` names its expected content. */
export function objectIn(response: HttpResponse, what: string): JsonObject {
  const body = jsonOf(response);
  if (isJsonObject(body)) return body;
  throw new MalformedResponse(`it contains no ${what}`, response.requestId);
}

/** Of one page: Glance never returns more. */
const maxEntries = 1000;

/** The entries under `key` of a response, each parsed by `read`; undefined from `read` makes the response malformed. */
export function listIn<T>(
  response: HttpResponse,
  key: string,
  read: (entry: JsonValue) => T | undefined,
  list: JsonValue | undefined = objectIn(response, `list of ${key}`)[key],
): T[] {
  if (!Array.isArray(list)) throw new MalformedResponse(`it contains no list of ${key}`, response.requestId);
  return list.slice(0, maxEntries).map((entry) => {
    const value = read(entry);
    if (value === undefined)
      throw new MalformedResponse(`its list of ${key} contains something else`, response.requestId);
    return value;
  });
}
