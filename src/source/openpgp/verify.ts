/**
 * Whether a text was signed by one of the keys that a user trusts.
 *
 * Guarantees: pure; of a clearsigned text every block must be signed; a key that is revoked or expired today has signed nothing,
 * whatever time its signature has, because its thief could write any.
 */
import { type ClearsignedBlock, signedBytes } from './cleartext.ts';
import type { Signer } from './keyring.ts';
import { readPackets } from './packets.ts';
import { isTooShort } from './public-key.ts';
import { isFrom, isMadeBy, isOver, type PGPSignature, readSignature } from './signature.ts';

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

const dataTypes = { binary: 0, text: 1 } as const;
/** Some publishers sign with an old and a new key. */
const mostSignatures = 16;
/** Clocks differ. */
const aheadMs = 3_600_000;

export function verifyClearsigned(
  blocks: readonly ClearsignedBlock[],
  signers: readonly Signer[],
  now: Date,
): SignatureVerdict {
  const verdicts = blocks.map((block) =>
    verifyWith(Buffer.from(block.signature), signers, now, ({ type }) =>
      type === dataTypes.text ? signedBytes(block) : undefined,
    ),
  );
  // The oldest says how old the text may be.
  return verdicts.reduce((worst, one) => {
    if (worst.kind === 'bad') return worst;
    return one.kind === 'bad' || one.signedAt < worst.signedAt ? one : worst;
  }, verdicts[0] ?? missing);
}

/** `signature`: a file of its own, armoured or binary. */
export function verifyDetached(
  data: Uint8Array,
  signature: Uint8Array,
  signers: readonly Signer[],
  now: Date,
): SignatureVerdict {
  const bytes = Buffer.from(data);
  return verifyWith(signature, signers, now, ({ type }) => {
    if (type === dataTypes.binary) return bytes;
    return type === dataTypes.text ? withNetworkLines(bytes) : undefined;
  });
}

const missing: Bad = { kind: 'bad', fault: 'SignatureMissing', why: 'is no OpenPGP signature' };

function verifyWith(
  signature: Uint8Array,
  signers: readonly Signer[],
  now: Date,
  dataFor: (signature: PGPSignature) => Buffer | undefined,
): SignatureVerdict {
  const packets = readPackets(signature)?.filter(({ tag }) => tag === 2) ?? [];
  if (packets.length === 0) return missing;
  const verdicts = packets.slice(0, mostSignatures).map(({ body }) => {
    const read = readSignature(body);
    if (read === undefined) return bad('SignatureInvalid', 'is of a version that is not supported, or damaged');
    return verdictOn(read, dataFor(read), signers, now);
  });
  const good = verdicts.find(({ kind }) => kind === 'good');
  if (good !== undefined) return good;
  return verdicts.reduce((worst, one) => (rankOf(one) > rankOf(worst) ? one : worst), verdicts[0] ?? missing);
}

/** A failure of a trusted key says more than one of another key. */
function rankOf(verdict: SignatureVerdict): number {
  return verdict.kind === 'bad' && verdict.fault !== 'SignerNotAllowed' ? 1 : 0;
}

function verdictOn(
  signature: PGPSignature,
  data: Buffer | undefined,
  signers: readonly Signer[],
  now: Date,
): SignatureVerdict {
  if (data === undefined) return bad('SignatureInvalid', 'is not a signature of a file or of a text');
  const named = signers.filter(({ key }) => isFrom(signature, key));
  const name = `key ${signature.issuer ?? 'without a name'}`;
  if (named.length === 0) return bad('SignerNotAllowed', `is of ${name}, which is not among the keys of keysFrom`);
  if (signature.hash === undefined) return bad('SignatureInvalid', 'uses a hash that is not supported');
  const signer = named.find(({ key }) => isMadeBy(signature, key, data));
  if (signer === undefined)
    return bad(
      'SignatureInvalid',
      named.some(({ key }) => key.key === undefined)
        ? `is of ${name}, whose algorithm is not supported`
        : `of ${name} does not fit the text`,
    );
  return signatureState(signature, signer, now);
}

/** The signature fits; whether it counts. */
function signatureState(signature: PGPSignature, { key, primary, state }: Signer, now: Date): SignatureVerdict {
  const name = `key ${key.fingerprint}`;
  const { createdAt, expiresAfter } = signature;
  switch (state) {
    case 'revoked':
      return bad('KeyRevoked', `is of ${name}, which its owner has revoked`);
    case 'expired':
      return bad('KeyExpired', `is of ${name}, which has expired: fetch the key from its publisher again`);
    case 'notForSigning':
      return bad('SignerNotAllowed', `is of ${name}, which is not for signing data`);
    case 'unproven':
      return bad('SignerNotAllowed', `is of ${name}, which has no valid signature of its own: fetch the key again`);
    case 'valid':
      break;
  }
  if (signature.isWeak)
    return bad('WeakHash', `of ${name} uses ${signature.hash}, with which signatures can be forged`);
  if (isTooShort(key)) return bad('WeakHash', `is of ${name}, an RSA key of fewer than 2048 bits`);
  if (createdAt < key.createdAt || createdAt.getTime() > now.getTime() + aheadMs)
    return bad('SignatureInvalid', `of ${name} has a time before its key, or in the future`);
  if (isOver(createdAt, expiresAfter, now)) return bad('SignatureInvalid', `of ${name} has expired`);
  return { kind: 'good', signedBy: primary.fingerprint, signedAt: createdAt };
}

/** A signature of a text covers it with CR LF at the ends of its lines. */
function withNetworkLines(text: Buffer): Buffer {
  return Buffer.from(text.toString('latin1').replace(/\r?\n/g, '\r\n'), 'latin1');
}

function bad(fault: SignatureFault, why: string): Bad {
  return { kind: 'bad', fault, why };
}
