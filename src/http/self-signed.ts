/**
 * A self-signed certificate for a server that has none: it encrypts, and proves nothing. Node can read certificates and not make
 * them, so this writes the DER of RFC 5280. Invariant: the key exists in this process only.
 */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

/** PEM. */
export interface CertificatePair {
  cert: string;
  key: string;
}

const tags = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  sequence: 0x30,
  set: 0x31,
  utcTime: 0x17,
  version: 0xa0,
  extensions: 0xa3,
  dnsName: 0x82,
} as const;

const oids = {
  ecdsaWithSHA256: '2a8648ce3d040302',
  commonName: '550403',
  subjectAltName: '551d11',
} as const;

/** Between now and `years` later. The name is a host name. */
export function selfSigned(name: string, now: Date, years = 10): CertificatePair {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = der('sequence', der('oid', Buffer.from(oids.ecdsaWithSHA256, 'hex')));
  const subject = der('sequence', der('set', named(oids.commonName, der('utf8', Buffer.from(name)))));
  const until = new Date(now);
  until.setUTCFullYear(now.getUTCFullYear() + years);
  const alternative = der('octets', der('sequence', der('dnsName', Buffer.from(name))));
  const content = der(
    'sequence',
    der('version', integer(Buffer.of(2))),
    // The first byte is positive and not 0, as DER requires of a positive number.
    integer(Buffer.concat([Buffer.of(1), randomBytes(15)])),
    algorithm,
    subject,
    der('sequence', utcTime(now), utcTime(until)),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    der('extensions', der('sequence', named(oids.subjectAltName, alternative))),
  );
  return { cert: pem(der('sequence', content, algorithm, signature(content, privateKey))), key: keyOf(privateKey) };
}

function keyOf(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** A bit string, whose first byte is the number of unused bits. */
function signature(content: Buffer, key: KeyObject): Buffer {
  return der('bits', Buffer.of(0), sign('sha256', content, { key, dsaEncoding: 'der' }));
}

function named(oid: string, value: Buffer): Buffer {
  return der('sequence', der('oid', Buffer.from(oid, 'hex')), value);
}

function integer(value: Buffer): Buffer {
  return der('integer', value);
}

/** Two digits for the year: until 2049. */
function utcTime(date: Date): Buffer {
  return der(
    'utcTime',
    Buffer.from(
      `${date
        .toISOString()
        .replace(/\.\d+|[-:T]/g, '')
        .slice(2)}`,
    ),
  );
}

function der(tag: keyof typeof tags, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.of(tags[tag], ...lengthOf(content.length)), content]);
}

function lengthOf(length: number): number[] {
  if (length < 0x80) return [length];
  return length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
}

function pem(certificate: Buffer): string {
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
