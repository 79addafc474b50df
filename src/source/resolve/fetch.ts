/**
 * Small documents of publishers: lists, indexes and signatures.
 *
 * Guarantees: bounded in bytes and time; the same egress policy, redirects and declared headers as for sources; an unchanged document
 * costs one request and no body.
 */
import { readBounded } from '../../http/body.ts';
import { withDeadline } from '../../lib/abort.ts';
import type { Clock } from '../../lib/clock.ts';
import { safeUrl } from '../../lib/secret.ts';
import { connectionError, SourceError, statusError, tooLong } from '../errors.ts';
import type { DeclaredHeaders } from '../headers.ts';
import { fetchFollowing } from '../request.ts';
import type { SourceTransport } from '../transport.ts';
import type { DocumentValidators } from './question.ts';

const firstByteMs = 30_000;
const documentMs = 60_000;

export interface DocumentRequest {
  url: string;
  maxBytes: number;
  /** Of the document that is known already. */
  validators?: DocumentValidators | undefined;
  declared: DeclaredHeaders;
  /** The only origin that gets the declared headers. */
  declaredFor: string | undefined;
  transport: SourceTransport;
  clock: Clock;
  signal: AbortSignal;
}

export type FetchedDocument =
  | { kind: 'unchanged' }
  | { kind: 'document'; bytes: Uint8Array; validators: DocumentValidators; isPublic: boolean };

/** Throws SourceError, EgressRefused, ProxyDenied, or the signal's reason. */
export async function fetchDocument(request: DocumentRequest): Promise<FetchedDocument> {
  const { url, maxBytes, validators = {}, declared, declaredFor, transport, clock, signal } = request;
  const conditions = conditionsOf(validators);
  return withDeadline(clock, `the download of ${safeUrl(url)}`, documentMs, signal, async (deadline) => {
    const hop = { url, range: conditions, declared, declaredFor, hasDigest: false, transport, clock, firstByteMs };
    const { url: end, response, withheld } = await fetchFollowing({ ...hop, signal: deadline });
    const { status, header, body, isPublic } = response;
    try {
      if (status === 304 && Object.keys(conditions).length > 0) return { kind: 'unchanged' };
      if (status !== 200) throw statusError(end, response, withheld);
      const encoding = header('content-encoding');
      if (encoding !== undefined && encoding !== 'identity')
        throw new SourceError(
          'SourceInvalid',
          `${safeUrl(end)} sent ${encoding} where the document itself was requested`,
        );
      const read = await readBounded(body, maxBytes);
      deadline.throwIfAborted();
      switch (read.end) {
        case 'limit':
          throw tooLong(end, `is longer than ${maxBytes} bytes`, maxBytes);
        case 'failed':
          throw connectionError(end, read.error);
        case 'complete':
          return {
            kind: 'document',
            bytes: read.bytes,
            validators: { etag: header('etag'), lastModified: header('last-modified') },
            isPublic,
          };
      }
    } finally {
      body.destroy();
    }
  });
}

/** An entity tag says more than a time. */
export function conditionsOf({ etag, lastModified }: DocumentValidators): Record<string, string> {
  if (etag !== undefined) return { 'if-none-match': etag };
  return lastModified === undefined ? {} : { 'if-modified-since': lastModified };
}
