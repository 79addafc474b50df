/**
 * Verifies an image during its download, as Cinder does with `verify_glance_signatures`.
 *
 * Guarantees: the complete content of a signed image is what its signer signed; other content is never returned completely.
 *
 *     const check = await signatureCheck(image, { mode: 'enabled', certificates, signal });  // throws before any byte is read
 *     for await (const chunk of check.through(body)) …                                       // throws instead of its last chunk
 */

import type { Image } from '../glance/image.ts';
import { holdBack } from '../http/body.ts';
import { unreachable } from '../lib/errors.ts';
import type { CertificateStore } from './certificates.ts';
import { type ImageSignature, signatureOf, signatureProperties } from './signature.ts';
import { ImageSignatureVerificationFailed, InvalidImageSignature } from './signature-errors.ts';
import { createSignatureVerifier } from './signature-verifier.ts';

export interface SignatureCheckOptions {
  /** `disabled`: signatures are not looked at, not even at whether they could be checked. */
  mode: 'enabled' | 'disabled';
  certificates: CertificateStore;
  signal: AbortSignal;
}

/** Of one download. */
export interface SignatureCheck {
  /** Whether what comes through to its end is verified. False for an image without a signature, and where it is disabled. */
  readonly verifies: boolean;
  /**
   * The body, unchanged. One that is verified is always a chunk behind, so that ImageSignatureVerificationFailed comes before
   * its end; what `body` throws is thrown, and it is let go when the reader stops. Chunks must not be written to afterwards.
   */
  through(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
}

/**
 * All that can be known before the data is there. Throws InvalidImageSignature where only some of the four properties are
 * there, ImageSignatureVerificationFailed where they, or the certificate, cannot be used, and what `certificates` throws.
 */
export async function signatureCheck(
  image: Pick<Image, 'id' | 'properties'>,
  { mode, certificates, signal }: SignatureCheckOptions,
): Promise<SignatureCheck> {
  const signed = mode === 'disabled' ? undefined : usableSignature(image);
  if (signed === undefined) return { verifies: false, through: (body) => body };
  const certificate = await certificates.get(signed.certificateId, signal);
  const verifier = createSignatureVerifier(signed, certificate, `image ${image.id}`);
  return { verifies: true, through: (body) => holdBack(body, verifier) };
}

function usableSignature(image: Pick<Image, 'id' | 'properties'>): ImageSignature | undefined {
  const declared = signatureOf(image.properties);
  switch (declared.kind) {
    case 'unsigned':
      return undefined;
    case 'incomplete': {
      const all = Object.values(signatureProperties).join(', ');
      const missing = `the signature of image ${image.id} is incomplete: it has no ${declared.missing.join(', ')}`;
      throw new InvalidImageSignature(`${missing}; set all of ${all}, or none for an image that is not to be verified`);
    }
    case 'unusable': {
      const problems = declared.problems.join('; ');
      throw new ImageSignatureVerificationFailed(`image ${image.id} cannot be verified: ${problems}`);
    }
    case 'signed':
      return declared.signed;
    default:
      return unreachable(declared);
  }
}
