/**
 * Verifies an image during its download, as Cinder does with `verify_glance_signatures`.
 *
 * Guarantees: the complete content of a signed image is what its signer signed; other content is never returned completely.
 *
 *     const check = await signatureCheck(image, { mode: 'enabled', certificates, signal });  // throws before any byte is read
 *     for await (const chunk of check.through(body)) …                                       // throws instead of the last chunk
 */

import { X509Certificate } from 'node:crypto';
import type { Image } from '../glance/image.ts';
import { holdBack } from '../http/body.ts';
import { abortable } from '../lib/abort.ts';
import { unreachable } from '../lib/errors.ts';
import type { CertificateStore } from './certificates.ts';
import { type ImageSignature, signatureOf, signatureProperties } from './signature.ts';
import { CertificateUnavailable, ImageSignatureVerificationFailed, InvalidImageSignature } from './signature-errors.ts';
import { createSignatureVerifier } from './signature-verifier.ts';

export interface SignatureCheckOptions {
  /** `disabled`: signatures are ignored, even invalid ones. */
  mode: 'enabled' | 'disabled';
  certificates: CertificateStore;
  signal: AbortSignal;
}

/** Of one download. */
export interface SignatureCheck {
  /** Whether the body is verified. False for an image without a signature, and if signatures are disabled. */
  readonly verifies: boolean;
  /**
   * The body, unchanged. A verified body is always one chunk behind, so that ImageSignatureVerificationFailed is thrown before its
   * end. Errors of `body` are thrown, and it is ended when the reader stops. Callers must not write to the chunks.
   */
  through(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
}

/**
 * Checks everything that can be checked before the data arrives. Throws InvalidImageSignature if only some of the four properties
 * exist, ImageSignatureVerificationFailed if they or the certificate cannot be used, and the errors of `certificates`.
 */
export async function signatureCheck(
  image: Pick<Image, 'id' | 'properties'>,
  { mode, certificates, signal }: SignatureCheckOptions,
): Promise<SignatureCheck> {
  const signed = mode === 'disabled' ? undefined : usableSignature(image);
  if (signed === undefined) return { verifies: false, through: (body) => body };
  // A program can have a source of its own, which may not end with the signal.
  const certificate = await abortable(certificates.get(signed.certificateId, signal), signal);
  if (!(certificate instanceof X509Certificate))
    throw new CertificateUnavailable(`the source of certificates has no X509Certificate for ${signed.certificateId}`);
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
      throw new InvalidImageSignature(`${missing}; set all of ${all}, or none for an image without a signature`);
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
