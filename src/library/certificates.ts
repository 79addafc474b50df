/**
 * The sources of certificates for image signatures. They check neither dates nor issuers; see signature-verifier.ts for
 * the reason.
 *
 * Invariant: a source returns a readable certificate, or it throws CertificateUnavailable, whose `retry` distinguishes
 * a passing fault from one that a user has to fix. Every read has a bound.
 */
import { X509Certificate } from 'node:crypto';
import { readBounded } from '../http/body.ts';
import { DeadlineExceeded, withDeadline } from '../lib/abort.ts';
import { BoundedMap } from '../lib/bounded-map.ts';
import { type Clock, systemClock } from '../lib/clock.ts';
import { describe, responseFieldsOf, unreachable } from '../lib/errors.ts';
import { ConnectionFailed, HttpFailure, quoteFailure } from '../openstack/errors.ts';
import type { Session } from '../openstack/session.ts';
import { checkPems } from './check.ts';
import { CertificateUnavailable } from './signature-errors.ts';

export interface CertificateStore {
  /** Throws CertificateUnavailable, the errors of a session that cannot reach the key manager, or the signal's reason. */
  get(id: string, signal: AbortSignal): Promise<X509Certificate>;
}

/** Barbican's own limit for a secret is 20 000 bytes unless it is configured otherwise. */
const maxPayloadBytes = 64 * 1024;
/** For the whole response, so that a key manager cannot send it byte by byte. */
const readMs = 60_000;

/** The certificates in the key manager of a cloud. An id is the UUID of a secret, or a reference to it, which ends in the UUID. */
export function barbicanCertificates(session: Pick<Session, 'download'>, clock: Clock = systemClock): CertificateStore {
  return {
    async get(id, signal) {
      const uuid = /(?:^|\/)([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/?$/i.exec(id)?.[1];
      if (uuid === undefined) {
        throw new CertificateUnavailable(`not the id of a secret, which is a UUID: ${JSON.stringify(id.slice(0, 64))}`);
      }
      const read = async (within: AbortSignal) => {
        const response = await session.download('key-manager', {
          operation: 'readPayload',
          path: `/secrets/${uuid}/payload`,
          // The one type in which Barbican returns every secret, as its bytes; it rejects application/pkix-cert.
          headers: { accept: 'application/octet-stream' },
          signal: within,
        });
        const payload = await payloadOf(response.body, uuid);
        within.throwIfAborted();
        return certificateIn(payload, uuid);
      };
      try {
        return await withDeadline(clock, 'the response of the key manager', readMs, signal, read);
      } catch (error) {
        throw unavailable(error, uuid);
      }
    },
  };
}

/**
 * Certificates from the caller: PEM by id. Throws CertificateUnavailable for one that cannot be parsed, and InvalidRequest for what is
 * no Map of texts.
 */
export function fixedCertificates(pems: ReadonlyMap<string, string>): CertificateStore {
  checkPems(pems);
  const certificates = new Map([...pems].map(([id, pem]) => [id, certificateIn(Buffer.from(pem), id)]));
  return {
    async get(id) {
      const certificate = certificates.get(id);
      if (certificate === undefined) throw new CertificateUnavailable(`there is no certificate with the id ${id}`);
      return certificate;
    },
  };
}

export interface CertificateCacheOptions {
  clock: Clock;
  /** Default 100. The least recently used one is dropped first. */
  maxEntries?: number;
  /** How long a certificate is used without another request, in milliseconds. Default 10 minutes. */
  maxAgeMs?: number;
}

/**
 * Caches the certificates of a store. A secret never changes in Barbican, but it can be deleted or access to it revoked, which
 * is noticed at the end of the age. Failures are not cached.
 */
export function cachedCertificates(store: CertificateStore, options: CertificateCacheOptions): CertificateStore {
  const { clock, maxEntries = 100, maxAgeMs = 10 * 60_000 } = options;
  /** In the order of their last use. */
  const entries = new BoundedMap<string, { certificate: X509Certificate; since: number }>(maxEntries);
  return {
    async get(id, signal) {
      const cached = entries.get(id);
      const entry =
        cached !== undefined && clock.monotonic() - cached.since < maxAgeMs
          ? cached
          : { certificate: await store.get(id, signal), since: clock.monotonic() };
      entries.set(id, entry);
      return entry.certificate;
    },
  };
}

async function payloadOf(body: AsyncIterable<Uint8Array>, id: string): Promise<Uint8Array> {
  const payload = await readBounded(body, maxPayloadBytes);
  switch (payload.end) {
    case 'complete':
      return payload.bytes;
    case 'limit':
      throw new CertificateUnavailable(`${id} is not an X.509 certificate: it is larger than ${maxPayloadBytes} bytes`);
    case 'failed':
      throw payload.error;
    default:
      return unreachable(payload);
  }
}

/** `bytes`: DER or PEM. */
function certificateIn(bytes: Uint8Array, id: string): X509Certificate {
  try {
    return new X509Certificate(bytes);
  } catch (error) {
    throw new CertificateUnavailable(`${id} is not an X.509 certificate in DER or PEM form`, {
      cause: error,
    });
  }
}

/** Errors that are not from the key manager (Keystone, an abort) are returned unchanged. */
function unavailable(error: unknown, id: string): unknown {
  if (error instanceof ConnectionFailed) {
    const message = `the key manager at ${error.origin} did not return certificate ${id}: ${describe(error.cause)}`;
    return new CertificateUnavailable(message, { cause: error }, 'KeyManagerUnavailable');
  }
  if (error instanceof DeadlineExceeded) {
    const message = `the key manager did not return certificate ${id}: ${error.message}`;
    return new CertificateUnavailable(message, { cause: error }, 'KeyManagerUnavailable');
  }
  if (!(error instanceof HttpFailure)) return error;
  const message = `the request for certificate ${id} failed: the key manager returned ${quoteFailure(error)}`;
  return new CertificateUnavailable(message, { cause: error, ...responseFieldsOf(error) }, codeOf(error));
}

function codeOf({ status }: HttpFailure) {
  const passing = status >= 500 || status === 408 || status === 429;
  return passing ? 'KeyManagerUnavailable' : 'CertificateUnavailable';
}
