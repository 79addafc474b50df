/**
 * The check of data against its signature. Law: it accepts nothing that cursive refuses, the verifier of Glance, Nova and Cinder,
 * in any version that knows the key's curve; it refuses more than some versions only where that is said below; where it cannot
 * tell, it refuses; and it keeps no more of the data than the state of a hash.
 */
import { constants, createVerify, type KeyObject, type VerifyKeyObjectInput, type X509Certificate } from 'node:crypto';
import { hashMethods, type ImageSignature, keyTypes } from './signature.ts';
import { ImageSignatureVerificationFailed } from './signature-errors.ts';

export interface SignatureVerifier {
  /** The next bytes, of any number, in their order. */
  update(chunk: Uint8Array): void;
  /** Returns if all that came is what was signed; else throws ImageSignatureVerificationFailed. To be called once. */
  finish(): void;
}

/**
 * `what` names the data in messages. Throws ImageSignatureVerificationFailed for a certificate whose key cannot have made
 * such a signature. That the certificate is valid today or was issued by somebody whom one trusts is not looked at: like
 * Cinder and Glance we take what the key manager of the cloud holds, and who may write there decides whom to trust.
 */
export function createSignatureVerifier(
  signed: ImageSignature,
  certificate: X509Certificate,
  what = 'the image',
): SignatureVerifier {
  const { signature, hashMethod, keyType, certificateId } = signed;
  const signer = `the key of certificate ${certificateId}`;
  const key = verificationKey(signed, certificate, (problem) => `${what} cannot be verified: ${signer} ${problem}`);
  const verify = createVerify(hashMethods[hashMethod].algorithm);
  return {
    update(chunk) {
      verify.update(chunk);
    },
    finish() {
      const salted = key.saltLength === undefined ? '' : ` with a salt of ${key.saltLength} bytes`;
      const refused = (cause?: unknown) =>
        new ImageSignatureVerificationFailed(
          `${what} is not what was signed: its data does not fit its img_signature (${keyType}${salted}, ${hashMethod}, ${signer}); ` +
            'do not use it, but upload the image that was signed, or correct its signature properties',
          cause,
        );
      let fits: boolean;
      try {
        fits = verify.verify(key, signature);
      } catch (error) {
        // What OpenSSL will not even compute confirms nothing. (A certificate can forbid its RSASSA-PSS key all hashes but
        // one; cursive overlooks that.)
        throw refused(error);
      }
      if (!fits) throw refused();
    },
  };
}

/** The certificate's key with what its kind of signature needs; `message` makes a sentence of what is wrong with it. */
function verificationKey(
  { keyType, hashMethod }: ImageSignature,
  certificate: X509Certificate,
  message: (problem: string) => string,
): VerifyKeyObjectInput {
  let key: KeyObject;
  try {
    key = certificate.publicKey;
  } catch (error) {
    throw new ImageSignatureVerificationFailed(message('cannot be read'), error);
  }
  const found = key.asymmetricKeyType ?? 'unknown';
  const fitting: readonly string[] = keyTypes[keyType];
  if (!fitting.includes(found)) {
    throw new ImageSignatureVerificationFailed(message(`is of the kind ${found}, but its key type is ${keyType}`));
  }
  if (keyType !== 'RSA-PSS') return { key, dsaEncoding: 'der' };
  // cursive asks for the longest salt that fits, and no other. On cryptography 42 and later that is no longer enforced, and a
  // salt of any length passes there; here it stays refused, as the image would be by a cloud with an older one. The length
  // must be a number: OpenSSL reads negative ones as leave to accept several.
  const saltLength = Math.ceil((modulusBits(key) - 1) / 8) - hashMethods[hashMethod].bytes - 2;
  if (saltLength < 0) throw new ImageSignatureVerificationFailed(message(`is too short for ${hashMethod}`));
  return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength };
}

function modulusBits(key: KeyObject): number {
  return key.asymmetricKeyDetails?.modulusLength ?? 0;
}
