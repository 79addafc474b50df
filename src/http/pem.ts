/**
 * Certificates in PEM form. Node ignores an unreadable certificate in a bundle, and trusts no authority if none is
 * left; the user would then look for the error at the server.
 *
 * Guarantees: the certificates are found in whatever text is around them, under each name that TLS reads; TLS finds only those that begin
 * and end a line, so give it each certificate, never the text. The time is linear in the length of any text.
 */
import { X509Certificate } from 'node:crypto';

export interface PemCertificate {
  read: X509Certificate;
  /** For TLS, which trusts the certificate. OpenSSL can write next to one for what it is not trusted, and TLS obeys that. */
  pem: string;
}

export type PemCertificates =
  | { kind: 'certificates'; certificates: readonly [PemCertificate, ...PemCertificate[]] }
  | { kind: 'none' }
  /** The certificate with this number, counted from 1, cannot be read. */
  | { kind: 'unreadable'; number: number; of: number; error: unknown };

/** All certificates of a PEM text, in order. Text around them is ignored. */
export function readPemCertificates(pem: string): PemCertificates {
  const blocks = blocksOf(pem);
  const certificates: PemCertificate[] = [];
  for (const [index, block] of blocks.entries()) {
    try {
      certificates.push({ read: new X509Certificate(block), pem: `${block}\n` });
    } catch (error) {
      return { kind: 'unreadable', number: index + 1, of: blocks.length, error };
    }
  }
  const [first, ...others] = certificates;
  return first === undefined ? { kind: 'none' } : { kind: 'certificates', certificates: [first, ...others] };
}

/** `TRUSTED`: with its uses behind it. `X509`: an old name. */
const border = /-----(BEGIN|END) (?:TRUSTED |X509 )?CERTIFICATE-----/g;

/** From each beginning to the next end. */
function blocksOf(pem: string): string[] {
  const blocks: string[] = [];
  let from: number | undefined;
  for (const { 0: line, 1: side, index } of pem.matchAll(border)) {
    if (side === 'BEGIN') from ??= index;
    else if (from !== undefined) {
      blocks.push(pem.slice(from, index + line.length));
      from = undefined;
    }
  }
  return blocks;
}
