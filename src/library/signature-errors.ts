/**
 * The errors of the verification of a signed image.
 *
 * Invariant: unverified data is an error of one of these classes and never a result. Each class says whether the image,
 * its properties or the access to the certificate is the cause.
 */
import { OperatorError, type OperatorErrorOptions } from '../lib/errors.ts';

/** The image has some of the four signature properties but not all: verification was intended and is impossible. */
export class InvalidImageSignature extends OperatorError {
  constructor(message: string) {
    super(message, { code: 'ImageSignatureInvalid' });
  }
}

/** The data is not the signed data, or the signature properties or the certificate cannot be used. */
export class ImageSignatureVerificationFailed extends OperatorError {
  constructor(message: string, cause?: unknown) {
    super(message, { code: 'ImageSignatureInvalid', cause });
  }
}

/** The certificate of the signature cannot be read. The image itself may be right or wrong. */
export class CertificateUnavailable extends OperatorError {
  constructor(
    message: string,
    details: Omit<OperatorErrorOptions, 'code'> = {},
    code: 'CertificateUnavailable' | 'KeyManagerUnavailable' = 'CertificateUnavailable',
  ) {
    super(message, { code, ...details });
  }
}
