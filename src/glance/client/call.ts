/**
 * The one way from a method of the client to Glance. Law: every failure comes out in Glance's terms, and whatever a retry may
 * send twice is safe to be sent twice: Glance refuses the second of two equal changes with 409, or takes it as done.
 */

import { MalformedResponse } from '../../openstack/errors.ts';
import type { HttpResponse } from '../../openstack/exchange.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../../openstack/json.ts';
import { jsonOf } from '../../openstack/response.ts';
import type { ServiceCall, Session } from '../../openstack/session.ts';
import { builtInSchema, type ImageSchema } from '../cloud-schema.ts';
import { type Operation, translate } from '../errors.ts';
import { rememberedSchema } from './known-schema.ts';

export interface Request {
  /** What is being done, for messages. */
  operation: Operation;
  /** Where the call is about one image: a 403 or 404 is then about that image. */
  imageId?: string;
  method: ServiceCall['method'];
  /** Below the versioned endpoint, escaped. */
  path: string;
  /** Sent as JSON, with `type` as its media type. */
  body?: JsonValue;
  /** Default `application/json`. */
  type?: string;
  /** Default: enough for one image. */
  bodyLimitBytes?: number;
}

/** What the parts of the client share. */
export interface Calls {
  readonly session: Session;
  /** How this cloud's images are read. */
  schema(signal: AbortSignal): Promise<ImageSchema>;
  /** `read` parses the answer; it throws MalformedResponse. */
  call<T>(request: Request, signal: AbortSignal, read: (response: HttpResponse) => T): Promise<T>;
  /** A call whose answer has no body. */
  send(request: Request, signal: AbortSignal): Promise<void>;
}

/** 128 properties of 64 KiB, and then some. */
const imageLimitBytes = 16 * 1024 * 1024;

/** `useSchema`: by the cloud's own schema; otherwise by what holds on every cloud, without a question. */
export function createCalls(session: Session, useSchema: boolean): Calls {
  async function call<T>(request: Request, signal: AbortSignal, read: (response: HttpResponse) => T): Promise<T> {
    const { operation, imageId, method, path, body, type = 'application/json' } = request;
    const { bodyLimitBytes = imageLimitBytes } = request;
    const content = body === undefined ? {} : { headers: { 'content-type': type }, body: JSON.stringify(body) };
    try {
      return read(await session.call('image', { method, path, ...content, idempotent: true, bodyLimitBytes, signal }));
    } catch (error) {
      throw translate(error, operation, imageId);
    }
  }
  return {
    session,
    schema: useSchema ? rememberedSchema(call) : async () => builtInSchema,
    call,
    send: (request, signal) => call(request, signal, () => undefined),
  };
}

/** The object in an answer; `what` names what it should hold. */
export function objectIn(response: HttpResponse, what: string): JsonObject {
  const body = jsonOf(response);
  if (isJsonObject(body)) return body;
  throw new MalformedResponse(`it holds no ${what}`, response.requestId);
}

/** The entries under `key` of an answer, each as `read` parses it; undefined from `read` refuses the answer. */
export function listIn<T>(
  response: HttpResponse,
  key: string,
  read: (entry: JsonValue) => T | undefined,
  list: JsonValue | undefined = objectIn(response, `list of ${key}`)[key],
): T[] {
  if (!Array.isArray(list)) throw new MalformedResponse(`it holds no list of ${key}`, response.requestId);
  return list.map((entry) => {
    const value = read(entry);
    if (value === undefined) throw new MalformedResponse(`its list of ${key} holds something else`, response.requestId);
    return value;
  });
}
