/**
 * The schema of images of one cloud, asked for once. Law: however many calls need it at once there is one question, and a
 * cloud that does not show it is read without it.
 */
import { abortable } from '../../lib/abort.ts';
import { MalformedResponse } from '../../openstack/errors.ts';
import { jsonOf } from '../../openstack/response.ts';
import { builtInSchema, type ImageSchema, readSchema } from '../cloud-schema.ts';
import { GlanceUnavailable, InvalidRequest, NotAuthorized, NotFound } from '../errors.ts';
import type { Calls } from './call.ts';

export function rememberedSchema(call: Calls['call']): Calls['schema'] {
  let known: Promise<ImageSchema> | undefined;

  async function find(): Promise<ImageSchema> {
    try {
      const request = { operation: 'schema', method: 'GET', path: '/schemas/image' } as const;
      // Whoever asks first may give up; the others still wait for the answer, which the session bounds.
      return await call(request, new AbortController().signal, (response) => {
        const schema = readSchema(jsonOf(response));
        if (schema !== undefined) return schema;
        throw new MalformedResponse('it holds no schema', response.requestId);
      });
    } catch (error) {
      const refused = error instanceof NotFound || error instanceof NotAuthorized || error instanceof InvalidRequest;
      if (refused && error.httpStatus !== 401) return builtInSchema;
      known = undefined;
      if (error instanceof GlanceUnavailable) return builtInSchema;
      throw error;
    }
  }

  return (signal) => {
    known ??= find();
    return abortable(known, signal);
  };
}
