/**
 * TLS according to clouds.yaml and the keys of its Secret. Node ignores a malformed bundle silently, or reports it in the middle of
 * a connection. Here it is reported before, in a sentence that never contains the text.
 *
 * Guarantees: no file is opened; the keys of the Secret override PEM text in clouds.yaml.
 */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import * as z from 'zod';
import { type PemCertificate, readPemCertificates } from '../http/pem.ts';
import { clientProblem } from '../http/trust.ts';
import { unreachable } from '../lib/errors.ts';
import { SecretString } from '../lib/secret.ts';
import type { Fail } from './clouds-settings.ts';
import { ConfigurationError } from './errors.ts';

export interface TlsConfig {
  /** PEM. Undefined: the system's certificate authorities. */
  ca: string | undefined;
  /** Whether the certificate of the server is verified. */
  verify: boolean;
  client: ClientCertificate | undefined;
}

export interface ClientCertificate {
  /** PEM: the certificate, then those between it and its authority. */
  cert: string;
  /** PEM. */
  key: SecretString;
}

/** The keys of a Secret. */
export interface TlsFiles {
  /** PEM. Replaces the system's certificate authorities. */
  cacert?: string | undefined;
  /** PEM: the client certificate, with those between it and its authority. */
  cert?: string | undefined;
  /** PEM: the client certificate's private key. */
  key?: string | undefined;
}

const flag = z.string().transform((word, context) => {
  if (/^(?:true|yes|on|1)$/i.test(word)) return true;
  if (/^(?:false|no|off|0)$/i.test(word)) return false;
  context.addIssue({ code: 'custom', message: 'is neither true nor false' });
  return z.NEVER;
});

export const tlsShape = {
  verify: flag.optional(),
  insecure: flag.optional(),
  cacert: z.unknown().optional(),
  cert: z.unknown().optional(),
  key: z.unknown().optional(),
};
const tlsSchema = z.object(tlsShape);

/**
 * `usesTls`: whether an address in clouds.yaml is https.
 *
 * Cluster API's templates for OpenStack write a Secret whose clouds.yaml keeps the path of a certificate next to its text under the
 * key `cacert`, and a `cacert` of one line break where the cloud has none: the text counts, and an empty one is absent. A path
 * without a text is ignored where it would have no effect.
 */
export function tlsOf(s: z.infer<typeof tlsSchema>, files: TlsFiles, usesTls: boolean, fail: Fail): TlsConfig {
  const verify = s.insecure !== true && s.verify !== false;
  const pemOf = (name: keyof TlsFiles, hasEffect: boolean): string | undefined => {
    const [text, given] = [files[name], s[name]];
    if (text !== undefined && text.trim() !== '') return text;
    if (given === undefined) return undefined;
    if (typeof given === 'string' && given.includes('-----BEGIN ')) return given;
    if (!hasEffect) return undefined;
    throw fail(`${name} names a file, but files are not read: put the PEM text into the key ${name} of the Secret`);
  };
  const ca = pemOf('cacert', verify && usesTls);
  return {
    ca: ca === undefined ? undefined : readableCa(ca),
    verify,
    client: clientCertificate(pemOf('cert', usesTls), pemOf('key', usesTls)),
  };
}

/** Node treats a malformed bundle as an empty one, and then trusts no server. */
function readableCa(pem: string): string {
  return certificatesIn('cacert', pem)
    .map((certificate) => certificate.pem)
    .join('');
}

/** Both or none. */
function clientCertificate(cert: string | undefined, key: string | undefined): ClientCertificate | undefined {
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined) throw wrong('the Secret has a key without a cert: a client certificate needs both');
  if (key === undefined) throw wrong('the Secret has a cert without a key: a client certificate needs both');
  const certificates = certificatesIn('cert', cert);
  if (!certificates[0].read.checkPrivateKey(privateKeyIn(key)))
    throw wrong('key is not the private key of the certificate in cert');
  // Without the uses of each, which say nothing about one's own, and with which TLS would skip those after the first.
  const own = certificates.map(({ read }) => String(read)).join('');
  const client = { cert: own, key: new SecretString(key) };
  const problem = clientProblem(client);
  if (problem !== undefined) throw wrong(`the client certificate cannot be used: ${problem}`);
  return client;
}

function certificatesIn(name: string, pem: string): readonly [PemCertificate, ...PemCertificate[]] {
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
