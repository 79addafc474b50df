/**
 * Every reason that a condition or an event can carry. Law: the list is closed, each reason means one thing, and its text
 * here is the documentation that users read.
 */
export const reasons = {
  Ready: 'The image exists in Glance exactly as declared.',
  Progressing: 'The operator is working on the image.',
  ProgressingWithRetry: 'The last try failed; the operator goes on by itself. Ready says why and when.',
  Queued: 'The transfer waits for a free slot.',
  Transferring: 'The data is on its way into Glance.',
  WaitingForGlance: 'Glance still works on the data; the operator looks again.',
  Suspended: 'spec.suspend is true: nothing is changed until it is false again.',
  Deleting: 'The image is being deleted.',
  DriftCorrected: 'The image differed from what is declared and was set right.',
  Uploaded: 'The data was transferred and verified.',
  Created: 'The image record was created in Glance.',
  Updated: 'A change of the declaration was applied to the image.',
  Deleted: 'The image was deleted from Glance.',
  Retained: 'The resource is gone; the image was kept, as its deletionPolicy says.',
  Abandoned: 'The resource was let go by annotation; its image may still exist.',
  Replaced: 'An image record that could not be used any more was replaced by a new one.',

  InvalidSpec: 'The declaration asks for something that cannot be.',
  SecretNotFound: 'The Secret that spec.cloud.secretName names does not exist.',
  SecretInvalid: 'The Secret does not hold a usable clouds.yaml.',
  CloudNotFound: 'clouds.yaml has no cloud of that name.',
  CloudChanged: 'The Secret now leads to another project or region than the one that holds the image.',
  AuthenticationFailed: 'Keystone refused the credentials, or Glance refused the token twice.',
  IdentityUnavailable: 'Keystone cannot be reached or does not work.',
  EndpointNotFound: 'The service catalog has no image endpoint for this region and interface.',
  GlanceUnreachable: 'No connection to Glance.',
  GlanceUnavailable: 'Glance answers that it does not work.',
  Forbidden: 'The credentials may not do what is declared.',
  InvalidRequest: 'Glance refused the declaration as invalid.',
  Conflict: 'Glance refused the change for the state that the image is in.',
  NotFound: 'Glance does not know something that it was asked for.',
  ImageGone: 'The image was deleted while it was being worked on.',
  QuotaExceeded: 'A quota or size limit of the cloud is used up.',
  Deactivated: 'An administrator has deactivated the image.',
  ContentMismatch: 'The image holds other data than what is declared.',
  FormatMismatch: 'The data is not in the declared disk format.',
  UnsafeImage: 'The data refers to files outside itself, which could expose the host that uses it.',
  SourceNotFound: 'The source answered that the file does not exist.',
  SourceForbidden: 'The source does not allow the download.',
  SourceRefused: 'The source refused the request.',
  SourceUnreachable: 'No connection to the source.',
  SourceUnavailable: 'The source answered that it does not work.',
  SourceStalled: 'The source stopped sending.',
  SourceTooShort: 'The source sent less than it had announced.',
  SourceTooLong: 'The source sent more than it had announced, or more than is allowed.',
  SourceInvalid: 'The address of the source cannot be used, or leads in circles.',
  EmptySource: 'The source has no bytes.',
  DigestMismatch: 'The bytes of the source do not have the declared digest.',
  EgressRefused: 'The policy of this operator does not allow connections to that address.',
  InternalError: 'A fault of the operator itself; please report it.',
} as const;

export type Reason = keyof typeof reasons;

export function isReason(text: string): text is Reason {
  return Object.hasOwn(reasons, text);
}
