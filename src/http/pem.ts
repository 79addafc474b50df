/**
 * Certificates in PEM form. Node ignores an unreadable certificate in a bundle, and trusts no authority if none is
 * left; the user would then look for the error at the server.
 *
 * Guarantees: the certificates are found in whatever text is around them; TLS finds only those that begin and end a line, so give it
 * each certificate, never the text. The time is linear in the length of any text.
 */
import { X509Certificate } from 'node:crypto';

export type PemCertificates =
  | { kind: 'certificates'; certificates: readonly [X509Certificate, ...X509Certificate[]] }
  | { kind: 'none' }
  /** The certificate with this number, counted from 1, cannot be read. */
  | { kind: 'unreadable'; number: number; of: number; error: unknown };

/** All certificates of a PEM text, in order. Text around them is ignored. */
export function readPemCertificates(pem: string): PemCertificates {
  const blocks = blocksOf(pem);
  const certificates: X509Certificate[] = [];
  for (const [index, block] of blocks.entries()) {
    try {
      certificates.push(new X509Certificate(block));
    } catch (error) {
      return { kind: 'unreadable', number: index + 1, of: blocks.length, error };
    }
  }
  const [first, ...others] = certificates;
  return first === undefined ? { kind: 'none' } : { kind: 'certificates', certificates: [first, ...others] };
}

const begin = '-----BEGIN CERTIFICATE-----';
const end = '-----END CERTIFICATE-----';

/** From each beginning to the next end. A regular expression would search for the end of each beginning again where there is none. */
function blocksOf(pem: string): string[] {
  const blocks: string[] = [];
  for (let from = pem.indexOf(begin); from !== -1; ) {
    const last = pem.indexOf(end, from);
    if (last === -1) break;
    blocks.push(pem.slice(from, last + end.length));
    from = pem.indexOf(begin, last);
  }
  return blocks;
}
