/**
 * Signatures of OpenPGP, version 4, and their check with one key.
 *
 * Guarantees: times and purposes come from the part of the signature that is itself signed; the name of the key does not, and the check
 * proves it; a signature with a critical part that is not known here fits no key.
 */
import { readerOf, readSubpackets, type Subpacket } from './packets.ts';
import { fitsKey, type PublicKey } from './public-key.ts';

export interface PGPSignature {
  type: number;
  /** By Node's name; undefined for a hash that is not known here. */
  hash: string | undefined;
  /** A hash with which two texts of one signature can be constructed. */
  isWeak: boolean;
  createdAt: Date;
  /** Seconds after `createdAt`; undefined or 0: never. */
  expiresAfter: number | undefined;
  /** Of the key that it is about: seconds after that key was created. */
  keyExpiresAfter: number | undefined;
  /** What the key is for: 1 certifies, 2 signs. Undefined if it does not say. */
  keyFlags: number | undefined;
  /** The last 16 or all 40 digits of the fingerprint of the key. */
  issuer: string | undefined;
  /** A signature of a subkey, which shows that its owner wants to belong to the primary key. */
  embedded: Buffer | undefined;
  hasUnknownParts: boolean;
  /** What is hashed behind the data. */
  trailer: Buffer;
  material: Buffer;
}

const hashes: Readonly<Record<number, { name: string; isWeak: boolean }>> = {
  1: { name: 'md5', isWeak: true },
  2: { name: 'sha1', isWeak: true },
  3: { name: 'ripemd160', isWeak: true },
  8: { name: 'sha256', isWeak: false },
  9: { name: 'sha384', isWeak: false },
  10: { name: 'sha512', isWeak: false },
  11: { name: 'sha224', isWeak: false },
  12: { name: 'sha3-256', isWeak: false },
  14: { name: 'sha3-512', isWeak: false },
};

const part = {
  created: 2,
  expires: 3,
  exportable: 4,
  keyExpires: 9,
  issuer: 16,
  keyFlags: 27,
  embedded: 32,
  issuerFingerprint: 33,
} as const;

/** Parts that may be critical: those that are read here, and those that change nothing here (preferences, reasons, notices). */
const known: ReadonlySet<number> = new Set([
  ...Object.values(part),
  5,
  7,
  11,
  21,
  22,
  23,
  24,
  25,
  26,
  28,
  29,
  30,
  31,
  34,
  35,
]);

/** Undefined for another version, or for a packet that cannot be read. */
export function readSignature(body: Buffer): PGPSignature | undefined {
  const reader = readerOf(body);
  const [version, type, , hashID] = [reader.number(1), reader.number(1), reader.number(1), reader.number(1)];
  const hashedLength = reader.number(2);
  if (version !== 4 || type === undefined || hashID === undefined || hashedLength === undefined) return undefined;
  const hashedArea = reader.bytes(hashedLength);
  const unhashedLength = reader.number(2);
  const unhashedArea = unhashedLength === undefined ? undefined : reader.bytes(unhashedLength);
  const check = reader.number(2);
  const hashed = hashedArea && readSubpackets(hashedArea);
  const unhashed = unhashedArea && readSubpackets(unhashedArea);
  if (hashed === undefined || unhashed === undefined || check === undefined) return undefined;
  const created = numberIn(hashed, part.created);
  if (created === undefined) return undefined;
  const signedPart = body.subarray(0, 6 + hashedLength);
  const end = Buffer.from([4, 0xff, 0, 0, 0, 0]);
  end.writeUInt32BE(signedPart.length, 2);
  const all = [...hashed, ...unhashed];
  return {
    type,
    hash: hashes[hashID]?.name,
    isWeak: hashes[hashID]?.isWeak ?? false,
    createdAt: new Date(created * 1000),
    expiresAfter: numberIn(hashed, part.expires),
    keyExpiresAfter: numberIn(hashed, part.keyExpires),
    keyFlags: contentOf(hashed, part.keyFlags)?.[0],
    issuer: issuerIn(all),
    embedded: contentOf(all, part.embedded),
    hasUnknownParts: hashed.some(({ type: kind, isCritical }) => isCritical && !known.has(kind)),
    trailer: Buffer.concat([signedPart, end]),
    material: reader.rest(),
  };
}

function contentOf(subpackets: readonly Subpacket[], type: number): Buffer | undefined {
  return subpackets.find((one) => one.type === type)?.content;
}

function numberIn(subpackets: readonly Subpacket[], type: number): number | undefined {
  const content = contentOf(subpackets, type);
  return content?.length === 4 ? content.readUInt32BE(0) : undefined;
}

function issuerIn(subpackets: readonly Subpacket[]): string | undefined {
  // The first byte is the version of the key.
  const fingerprint = contentOf(subpackets, part.issuerFingerprint)?.subarray(1);
  const id = fingerprint ?? contentOf(subpackets, part.issuer);
  return id?.toString('hex').toUpperCase();
}

export function isFrom({ issuer }: PGPSignature, { fingerprint }: PublicKey): boolean {
  return issuer === undefined || (issuer.length >= 16 && fingerprint.endsWith(issuer));
}

/** Whether `key` made this signature of `data`. It says nothing about times, and nothing about what the key is for. */
export function isMadeBy(signature: PGPSignature, { key }: PublicKey, data: Buffer): boolean {
  const { hash, trailer, material, hasUnknownParts } = signature;
  if (key === undefined || hash === undefined || hasUnknownParts) return false;
  return fitsKey(key, hash, Buffer.concat([data, trailer]), material);
}

/** Whether a time of validity, in seconds after `from`, is over. */
export function isOver(from: Date, seconds: number | undefined, now: Date): boolean {
  return seconds !== undefined && seconds !== 0 && from.getTime() + seconds * 1000 <= now.getTime();
}
