/**
 * Certificates: private authorities that a user adds, and the explanation of an untrusted certificate.
 *
 * Guarantees: an error names the check that failed and a remedy; no check can be turned off here.
 */
import { readPemCertificates } from '../http/pem.ts';
import { describe, OperatorError, unreachable } from '../lib/errors.ts';

export interface CertificateProblem {
  /** The check that failed, as a clause. */
  check: string;
  /** What the user can do. */
  remedy: string;
}

const renew = 'the publisher has to renew it';
const rename = 'use the name that the certificate is made for, or have a certificate made for this one';
const trust = 'if it is signed by a private authority, put its certificate into a Secret and name that in caSecretRef';
const repair = 'the publisher has to repair it';

/** By the error codes of OpenSSL, as Node reports them. */
const problems: Record<string, CertificateProblem> = {
  CERT_HAS_EXPIRED: { check: 'it has expired', remedy: renew },
  CERT_NOT_YET_VALID: { check: 'it is not valid yet', remedy: 'check the clocks of both sides' },
  ERR_TLS_CERT_ALTNAME_INVALID: { check: 'it is made for another name', remedy: rename },
  HOSTNAME_MISMATCH: { check: 'it is made for another name', remedy: rename },
  DEPTH_ZERO_SELF_SIGNED_CERT: { check: 'it is signed by itself', remedy: trust },
  SELF_SIGNED_CERT_IN_CHAIN: { check: 'its authority is not known here', remedy: trust },
  UNABLE_TO_GET_ISSUER_CERT: { check: 'its authority is not known here', remedy: trust },
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: { check: 'its authority is not known here', remedy: trust },
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: {
    check: 'its authority is not known here, or the server leaves out a certificate in between',
    remedy: trust,
  },
  CERT_UNTRUSTED: { check: 'its authority is not trusted', remedy: trust },
  CERT_REVOKED: { check: 'it was revoked', remedy: renew },
  CERT_CHAIN_TOO_LONG: { check: 'its chain is too long', remedy: repair },
  PATH_LENGTH_EXCEEDED: { check: 'its chain is longer than its authority allows', remedy: repair },
  CERT_SIGNATURE_FAILURE: { check: 'its signature is wrong', remedy: repair },
  CERT_REJECTED: { check: 'its authority does not allow this use', remedy: repair },
  INVALID_CA: { check: 'it is signed by a certificate that is no authority', remedy: repair },
  INVALID_PURPOSE: { check: 'it is not made for servers', remedy: repair },
};

/** The problem of a certificate, by the code of the error; undefined if the error has another cause. */
export function certificateProblem(code: string): CertificateProblem | undefined {
  if (Object.hasOwn(problems, code)) return problems[code];
  // OpenSSL has dozens more, all with one of these in their names.
  return /(?:^|_)(?:CERT|CRL|ISSUER)(?:_|$)/.test(code) && !code.startsWith('ERR_')
    ? { check: 'a check of its chain failed', remedy: repair }
    : undefined;
}

/**
 * The certificates in a PEM text, each as a PEM text of its own. Throws SecretInvalid if there is none, or if one cannot be read:
 * TLS would ignore it silently.
 */
export function readCertificates(pem: string): string[] {
  const read = readPemCertificates(pem);
  switch (read.kind) {
    case 'certificates':
      return read.certificates.map(({ pem: certificate }) => certificate);
    case 'none':
      throw invalid('it holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)');
    case 'unreadable':
      throw invalid(`certificate ${read.number} of ${read.of} cannot be read: ${describe(read.error)}`);
    default:
      return unreachable(read);
  }
}

function invalid(why: string): OperatorError {
  return new OperatorError(`the Secret of caSecretRef cannot be used: ${why}`, {
    code: 'SecretInvalid',
  });
}
