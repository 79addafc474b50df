/**
 * Certificates and keys in a Secret. Node ignores a malformed bundle silently, or reports it in the middle of a connection. Here it
 * is reported before, in a sentence that never contains the text.
 */
import { createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto';
import { readPemCertificates } from '../http/pem.ts';
import { unreachable } from '../lib/errors.ts';
import { SecretString } from '../lib/secret.ts';
import { ConfigurationError } from './errors.ts';

export interface ClientCertificate {
  /** PEM: the certificate, then those between it and its authority. */
  cert: string;
  /** PEM. */
  key: SecretString;
}

/** Node treats a malformed bundle as an empty one, and then trusts no server. */
export function readableCa(pem: string): string {
  certificatesIn('cacert', pem);
  return pem;
}

/** Both or none. */
export function clientCertificate(cert: string | undefined, key: string | undefined): ClientCertificate | undefined {
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined) throw wrong('the Secret has a key without a cert: a client certificate needs both');
  if (key === undefined) throw wrong('the Secret has a cert without a key: a client certificate needs both');
  const [first] = certificatesIn('cert', cert);
  if (!first.checkPrivateKey(privateKeyIn(key))) throw wrong('key is not the private key of the certificate in cert');
  return { cert, key: new SecretString(key) };
}

function certificatesIn(name: string, pem: string): readonly [X509Certificate, ...X509Certificate[]] {
  const read = readPemCertificates(pem);
  switch (read.kind) {
    case 'certificates':
      return read.certificates;
    case 'none':
      throw wrong(`${name} contains no certificate in PEM form`);
    case 'unreadable':
      throw wrong(`${name} contains a certificate that cannot be read`);
    default:
      return unreachable(read);
  }
}

function privateKeyIn(pem: string): KeyObject {
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED/.test(pem)) {
    throw wrong('key is encrypted with a passphrase: put it into the Secret without one');
  }
  try {
    return createPrivateKey(pem);
  } catch {
    throw wrong('key contains no private key in PEM form');
  }
}

function wrong(problem: string): ConfigurationError {
  return new ConfigurationError('SecretInvalid', problem);
}
