/**
 * What to do about each failure. Law: each reason that tells of one has its remedy here, or the program does not compile, and
 * where nothing needs to be done, it says so.
 */
import type { Reason } from './reasons.ts';

/** Reasons that tell of progress, or of what was done as it was asked. */
type Calm =
  | 'Ready'
  | 'Progressing'
  | 'ProgressingWithRetry'
  | 'Queued'
  | 'Transferring'
  | 'Importing'
  | 'WaitingForGlance'
  | 'Suspended'
  | 'DriftCorrected'
  | 'Updated'
  | 'Deleted'
  | 'Retained'
  | 'Abandoned'
  | 'Replaced';

const itself = 'Nothing: the operator goes on by itself once it works again.';
const publisher = 'Compare with what the publisher of the file says; fix content.http, or have the file repaired.';

export const remedies = {
  InvalidSpec: 'Fix the field that the message names.',
  SecretNotFound: 'Create the Secret in the namespace of the resource, or fix spec.cloud.secretRef.',
  SecretInvalid: 'Fix the key of the Secret that the message names.',
  CloudNotFound: 'Fix spec.cloud.name, or add that cloud to clouds.yaml.',
  CloudChanged:
    'Put the former credentials back; or delete the resource with them, and create it again with the new ones.',
  AuthenticationFailed:
    'Renew the password or the application credential in the Secret, and see that its project is enabled.',
  IdentityUnavailable: `${itself} If only the operator cannot reach Keystone: network policy, DNS, cacert.`,
  EndpointNotFound: 'Fix region_name or interface in clouds.yaml, or have the service entered in the catalog.',
  GlanceUnreachable: `${itself} If only the operator cannot reach it: network policy, DNS, cacert, the interface in clouds.yaml.`,
  GlanceUnavailable: `${itself} The request id finds the cause in the log of Glance.`,
  Forbidden: 'Give the user the role that the policy of Glance asks for, or do not declare what needs it.',
  InvalidRequest: 'Fix what the message names; the cloud may be older than what is declared.',
  Conflict: 'Nothing at first: it is tried again. If it lasts, see in Glance what uses or changes the image.',
  NotFound: 'See whether what the message names exists in this cloud and project.',
  ImageGone: 'Nothing: the image is made again. If it happens again, find who deletes it.',
  QuotaExceeded: 'Free space in the project, or raise its quota; it goes on by itself then.',
  StoreNotFound: 'Fix image.stores; the names are those of `openstack image stores info`.',
  StoreReadOnly: 'Choose another store, or have this one opened for writing.',
  ImageDownloadFailed: `${itself} If it lasts, the store behind Glance has lost the data.`,
  ImageCorrupted: 'Have the store behind Glance examined; delete the image, so that it is made again from its source.',
  Deactivated: 'Ask the administrator why; `openstack image set --activate` makes it usable again.',
  ContentMismatch: 'Delete the image in Glance, so that it is made again; or declare the content that it holds.',
  SignatureInvalid: 'Do not use the image. Compare its signature properties and its data with those of the publisher.',
  CertificateUnavailable: 'See whether the certificate is in the key manager, and whether the user may read it.',
  FormatMismatch: 'Set image.diskFormat to what the file is; or have the file repaired.',
  UnsafeImage: 'Do not use the file. Convert it with qemu-img on a machine of its own, if it is trusted.',
  VirtualSizeExceeded: 'Use a smaller disk, or raise --max-virtual-size.',
  MinDiskTooSmall: 'Set image.minDiskGiB to at least the number in the message.',
  SourceNotFound: 'Fix content.http.url, or publish the file.',
  SourceForbidden: 'Fix the headers in the Secret of headersSecretRef, or the rights at the source.',
  SourceRefused: 'See what the source says in the message; fix the URL or the headers.',
  SourceUnreachable: `${itself} If only the operator cannot reach it: network policy, DNS, --source-allow.`,
  SourceUntrusted: 'Name the CA of the source with caSecretRef, or have its certificate renewed.',
  SourceUnavailable: itself,
  SourceSilent: itself,
  SourceStalled: `${itself} If it lasts, use a mirror, or raise --source-stall-seconds.`,
  SourceTooSlow: 'Use a mirror that is nearer.',
  SourceTooShort: `${itself} If it lasts, the file at the source is damaged.`,
  SourceTooLong: 'Raise --max-image-size if the file is meant to be as large.',
  SourceChanged:
    'Nothing at first: it starts anew. If it lasts, fix the mirrors, or use an address that names one version.',
  SourceInvalid: 'Fix the URL that the message names.',
  EmptySource: publisher,
  ImportFailed: 'See the message: it is the words of the task in Glance. Its log tells the rest.',
  WeakDigest: 'Declare a sha256 or sha512 digest, if the publisher has one.',
  CompressionInvalid: publisher,
  CompressionBomb: 'Do not use the file, unless you know that it is meant to be so; raise --max-image-size then.',
  DigestMismatch: publisher,
  EgressRefused: 'Use another address, or allow this one with --source-allow.',
  TransferCrashed: 'Nothing: the transfer starts again. If it happens again, raise the memory limit and report it.',
  TimedOut:
    'Nothing at first: it is tried again. If it lasts, glance_image_operator_openstack_request_duration_seconds shows the server that is slow.',
  KubernetesFailed: 'See the message: rights of the ServiceAccount, admission webhooks, quotas of the namespace.',
  InternalError: 'Report it with the log lines of its reconcileID.',
} as const satisfies Record<Exclude<Reason, Calm>, string>;

/** Reasons that tell of a failure. */
export const failureReasons: readonly string[] = Object.keys(remedies);

/** Undefined where there is nothing to remedy. */
export function remedyOf(reason: string): string | undefined {
  return Object.entries(remedies).find(([one]) => one === reason)?.[1];
}
