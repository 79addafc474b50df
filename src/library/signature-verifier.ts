/**
 * Checks data against its signature. It keeps no more of the data than the state of a hash.
 *
 * Invariant: it accepts nothing that cursive, the verifier of Glance, Nova and Cinder, rejects in any version that
 * knows the key's curve. It rejects more than some versions only where a comment says so. In doubt, it rejects.
 */
import { constants, createVerify, type KeyObject, type VerifyKeyObjectInput, type X509Certificate } from 'node:crypto';
import { hashMethods, type ImageSignature, keyTypes } from './signature.ts';
import { ImageSignatureVerificationFailed } from './signature-errors.ts';

export interface SignatureVerifier {
  /** The next bytes, in order. */
  update(chunk: Uint8Array): void;
  /** Throws ImageSignatureVerificationFailed unless the bytes are the signed ones. Call it once. */
  finish(): void;
}

/**
 * `what` names the data in messages. Throws ImageSignatureVerificationFailed for a certificate whose key cannot have
 * made such a signature. Whether the certificate is currently valid or has a trusted issuer is not checked: like Cinder
 * and Glance we accept every certificate in the cloud's key manager, so its writers decide whom to trust.
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
      const rejected = (cause?: unknown) =>
        new ImageSignatureVerificationFailed(
          `${what} failed signature verification: its data does not fit its img_signature (${keyType}${salted}, ${hashMethod}, ${signer}); ` +
            'do not use it; upload the image that was signed, or correct its signature properties',
          cause,
        );
      let fits: boolean;
      try {
        fits = verify.verify(key, signature);
      } catch (error) {
        // OpenSSL rejects the key or the hash. (A certificate can restrict its RSASSA-PSS key to one hash, which cursive
        // ignores.)
        throw rejected(error);
      }
      if (!fits) throw rejected();
    },
  };
}

/** The certificate's key with the parameters of its kind of signature; `message` turns a problem into a sentence. */
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
  // cursive demands the longest salt that fits, and no other. Cryptography 42 and later no longer enforce that, and accept a
  // salt of any length; here it stays rejected, as a cloud with an older version would reject the image. The length must be
  // a number: OpenSSL takes negative ones as permission to accept several.
  const saltLength = Math.ceil((modulusBits(key) - 1) / 8) - hashMethods[hashMethod].bytes - 2;
  if (saltLength < 0) throw new ImageSignatureVerificationFailed(message(`is too short for ${hashMethod}`));
  return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength };
}

function modulusBits(key: KeyObject): number {
  return key.asymmetricKeyDetails?.modulusLength ?? 0;
}
