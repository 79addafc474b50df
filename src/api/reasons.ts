/**
 * Every reason that a condition or an event can carry. Law: the list is closed, each reason means one thing, and its text
 * here is the documentation that users read.
 */
export const reasons = {
  Ready: 'The image exists in Glance exactly as declared.',
  RecordOnly:
    'No spec.content is declared: the record of the image is as declared, and the operator neither uploads nor verifies its data. As a Warning: the image has no data yet.',
  Progressing: 'The operator is working on the image.',
  ProgressingWithRetry: 'The last try failed; the operator goes on by itself. Ready says why and when.',
  Queued: 'The transfer waits for a free slot.',
  Transferring: 'The data is on its way into Glance.',
  Importing: 'Glance fetches the data, or brings it to its stores; the operator looks again.',
  WaitingForGlance: 'Glance still works on the data; the operator looks again.',
  Suspended: 'spec.suspend is true: nothing is changed until it is false again.',
  DriftCorrected: 'The image differed from what is declared and was set right.',
  Updated: 'A change of the declaration was applied to the image.',
  Deleted: 'The image was deleted from Glance.',
  Retained: 'The resource is gone; the image was kept, as its deletionPolicy says.',
  Abandoned: 'The resource was let go by annotation; its image may still exist.',
  Replaced: 'An image record that could not be used any more was replaced by a new one.',

  InvalidSpec: 'The declaration asks for something that cannot be.',
  SecretNotFound: 'The Secret that spec.cloud.secretRef names does not exist.',
  SecretInvalid: 'The Secret does not hold what it is for: a usable clouds.yaml, headers or certificates.',
  CloudNotFound: 'clouds.yaml has no cloud of that name.',
  CloudChanged: 'The Secret now leads to another project or region than the one that holds the image.',
  AuthenticationFailed: 'Keystone refused the credentials, or Glance refused the token twice.',
  IdentityUnavailable: 'Keystone cannot be reached or does not work.',
  EndpointNotFound: 'The service catalog has no endpoint of the service that is needed, for this region and interface.',
  GlanceUnreachable: 'No connection to Glance.',
  GlanceUnavailable: 'Glance answers that it does not work.',
  Forbidden: 'The credentials may not do what is declared.',
  InvalidRequest: 'Glance refused the declaration as invalid.',
  Conflict: 'Glance refused the change for the state that the image is in.',
  NotFound: 'Glance does not know something that it was asked for.',
  ImageGone: 'The image was deleted while it was being worked on.',
  QuotaExceeded: 'A quota or size limit of the cloud is used up.',
  StoreNotFound: 'The cloud has no store of that name.',
  StoreReadOnly: 'The store takes no data.',
  ImageDownloadFailed: 'The data of an image could not be read from Glance.',
  ImageCorrupted: 'The data of an image is not what Glance says that it is.',
  Deactivated: 'An administrator has deactivated the image.',
  TakenOver: 'The image was given to another project. It is foreign now, and is neither changed nor deleted.',
  ContentMismatch: 'The image holds other data than what is declared.',
  SignatureInvalid:
    'The image is not what its signature vouches for, or its signature cannot be checked as it is declared.',
  CertificateUnavailable: 'The certificate that the signature of the image names cannot be had from the key manager.',
  FormatMismatch: 'The data is not in the declared disk format, or is damaged.',
  UnsafeImage:
    'The data could harm the host that uses it: it refers to files outside itself, or is not made as sound images are.',
  VirtualSizeExceeded: 'The disk inside the image is larger than this operator allows.',
  MinDiskTooSmall: 'The disk inside the image does not fit into the declared minDiskGiB.',
  SourceNotFound: 'The source answered that the file does not exist.',
  SourceForbidden: 'The source does not allow the download.',
  SourceRefused: 'The source refused the request.',
  SourceUnreachable: 'No connection to the source.',
  SourceUntrusted: 'The certificate of the source is not trusted.',
  SourceUnavailable: 'The source answered that it does not work.',
  SourceSilent: 'The source took the request and gave no answer.',
  SourceStalled: 'The source stopped sending.',
  SourceTooSlow: 'The source did not send all of the file in the time that it may take.',
  SourceTooShort: 'The source sent less than it had announced.',
  SourceTooLong: 'The source sent more than it had announced, or more than is allowed.',
  SourceChanged: 'The file at the source changed during the download, or a mirror may have another one.',
  SourceInvalid: 'The address of the source cannot be used, or leads in circles.',
  EmptySource: 'The source has no bytes.',
  ImportFailed: 'Glance could not make the image of the data, or not bring it to every store.',
  PropertyNotRemovable:
    'The image has properties that are not declared and that Glance cannot remove: it uses their names internally, or they begin or end with white space.',
  WeakDigest:
    'The declared digest is md5 or sha1: it finds accidents, but not somebody who changes the file on purpose.',
  CompressionInvalid:
    'The compressed data of the source is damaged, cut off, or of a kind that cannot be decompressed.',
  CompressionBomb: 'The compressed data of the source would grow beyond what is allowed, or needs too much memory.',
  DigestMismatch: 'The bytes of the source do not have the declared digest.',
  EgressRefused: 'The policy of this operator does not allow connections to that address.',
  TransferCrashed: 'The part of the operator that moves data ended unexpectedly; the transfer starts again.',
  TimedOut: 'A look at the image took longer than it may, two minutes, and was cut off.',
  KubernetesFailed:
    'The API server of Kubernetes refused or failed a call of the operator, for example for want of a right.',
  InternalError: 'A fault of the operator itself; please report it.',
} as const;

export type Reason = keyof typeof reasons;

export function isReason(text: string): text is Reason {
  return Object.hasOwn(reasons, text);
}
