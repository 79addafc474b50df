/**
 * The public keys that a user trusts: which of them may sign data at a given time, and why others may not.
 *
 * Guarantees: a key counts only with a valid signature of its own, and a subkey only if it and its primary key have signed that they
 * belong together; both are what OpenPGP.js finds. A key that was revoked counts for nothing, whatever the reason and the time of the
 * revocation. The work is bounded: by the signatures that keys have made of themselves, and by the length of their numbers, because
 * the library takes numbers of any length.
 */
import type { Key, SignaturePacket, Subkey } from 'openpgp';
import { type Library, library, readPackets } from './packets.ts';

/** A primary key, or one of its subkeys. */
export interface Signer {
  packet: Parameters<SignaturePacket['verify']>[0];
  /** 40 hex digits, or 64 of a key of version 6, upper case. */
  fingerprint: string;
  /** That of the primary key, by which people know the key. */
  primary: string;
  createdAt: Date;
  strength: 'usual' | 'short' | 'notSupported';
  state: 'valid' | 'revoked' | 'expired' | 'unusable';
}

type LibraryConfig = Library['config'];

const tags = { secretKey: 5, secretSubkey: 7 } as const;

/** Signatures that are verified for each key and subkey of a file. Keys renew theirs every few years. */
const mostVerifications = 1024;
/** Verification with longer numbers takes long. */
const [shortestRSA, longestRSA, longestExponentBytes] = [2048, 8192, 8];

/** The keys of a file, armoured or binary; undefined if it is no file of public keys. A file with a private key is none. */
export async function readKeyring(file: Uint8Array, now: Date): Promise<Signer[] | undefined> {
  const packets = await readPackets(file);
  if (packets === undefined || packets.some(({ tag }) => tag === tags.secretKey || tag === tags.secretSubkey))
    return undefined;
  const openpgp = await library();
  const config = configOf(openpgp);
  const binaryKeys = Buffer.concat(packets.map(({ bytes }) => bytes));
  const keys = await openpgp.readKeys({ binaryKeys, config }).catch(() => []);
  if (keys.reduce((sum, key) => sum + verificationsOf(key, openpgp), 0) > mostVerifications) return undefined;
  const signers: Signer[] = [];
  for (const key of keys) signers.push(...(await signersOf(key, openpgp, config, now)));
  return signers.length === 0 ? undefined : signers;
}

/**
 * Old keys have signatures of their own with sha1. The user who names a key trusts it as such: to forge them, its owner would have to
 * be attacked before. Keys from before flags have none, and may sign. Short keys are rejected by name, in the verdict.
 */
function configOf({ config }: Library): LibraryConfig {
  return { ...config, ignoreMalformedPackets: true, allowMissingKeyFlags: true, minRSABits: 0 };
}

/** Signatures of others are not verified. */
function verificationsOf(key: Key, { enums }: Library): number {
  const all = key.toPacketList().filterByTag(enums.packet.signature).length;
  const others = key.users.reduce((sum, user) => sum + user.otherCertifications.length, 0);
  return (1 + key.subkeys.length) * (all - others);
}

async function signersOf(key: Key, openpgp: Library, config: LibraryConfig, now: Date): Promise<Signer[]> {
  const primary = key.getFingerprint().toUpperCase();
  const parts: (Key | Subkey)[] = [key, ...key.subkeys];
  const signers: Signer[] = [];
  for (const part of parts) {
    // Nothing is verified with a primary key whose numbers may be of any length.
    const strength = strengthOf(key) === 'notSupported' ? 'notSupported' : strengthOf(part);
    signers.push({
      packet: part.keyPacket,
      fingerprint: part.getFingerprint().toUpperCase(),
      primary,
      createdAt: part.getCreationTime(),
      strength,
      state: strength === 'notSupported' ? 'unusable' : await stateOf(part, key, openpgp, config, now),
    });
  }
  return signers;
}

async function stateOf(
  part: Key | Subkey,
  key: Key,
  { enums }: Library,
  config: LibraryConfig,
  now: Date,
): Promise<Signer['state']> {
  const primary = key.keyPacket;
  const { keyRevocation, subkeyRevocation } = enums.signature;
  const hasRevoked = async (signatures: readonly SignaturePacket[], type: number, data: object) => {
    for (const one of signatures) if (await isMadeBy(one, primary, type, data, config)) return true;
    return false;
  };
  if (await hasRevoked(key.revocationSignatures, keyRevocation, { key: primary })) return 'revoked';
  const isSubkey = part !== key;
  if (
    isSubkey &&
    (await hasRevoked(part.revocationSignatures, subkeyRevocation, { key: primary, bind: part.keyPacket }))
  )
    return 'revoked';
  const signing = await key.getSigningKey(part.getKeyID(), now, undefined, config).catch(() => undefined);
  if (signing?.getFingerprint() === part.getFingerprint()) return 'valid';
  const expiries = [
    await key.getExpirationTime(undefined, config),
    ...(isSubkey ? [await expiryOf(part, config, now)] : []),
  ];
  return expiries.some((at) => at !== null && Number(at) <= now.getTime()) ? 'expired' : 'unusable';
}

function expiryOf(part: Key | Subkey, config: LibraryConfig, now: Date): ReturnType<Subkey['getExpirationTime']> {
  return 'mainKey' in part ? part.getExpirationTime(now, config) : part.getExpirationTime(undefined, config);
}

/** Whether `packet` made this signature of `data`. It says nothing about times, and nothing about what the key is for. */
export async function isMadeBy(
  signature: SignaturePacket,
  packet: Signer['packet'],
  type: Parameters<SignaturePacket['verify']>[1],
  data: object,
  config: LibraryConfig,
): Promise<boolean> {
  const isAnyHash = {
    ...config,
    rejectHashAlgorithms: new Set<never>(),
    rejectMessageHashAlgorithms: new Set<never>(),
  };
  return signature.verify(packet, type, data, signature.created ?? undefined, true, isAnyHash).then(
    () => true,
    () => false,
  );
}

function strengthOf(part: Key | Subkey): Signer['strength'] {
  const { algorithm, bits = 0 } = part.getAlgorithmInfo();
  switch (algorithm) {
    case 'rsaEncryptSign':
    case 'rsaSign': {
      const { publicParams } = part.keyPacket;
      const exponent = 'e' in publicParams && publicParams.e instanceof Uint8Array ? publicParams.e.length : 0;
      if (bits > longestRSA || exponent > longestExponentBytes) return 'notSupported';
      return bits < shortestRSA ? 'short' : 'usual';
    }
    case 'ecdsa':
    case 'eddsaLegacy':
    case 'ed25519':
    case 'ed448':
      return 'usual';
    default:
      return 'notSupported';
  }
}
