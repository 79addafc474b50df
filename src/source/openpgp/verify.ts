/**
 * Whether a text was signed by one of the keys that a user trusts. OpenPGP.js reads the signatures and verifies each. The verdict is
 * from here, because `verify` of the library asks whether the key was valid when it signed. That rejects keys whose
 * time was extended since (https://github.com/openpgpjs/openpgpjs/issues/1800), and accepts those that have expired since.
 *
 * Guarantees: of a clearsigned text every block must be signed; a key that is revoked or expired today has signed nothing, whatever
 * time its signature has, because its thief could write any; of several good signatures the newest counts, in whatever order they are.
 */
import type { SignaturePacket } from 'openpgp';
import { type ClearsignedBlock, signedBytes } from './cleartext.ts';
import { isMadeBy, type Signer } from './keyring.ts';
import { type Library, library, readPackets, signatureTag } from './packets.ts';

export type SignatureFault =
  | 'SignatureMissing'
  | 'SignatureInvalid'
  | 'KeyExpired'
  | 'KeyRevoked'
  | 'SignerNotAllowed'
  | 'WeakHash';

export type SignatureVerdict =
  /** `signedBy`: the fingerprint of the primary key. */
  | { kind: 'good'; signedBy: string; signedAt: Date }
  /** `why` continues a sentence that begins with the signature. */
  | { kind: 'bad'; fault: SignatureFault; why: string };

type Bad = Extract<SignatureVerdict, { kind: 'bad' }>;

/** Some publishers sign with an old and a new key. */
const mostSignatures = 16;
/** Clocks differ. */
const aheadMs = 3_600_000;

export async function verifyClearsigned(
  blocks: readonly ClearsignedBlock[],
  signers: readonly Signer[],
  now: Date,
): Promise<SignatureVerdict> {
  let result: SignatureVerdict = missing;
  for (const [at, block] of blocks.entries()) {
    const verdict = await verifyWith({ bytes: signedBytes(block), block }, Buffer.from(block.signature), signers, now);
    if (verdict.kind === 'bad') return verdict;
    // The oldest says how old the text may be.
    if (at === 0 || (result.kind === 'good' && verdict.signedAt < result.signedAt)) result = verdict;
  }
  return result;
}

/** `signature`: a file of its own, armoured or binary. */
export function verifyDetached(
  data: Uint8Array,
  signature: Uint8Array,
  signers: readonly Signer[],
  now: Date,
): Promise<SignatureVerdict> {
  return verifyWith({ bytes: Buffer.from(data) }, signature, signers, now);
}

const missing: Bad = { kind: 'bad', fault: 'SignatureMissing', why: 'is no OpenPGP signature' };

/** What a signature has to cover. */
interface Signed {
  bytes: Buffer;
  /** Of a clearsigned text. */
  block?: ClearsignedBlock;
}

async function verifyWith(
  signed: Signed,
  signature: Uint8Array,
  signers: readonly Signer[],
  now: Date,
): Promise<SignatureVerdict> {
  const packets = (await readPackets(signature))?.filter(({ tag }) => tag === signatureTag) ?? [];
  if (packets.length === 0) return missing;
  const openpgp = await library();
  const verdicts: SignatureVerdict[] = [];
  for (const { bytes } of packets.slice(0, mostSignatures)) {
    verdicts.push(await verdictOn(await readOne(bytes, openpgp), signed, signers, openpgp, now));
  }
  return verdicts.reduce((best, one) => (isBefore(one, best) ? one : best), verdicts[0] ?? missing);
}

/** Whether `one` counts rather than `other`. A failure of a trusted key says more than one of another key. */
function isBefore(one: SignatureVerdict, other: SignatureVerdict): boolean {
  if (one.kind === 'bad') return other.kind === 'bad' && isOfTrusted(one) && !isOfTrusted(other);
  if (other.kind === 'bad') return true;
  const ms = one.signedAt.getTime() - other.signedAt.getTime();
  return ms === 0 ? one.signedBy < other.signedBy : ms > 0;
}

function isOfTrusted({ fault }: Bad): boolean {
  return fault !== 'SignerNotAllowed';
}

async function readOne(
  binarySignature: Uint8Array,
  { readSignature, SignaturePacket }: Library,
): Promise<SignaturePacket | undefined> {
  const read = await readSignature({ binarySignature }).catch(() => undefined);
  return read?.packets.find((packet) => packet instanceof SignaturePacket);
}

