/**
 * Every reason that a condition or an event can carry. Invariant: the list is closed, each reason means one thing, and its text
 * here is the documentation that users read.
 */
export const reasons = {
  Ready: 'The image exists in Glance exactly as declared.',
  RecordOnly:
    'No spec.content is declared: the record of the image is as declared, and the operator neither uploads nor verifies its data. As a Warning: the image has no data yet.',
  Progressing: 'The operator is working on the image.',
  ProgressingWithRetry:
    'The last attempt failed; the operator retries by itself. The condition Ready shows the cause and the time.',
  Queued: 'The transfer waits for a free slot.',
  Transferring: 'The data is being uploaded to Glance.',
  Importing: 'Glance downloads the data, or copies it to its stores; the operator checks again.',
  WaitingForGlance: 'Glance is processing the data; the operator checks again.',
  Suspended:
    'spec.suspend is true: nothing is changed until it is false again. Deleting the resource still deletes its image.',
  DriftCorrected: 'The image differed from the declaration and was corrected.',
  Updated: 'A change of the declaration was applied to the image.',
  Deleted: 'The image was deleted from Glance.',
  Retained: 'The resource was deleted, and the image was kept because of its deletionPolicy.',
  Abandoned: 'The resource was released by annotation; its image may still exist.',
  Replaced: 'An unusable image record was replaced by a new one.',

  InvalidSpec: 'The declaration cannot be fulfilled.',
  SecretNotFound: 'The Secret that spec.cloud.secretRef names does not exist.',
  SecretInvalid: 'The Secret has no usable clouds.yaml, headers or certificates.',
  CloudNotFound: 'clouds.yaml has no cloud of that name.',
  CloudChanged: 'The credentials or spec.cloud now lead to another project or region than that of the image.',
  AuthenticationFailed: 'Keystone rejected the credentials, or Glance rejected the token twice.',
  IdentityUnavailable: 'Keystone cannot be reached, or responds with a server error.',
  EndpointNotFound: 'The service catalog has no endpoint for the required service, region and interface.',
  GlanceUnreachable: 'No connection to Glance.',
  GlanceUnavailable: 'Glance responds with a server error.',
  Forbidden: 'The policy of Glance does not allow the declaration for these credentials.',
  InvalidRequest: 'Glance rejected the declaration as invalid.',
  Conflict: 'Glance rejected the change because of the current state of the image (HTTP 409).',
  NotFound: 'Glance responded that an object does not exist (HTTP 404).',
  ImageGone: 'The image was deleted while the operator worked on it.',
  ProxyRefused:
    'A proxy does not pass on a request: that of the installation rejects the connection, or one in front of Glance the size or form of an upload.',
  QuotaExceeded: 'A quota or size limit of the cloud is used up.',
  StoreNotFound: 'The cloud has no store of that name.',
  StoreReadOnly: 'The store is read-only.',
  ImageDownloadFailed: 'The data of an image could not be read from Glance.',
  ImageCorrupted: 'The data of an image does not have the digest that Glance has recorded.',
  Deactivated: 'An administrator has deactivated the image.',
  TakenOver: 'The image was given to another project. It is foreign now, and is neither changed nor deleted.',
  MarkContested: 'Another program removes the owner mark of the image again and again.',
  NewerOperator: 'A later version of the operator has worked on the resource.',
  PropertyProtected: 'The property protections of the cloud forbid a mark of the operator.',
  NotVerifiable: 'The image was Ready before, but nothing shows that it has the declared data. It is left as it is.',
  ContentMismatch: 'The data of the image is not the declared data.',
  SignatureInvalid: 'The signature of the image does not match its data, or cannot be checked as it is declared.',
  CertificateUnavailable: 'The certificate for the signature of the image cannot be read from the key manager.',
  FormatMismatch: 'The data is not in the declared disk format, or is damaged.',
  UnsafeImage:
    'The data could harm the host that uses it: it refers to files outside itself, or is malformed in a way that could be exploited.',
  VirtualSizeExceeded: 'The disk inside the image is larger than this operator allows.',
  MinDiskTooSmall: 'The disk inside the image does not fit into the declared minDiskGiB.',
  SourceNotFound: 'The source responded that the file does not exist.',
  SourceForbidden: 'The source does not allow the download.',
  SourceRefused: 'The source rejected the request.',
  SourceUnreachable: 'No connection to the source.',
  SourceUntrusted: 'The certificate of the source is not trusted.',
  SourceUnavailable: 'The source responded with a server error.',
  SourceSilent: 'The source accepted the request and did not respond.',
  SourceStalled: 'The source stopped sending.',
  SourceTooSlow: 'The source did not send the whole file within the time limit.',
  SourceTooShort: 'The source sent fewer bytes than it announced.',
  SourceTooLong: 'The source sent more bytes than it announced, or more than the limit.',
  SourceChanged: 'The file at the source changed during the download, or a mirror has another file.',
  SourceInvalid: 'The address of the source cannot be used, or its redirects form a loop.',
  EmptySource: 'The source has no data.',
  ImportFailed: 'The import task of Glance failed, or did not write to all stores.',
  PropertyNotRemovable:
    'The image has properties that are not declared and that Glance cannot remove: it uses their names internally, or they begin or end with white space.',
  WeakDigest: 'The declared digest is md5 or sha1. It detects accidents, but not a file that was changed on purpose.',
  NotDecompressed: 'The file is compressed or packed by its name, and method WebDownload stores it as it is.',
  SourceUnusual: 'The data is verified, and the way in which it came is worth knowing: see the message.',
  FractionalProperty: 'A property is declared as a fraction. If it is a version, it has lost the zeros at its end.',
  CompressionInvalid: 'The compressed data of the source is damaged, truncated, or of an unsupported kind.',
  CompressionBomb:
    'The decompressed data of the source would exceed the limit, or decompressing it needs too much memory.',
  DigestMismatch: 'The data of the source does not have the declared digest.',
  EgressRefused: 'The policy of this operator does not allow connections to that address.',
  DecoderMemoryInUse:
    'Decompressing the file needs more memory than its first part did, and other transfers use it; the transfer starts again.',
  TransferCrashed:
    'The transfer ends the thread that runs it, also if it is the only one there. It is a fault of the operator.',
  TimedOut: 'Reconciling the image exceeded the two-minute limit and was cancelled.',
  KubernetesFailed:
    'The API server rejected or failed a call of the operator, for example because of missing RBAC permissions.',
  InternalError: 'A bug in the operator; please report it.',
} as const;

export type Reason = keyof typeof reasons;

export function isReason(text: string): text is Reason {
  return Object.hasOwn(reasons, text);
}
