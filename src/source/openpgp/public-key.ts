/** Public keys of OpenPGP, version 4, as keys of Node. Invariant: a key of a kind that is not known here verifies nothing. */
import { createHash, createPublicKey, type JsonWebKey, type KeyObject, verify } from 'node:crypto';
import { type PacketReader, readerOf } from './packets.ts';

export interface PublicKey {
  /** The packet without its header: signatures of keys cover it. */
  body: Buffer;
  /** 40 hex digits, upper case. */
  fingerprint: string;
  createdAt: Date;
  key: VerifyingKey | undefined;
}

type VerifyingKey =
  | { kind: 'rsa'; bits: number; key: KeyObject }
  /** `size`: of one coordinate in bytes. */
  | { kind: 'ecdsa'; size: number; key: KeyObject }
  /** `isLegacy`: its signature is two numbers of any length. */
  | { kind: 'eddsa'; isLegacy: boolean; size: number; key: KeyObject };

/** Undefined for another version, or for a packet that cannot be read. */
export function readPublicKey(body: Buffer): PublicKey | undefined {
  const reader = readerOf(body);
  const version = reader.number(1);
  const created = reader.number(4);
  const algorithm = reader.number(1);
  if (version !== 4 || created === undefined || algorithm === undefined || body.length > 0xffff) return undefined;
  const fingerprint = createHash('sha1').update(prefixed(body)).digest('hex').toUpperCase();
  return { body, fingerprint, createdAt: new Date(created * 1000), key: verifyingKey(algorithm, reader) };
}

/** As fingerprints and signatures of keys cover it. */
export function prefixed(body: Buffer): Buffer {
  const header = Buffer.from([0x99, 0, 0]);
  header.writeUInt16BE(body.length, 1);
  return Buffer.concat([header, body]);
}

const curves: Readonly<Record<string, { crv: string; size: number }>> = {
  '2a8648ce3d030107': { crv: 'P-256', size: 32 },
  '2b81040022': { crv: 'P-384', size: 48 },
  '2b81040023': { crv: 'P-521', size: 66 },
};
const legacyEd25519 = '2b06010401da470f01';

function verifyingKey(algorithm: number, reader: PacketReader): VerifyingKey | undefined {
  switch (algorithm) {
    case 1:
    case 3:
      return rsaKey(reader);
    case 19:
      return ecdsaKey(reader);
    case 22:
      return legacyKey(reader);
    case 27:
      return edwardsKey(reader.bytes(32), 'Ed25519', 32, false);
    case 28:
      return edwardsKey(reader.bytes(57), 'Ed448', 57, false);
    default:
      return undefined;
  }
}

function rsaKey(reader: PacketReader): VerifyingKey | undefined {
  const [n, e] = [reader.integer(), reader.integer()];
  if (n === undefined || e === undefined || e.length > 8) return undefined;
  const key = imported({ kty: 'RSA', n: n.toString('base64url'), e: e.toString('base64url') });
  const bits = key?.asymmetricKeyDetails?.modulusLength ?? 0;
  // Verification with a longer one takes long.
  return key === undefined || bits > 16_384 ? undefined : { kind: 'rsa', bits, key };
}

function ecdsaKey(reader: PacketReader): VerifyingKey | undefined {
  const curve = curves[curveOf(reader)];
  const point = reader.integer();
  if (curve === undefined || point === undefined || point[0] !== 4 || point.length !== 1 + 2 * curve.size)
    return undefined;
  const { crv, size } = curve;
  const [x, y] = [point.subarray(1, 1 + size), point.subarray(1 + size)];
  const key = imported({ kty: 'EC', crv, x: x.toString('base64url'), y: y.toString('base64url') });
  return key && { kind: 'ecdsa', size, key };
}

function legacyKey(reader: PacketReader): VerifyingKey | undefined {
  if (curveOf(reader) !== legacyEd25519) return undefined;
  const point = reader.integer();
  return point?.[0] === 0x40 && point.length === 33 ? edwardsKey(point.subarray(1), 'Ed25519', 32, true) : undefined;
}

function edwardsKey(point: Buffer | undefined, crv: string, size: number, isLegacy: boolean): VerifyingKey | undefined {
  const key = point && imported({ kty: 'OKP', crv, x: point.toString('base64url') });
  return key && { kind: 'eddsa', isLegacy, size, key };
}

function curveOf(reader: PacketReader): string {
  const length = reader.number(1);
  return length === undefined ? '' : (reader.bytes(length)?.toString('hex') ?? '');
}

/** OpenSSL rejects numbers that are no key. */
function imported(key: JsonWebKey): KeyObject | undefined {
  try {
    return createPublicKey({ key, format: 'jwk' });
  } catch {
    return undefined;
  }
}

/** Keys that can be factored with the means of a few. */
export function isTooShort({ key }: PublicKey): boolean {
  return key?.kind === 'rsa' && key.bits < 2048;
}

/** `material`: the numbers of the signature. `hash`: by Node's name. */
export function fitsKey(verifying: VerifyingKey, hash: string, data: Buffer, material: Buffer): boolean {
  try {
    const reader = readerOf(material);
    switch (verifying.kind) {
      case 'rsa': {
        const value = padded(reader.integer(), Math.ceil(verifying.bits / 8));
        return value !== undefined && verify(hash, data, verifying.key, value);
      }
      case 'ecdsa': {
        const value = pairOf(reader, verifying.size);
        return value !== undefined && verify(hash, data, { key: verifying.key, dsaEncoding: 'ieee-p1363' }, value);
      }
      case 'eddsa': {
        const { isLegacy, size, key } = verifying;
        const value = isLegacy ? pairOf(reader, size) : reader.bytes(2 * size);
        return value !== undefined && verify(null, createHash(hash).update(data).digest(), key, value);
      }
    }
  } catch {
    // OpenSSL rejects the numbers as such.
    return false;
  }
}

function pairOf(reader: PacketReader, size: number): Buffer | undefined {
  const [first, second] = [padded(reader.integer(), size), padded(reader.integer(), size)];
  return first === undefined || second === undefined ? undefined : Buffer.concat([first, second]);
}

function padded(number: Buffer | undefined, size: number): Buffer | undefined {
  if (number === undefined || number.length > size) return undefined;
  return Buffer.concat([Buffer.alloc(size - number.length), number]);
}