async function verdictOn(
  signature: SignaturePacket | undefined,
  { bytes, block }: Signed,
  signers: readonly Signer[],
  { enums, config, createMessage }: Library,
  now: Date,
): Promise<SignatureVerdict> {
  if (signature === undefined) return bad('SignatureInvalid', 'is of a version that is not supported, or damaged');
  const { signatureType: type } = signature;
  const { binary, text } = enums.signature;
  // Signatures of keys cover no file, and that of a clearsigned text covers the ends of its lines as they are in networks.
  if (type !== text && (type !== binary || block !== undefined))
    return bad('SignatureInvalid', 'is not a signature of a file or of a text');
  const issuer = issuerOf(signature);
  const name = `key ${issuer ?? 'without a name'}`;
  const named = signers.filter(({ fingerprint }) => issuer !== undefined && isNamedBy(issuer, fingerprint));
  if (named.length === 0) return bad('SignerNotAllowed', `is of ${name}, which is not among the keys of keysFrom`);
  const hash = Object.entries(enums.hash).find(([, number]) => number === signature.hashAlgorithm)?.[0];
  if (hash === undefined) return bad('SignatureInvalid', 'uses a hash that is not supported');
  if (block !== undefined && block.hashes.length > 0 && !block.hashes.includes(hash.toUpperCase().replace('_', '-')))
    return bad('SignatureInvalid', `of ${name} uses ${hash}, and the text announces another hash`);
  const usable = named.filter(({ strength }) => strength !== 'notSupported');
  if (usable.length === 0)
    return bad('SignatureInvalid', `is of ${name}, whose algorithm is not supported: rsa, ecdsa and eddsa are`);
  const { packets } = await createMessage({ binary: bytes });
  for (const signer of usable)
    for (const packet of packets)
      if (await isMadeBy(signature, signer.packet, type, packet, config))
        return signatureState(signature, { hash, isWeak: isWeak(signature, config) }, signer, now);
  return bad('SignatureInvalid', `of ${name} does not fit the text`);
}

/** With such a hash, two texts of one signature can be constructed. */
function isWeak({ hashAlgorithm }: SignaturePacket, { rejectMessageHashAlgorithms }: Library['config']): boolean {
  return hashAlgorithm !== null && rejectMessageHashAlgorithms.has(hashAlgorithm);
}

/** The last 16 or all digits of the fingerprint, as the signature has it. */
function issuerOf({ issuerFingerprint, issuerKeyID }: SignaturePacket): string | undefined {
  const id = issuerFingerprint === null ? issuerKeyID.toHex() : Buffer.from(issuerFingerprint).toString('hex');
  return id.length < 16 ? undefined : id.toUpperCase();
}

/** A long fingerprint, of version 6, begins with what short names have. */
function isNamedBy(issuer: string, fingerprint: string): boolean {
  return fingerprint.length > 40 ? fingerprint.startsWith(issuer) : fingerprint.endsWith(issuer);
}

/** The signature fits; whether it counts. */
function signatureState(
  { created, signatureExpirationTime }: SignaturePacket,
  { hash, isWeak }: { hash: string; isWeak: boolean },
  { fingerprint, primary, createdAt, strength, state }: Signer,
  now: Date,
): SignatureVerdict {
  const name = `key ${fingerprint}`;
  switch (state) {
    case 'revoked':
      return bad('KeyRevoked', `is of ${name}, which its owner has revoked`);
    case 'expired':
      return bad('KeyExpired', `is of ${name}, which has expired: fetch the key from its publisher again`);
    case 'unusable':
      return bad(
        'SignerNotAllowed',
        `is of ${name}, which is not for signing data, or has no valid signature of its own`,
      );
    case 'valid':
      break;
  }
  if (isWeak) return bad('WeakHash', `of ${name} uses ${hash}, with which signatures can be forged`);
  if (strength === 'short') return bad('WeakHash', `is of ${name}, an RSA key of fewer than 2048 bits`);
  if (created === null || created < createdAt || created.getTime() > now.getTime() + aheadMs)
    return bad('SignatureInvalid', `of ${name} is dated before its key, or in the future`);
  const lastsMs = (signatureExpirationTime ?? 0) * 1000;
  if (lastsMs !== 0 && created.getTime() + lastsMs <= now.getTime())
    return bad('SignatureInvalid', `of ${name} has expired`);
  return { kind: 'good', signedBy: primary, signedAt: created };
}

function bad(fault: SignatureFault, why: string): Bad {
  return { kind: 'bad', fault, why };
}
