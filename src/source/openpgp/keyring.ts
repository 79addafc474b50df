/**
 * The public keys that a user trusts: which of them may sign data, and until when.
 *
 * Guarantees: a key counts only with a valid signature of its own, and a subkey only if it and its primary key have signed that they
 * belong together. Everything else in a key file, such as signatures of others, counts for nothing.
 */
import { type Packet, readPackets } from './packets.ts';
import { type PublicKey, prefixed, readPublicKey } from './public-key.ts';
import { isFrom, isMadeBy, isOver, type PGPSignature, readSignature } from './signature.ts';

/** A primary key, or one of its subkeys. */
export interface Signer {
  key: PublicKey;
  /** By which people know the key. */
  primary: PublicKey;
  state: 'valid' | 'revoked' | 'expired' | 'notForSigning' | 'unproven';
}

interface Part {
  packet: Packet;
  signatures: PGPSignature[];
}

const tags = { signature: 2, secretKey: 5, publicKey: 6, secretSubkey: 7, userID: 13, subkey: 14 } as const;
const types = {
  certifications: [0x10, 0x11, 0x12, 0x13],
  subkeyBinding: 0x18,
  primaryBinding: 0x19,
  direct: 0x1f,
  keyRevocation: 0x20,
  subkeyRevocation: 0x28,
  certificationRevocation: 0x30,
} as const;

const signs = 2;
/** Keys renew their own signatures every few years. */
const mostOwnSignatures = 64;

/** The keys of a file, armoured or binary; undefined if it is no file of public keys. A file with a private key is none. */
export function readKeyring(file: Uint8Array, now: Date): Signer[] | undefined {
  const packets = readPackets(file);
  if (packets === undefined || packets.some(({ tag }) => tag === tags.secretKey || tag === tags.secretSubkey))
    return undefined;
  const signers = certificatesIn(packets).flatMap((parts) => signersOf(parts, now));
  return signers.length === 0 ? undefined : signers;
}

/** By primary key: its parts, each with the signatures that follow it. */
function certificatesIn(packets: readonly Packet[]): Part[][] {
  const certificates: Part[][] = [];
  for (const packet of packets) {
    const certificate = certificates.at(-1);
    if (packet.tag === tags.publicKey) certificates.push([{ packet, signatures: [] }]);
    else if (packet.tag !== tags.signature) certificate?.push({ packet, signatures: [] });
    else {
      const signature = readSignature(packet.body);
      if (signature !== undefined) certificate?.at(-1)?.signatures.push(signature);
    }
  }
  return certificates;
}

function signersOf([first, ...parts]: readonly Part[], now: Date): Signer[] {
  const primary = first && readPublicKey(first.packet.body);
  if (first === undefined || primary === undefined) return [];
  const state = primaryState(primary, first, parts, now);
  const subkeys = parts.flatMap((part) => {
    const key = part.packet.tag === tags.subkey ? readPublicKey(part.packet.body) : undefined;
    return key === undefined ? [] : [{ key, primary, state: subkeyState(primary, state, key, part, now) }];
  });
  return [{ key: primary, primary, state }, ...subkeys];
}

function primaryState(primary: PublicKey, { signatures }: Part, parts: readonly Part[], now: Date): Signer['state'] {
  const own = prefixed(primary.body);
  if (madeOf(signatures, [types.keyRevocation], primary, own).length > 0) return 'revoked';
  const direct = madeOf(signatures, [types.direct], primary, own);
  const certifications = parts.flatMap(({ packet, signatures: found }) => {
    if (packet.tag !== tags.userID) return [];
    const data = Buffer.concat([own, userIDHeader(packet.body), packet.body]);
    const revoked = latest(madeOf(found, [types.certificationRevocation], primary, data), now);
    const made = madeOf(found, types.certifications, primary, data);
    return made.filter(({ createdAt }) => revoked === undefined || createdAt > revoked.createdAt);
  });
  const newest = latest([...direct, ...certifications], now);
  if (newest === undefined) return 'unproven';
  if (isOver(primary.createdAt, newest.keyExpiresAfter, now)) return 'expired';
  return newest.keyFlags === undefined || (newest.keyFlags & signs) !== 0 ? 'valid' : 'notForSigning';
}

function subkeyState(
  primary: PublicKey,
  state: Signer['state'],
  key: PublicKey,
  { signatures }: Part,
  now: Date,
): Signer['state'] {
  if (state !== 'valid' && state !== 'notForSigning') return state;
  const both = Buffer.concat([prefixed(primary.body), prefixed(key.body)]);
  if (madeOf(signatures, [types.subkeyRevocation], primary, both).length > 0) return 'revoked';
  const binding = latest(madeOf(signatures, [types.subkeyBinding], primary, both), now);
  if (binding === undefined) return 'unproven';
  if (isOver(key.createdAt, binding.keyExpiresAfter, now)) return 'expired';
  if (((binding.keyFlags ?? 0) & signs) === 0) return 'notForSigning';
  // Without it, anyone could present the key of another person as a subkey of their own.
  const back = binding.embedded && readSignature(binding.embedded);
  return back?.type === types.primaryBinding && isMadeBy(back, key, both) ? 'valid' : 'unproven';
}

/** The signatures of these types that `by` made of `data`. */
function madeOf(
  signatures: readonly PGPSignature[],
  wanted: readonly number[],
  by: PublicKey,
  data: Buffer,
): PGPSignature[] {
  return signatures
    .filter((one) => wanted.includes(one.type) && one.issuer !== undefined && isFrom(one, by) && isAcceptable(one))
    .slice(-mostOwnSignatures)
    .filter((one) => isMadeBy(one, by, data));
}

/**
 * Old keys have signatures of their own with sha1. The user who names a key trusts it as such: to forge them, its owner would have to
 * be attacked before.
 */
function isAcceptable({ isWeak, hash }: PGPSignature): boolean {
  return !isWeak || hash === 'sha1';
}

function latest(signatures: readonly PGPSignature[], now: Date): PGPSignature | undefined {
  return signatures
    .filter(({ createdAt, expiresAfter }) => createdAt <= now && !isOver(createdAt, expiresAfter, now))
    .reduce<PGPSignature | undefined>(
      (best, one) => (best === undefined || one.createdAt >= best.createdAt ? one : best),
      undefined,
    );
}

function userIDHeader({ length }: Buffer): Buffer {
  const header = Buffer.from([0xb4, 0, 0, 0, 0]);
  header.writeUInt32BE(length, 1);
  return header;
}
