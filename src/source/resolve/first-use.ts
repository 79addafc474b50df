/**
 * The digest of a file as it is served now, for a declaration that trusts what comes first. The transfer downloads the file again
 * and compares it with this digest, so two downloads have to agree before an image is active.
 *
 * Guarantees: constant memory; a file that has its validators still is not read again; a file of a network that is not public is
 * rejected unless the installation names its host, because its author does not have to know the digest.
 */
import { createHash } from 'node:crypto';
import type { Clock, Random } from '../../lib/clock.ts';
import { compact } from '../../lib/compact.ts';
import { OperatorError } from '../../lib/errors.ts';
import { safeUrl } from '../../lib/secret.ts';
import { SourceError, statusError } from '../errors.ts';
import type { DeclaredHeaders } from '../headers.ts';
import { openHttpSource } from '../http.ts';
import { fetchFollowing } from '../request.ts';
import type { SourceLimits } from '../source.ts';
import type { SourceTransport } from '../transport.ts';
import { conditionsOf } from './fetch.ts';
import type { DocumentValidators, Resolution } from './question.ts';

export interface FileRequest {
  declared: DeclaredHeaders;
  declaredFor: string | undefined;
  transport: SourceTransport;
  limits: SourceLimits;
  clock: Clock;
  random: Random;
  signal: AbortSignal;
}

const firstByteMs = 30_000;
const longestMs = 24 * 3_600_000;
/** Fewer bytes a second would take a day for a small image, and keep others waiting. */
const slowestBytesPerMs = 64;

/** Whether the file has the validators still. Without any it has to be read to find out. */
export async function isUnchanged(url: string, validators: DocumentValidators, request: FileRequest): Promise<boolean> {
  const conditions = conditionsOf(validators);
  if (Object.keys(conditions).length === 0) return false;
  const { limits: _, random: __, ...common } = request;
  const options = { ...common, url, range: conditions, hasDigest: false, firstByteMs };
  const { url: end, response, withheld } = await fetchFollowing(options);
  const { status, header, body } = response;
  body.destroy();
  if (status === 304) return true;
  if (status !== 200) throw statusError(end, response, withheld);
  // Some servers ignore conditions.
  const { etag, lastModified } = validators;
  return etag === undefined ? header('last-modified') === lastModified : header('etag') === etag;
}

/** Throws SourceError, EgressRefused, ProxyDenied, or the signal's reason. */
export async function readFile(url: string, request: FileRequest): Promise<Resolution> {
  const { declared: headers, limits, clock, random, transport, signal } = request;
  const stallBytes = Math.max(limits.stallBytes, limits.stallWindowMs * slowestBytesPerMs);
  const bounds = { ...limits, stallBytes, totalMs: longestMs };
  const options = { headers, transport, clock, random, signal, limits: bounds, hasDigest: false };
  const source = await openHttpSource({ ...options, urls: [url] });
  const hash = createHash('sha512');
  for await (const chunk of source.body) {
    if (!source.isAdmitted) throw notNamed(url);
    hash.update(chunk);
  }
  if (!source.endIsCertain)
    throw new SourceError(
      'SourceInvalid',
      `${safeUrl(source.url)} announces no length, so a truncated download would look complete: declare a digest`,
    );
  const validators = compact({
    etag: kept(source.validators.etag),
    lastModified: kept(source.validators.lastModified),
  });
  return { url, digest: `sha512:${hash.digest('hex')}`, validators };
}

/** They are kept in the status. */
function kept(validator: string | undefined): string | undefined {
  return validator !== undefined && /^[\x20-\x7e]{1,512}$/.test(validator) ? validator : undefined;
}

function notNamed(url: string): OperatorError {
  return new OperatorError(
    `${safeUrl(url)} is not at a public address, and digestFrom.firstUse takes any file: declare a digest, or have the host itself, and not only its network, named in --source-allow (chart: settings.sourceAllow)`,
    { code: 'EgressRefused' },
  );
}
