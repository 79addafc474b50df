/**
 * The one call to Nova: whether servers of the project use an image. Deleted servers do not count, nor do servers that boot from a
 * volume, which is a copy of the image.
 *
 * Guarantees: one page of one server is requested, and nothing else of Nova is read. A response that is no list of servers is an
 * error, so that it never means that the image is unused. So is a compute service in the catalog that has no endpoint for the configured
 * name, interface and region.
 */
import * as z from 'zod';
import { boundedList } from '../lib/bounded-list.ts';
import { EndpointNotFound, MalformedResponse } from './errors.ts';
import type { BodyLimit } from './exchange.ts';
import { jsonOf } from './response.ts';
import type { Session } from './session.ts';

/** `noCompute`: the catalog of the cloud has no compute service. */
export type ServerUse = 'used' | 'unused' | 'noCompute';

/** One server, without its details. */
const limit: BodyLimit = { bytes: 64 * 1024, values: 1_000 };
const serversSchema = z.object({ servers: boundedList(z.object({ id: z.string() }), 100) });

/** Throws the errors of the session, and MalformedResponse. */
export async function serverUse(
  session: Pick<Session, 'endpoint' | 'call'>,
  imageID: string,
  signal: AbortSignal,
): Promise<ServerUse> {
  try {
    await session.endpoint('compute', signal);
  } catch (error) {
    if (error instanceof EndpointNotFound && error.isServiceAbsent) return 'noCompute';
    throw error;
  }
  const response = await session.call('compute', {
    operation: 'servers',
    method: 'GET',
    path: `/servers?image=${encodeURIComponent(imageID)}&limit=1`,
    idempotent: true,
    limit,
    signal,
  });
  const read = serversSchema.safeParse(jsonOf(response));
  if (!read.success) throw new MalformedResponse('it contains no list of servers', response.requestId);
  return read.data.servers.length > 0 ? 'used' : 'unused';
}
