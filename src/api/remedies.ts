/**
 * What to do about each failure. Invariant: each reason of a failure has its remedy here, or the program does not compile. If
 * nothing needs to be done, the remedy says so.
 */
import type { Reason } from './reasons.ts';

/** Reasons of progress and of completed work. */
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

const itself = 'Nothing: the operator retries, and continues once the server works again.';
const publisher = 'Compare with the checksum of the publisher; fix content.http, or have the file repaired.';

export const remedies = {
  RecordOnly:
    'Nothing, if something else uploads the data to the image in `status.imageID`. Otherwise declare `spec.content`.',
  InvalidSpec: 'Fix the field that the message names.',
  SecretNotFound:
    'Create the Secret in the namespace of the resource, or fix spec.cloud.secretRef. In a namespace that is being deleted no Secret can be created: set spec.deletionPolicy to Retain, or release the resource without its image by `kubectl annotate glanceimage NAME glance-image-operator.dev/abandon=true`.',
  SecretInvalid: 'Fix the key of the Secret that the message names.',
  CloudNotFound: 'Fix spec.cloud.name, or add that cloud to clouds.yaml.',
  CloudChanged:
    'Restore the previous project and region in clouds.yaml and in spec.cloud. To move the image to another project: restore them, delete the resource, and create it again with the new ones.',
  AuthenticationFailed:
    'Renew the password or the application credential in the Secret, and check that its project is enabled.',
  IdentityUnavailable: `${itself} If only the operator cannot reach Keystone: network policy, DNS, cacert.`,
  EndpointNotFound: 'Fix region_name or interface in clouds.yaml, or have the service entered in the catalog.',
  GlanceUnreachable: `${itself} If only the operator cannot reach it: network policy, DNS, cacert, the interface in clouds.yaml.`,
  GlanceUnavailable: `${itself} The request id finds the cause in the log of Glance.`,
  Forbidden: 'Give the user the role that the policy of Glance asks for, or do not declare what needs it.',
  InvalidRequest:
    'Fix the field that the message names. If the field is right, this Glance is too old for it, or its policy forbids it.',
  Conflict:
    'Nothing at first: the operator retries. If it lasts, find the server, volume or tool that uses or changes the image.',
  NotFound: 'Check that the object that the message names exists in this cloud and project.',
  ImageGone: 'Nothing: the operator creates the image again. If it happens again, find out which tool deletes it.',
  ProxyRefused:
    'The message names the proxy and what to change. For one in front of Glance, have the administrator of the cloud raise the limit, or allow requests in chunks. The operator tries again by itself.',
  QuotaExceeded: 'Free space in the project, or raise its quota; the operator then continues by itself.',
  StoreNotFound: 'Fix image.stores. `openstack image stores list` shows the names.',
  StoreReadOnly: 'Choose another store, or have this one opened for writing.',
  ImageDownloadFailed: `${itself} If it lasts, the store behind Glance has lost the data.`,
  ImageCorrupted:
    'Report it to the administrator of the cloud: the store behind Glance returns damaged data. Then delete the image, and the operator creates it again: `openstack image set --unprotected ID`, then `openstack image delete ID`.',
  Deactivated:
    'Ask the administrator of the cloud why. `openstack image set --activate ID` makes the image usable again.',
  TakenOver:
    'Ask an administrator of the cloud to give the image back; or declare that project as spec.image.owner; or delete the resource, which leaves the image, and create it again.',
  NotVerifiable:
    'Delete the image, and the operator creates it again from the declared content: `openstack image set --unprotected ID`, then `openstack image delete ID`.',
  ContentMismatch:
    'Delete the image, and the operator creates it again: `openstack image set --unprotected ID`, then `openstack image delete ID`; or create another GlanceImage for the other content.',
  SignatureInvalid: 'Do not use the image. Compare its signature properties and its data with those of the publisher.',
  CertificateUnavailable: 'See whether the certificate is in the key manager, and whether the user may read it.',
  FormatMismatch: 'Set image.diskFormat to what the file is; or have the file repaired.',
  UnsafeImage: 'Do not use the file. Convert it with qemu-img on a machine of its own, if it is trusted.',
  VirtualSizeExceeded:
    'Use a smaller disk; or ask the administrator of the operator to raise --max-virtual-size-gib (chart: settings.maxVirtualSizeGiB).',
  MinDiskTooSmall: 'Set image.minDiskGiB to at least the number in the message.',
  SourceNotFound: 'Fix content.http.url, or publish the file.',
  SourceForbidden: 'Fix the headers in the Secret of headersSecretRef, or the rights at the source.',
  SourceRefused: 'The message has the response of the source. Fix the URL or the headers.',
  SourceUnreachable: `${itself} If only the operator cannot reach it: check network policy and DNS.`,
  SourceUntrusted:
    'Name the CA of the source with caSecretRef, add it to the CA bundle of the installation, or have the certificate renewed.',
  SourceUnavailable: itself,
  SourceSilent: itself,
  SourceStalled: `${itself} If it lasts, use a mirror, or raise --source-stall-seconds (chart: settings.sourceStallSeconds).`,
  SourceTooSlow: 'Use a mirror that is nearer.',
  SourceTooShort: `${itself} If it lasts, the file at the source is damaged.`,
  SourceTooLong:
    'If the file is meant to be this large, ask the administrator of the operator to raise --max-image-size-gib (chart: settings.maxImageSizeGiB).',
  SourceChanged:
    'Nothing at first: the transfer starts again. If it lasts, fix the mirrors, or use an address of one version of the file.',
  SourceInvalid: 'Fix the URL that the message names.',
  EmptySource: publisher,
  ImportFailed: 'The message quotes the import task. See the log of Glance for its cause.',
  PropertyNotRemovable:
    'Everything else is as declared. To get rid of the properties, create the image again: only a new image can be without them.',
  MarkContested: 'x',
  NewerOperator: 'x',
  PropertyProtected: 'x',
  WeakDigest: 'Declare a sha256 or sha512 digest, if the publisher has one.',
  NotDecompressed: 'Use method Upload, or the URL of the decompressed file.',
  SourceUnusual: 'Use the https URL of a server that has the file itself, or have the publisher remove the other data.',
  FractionalProperty: 'Put the value in quotes, for example os_version: "24.10".',
  CompressionInvalid: publisher,
  CompressionBomb:
    'Do not use the file, unless its size is intended: then raise --max-image-size-gib (chart: settings.maxImageSizeGiB). If it needs too much memory, have it compressed with a smaller window.',
  DigestMismatch: publisher,
  EgressRefused:
    'Use another address; or ask the administrator of the operator to allow this one, for sources with --source-allow (chart: settings.sourceAllow), for clouds with --cloud-allow (chart: settings.cloudAllow).',
  DecoderMemoryInUse:
    'Nothing: the transfer starts again. If it lasts, have the file compressed in one piece, or with the same window in all pieces.',
  TransferCrashed:
    'Report it with the message and the file. Until it is repaired, use another file or another compression of it.',
  TimedOut:
    'Nothing at first: the operator retries. If it lasts, glance_image_operator_openstack_request_duration_seconds shows the slow server.',
  KubernetesFailed:
    'The message has the cause: permissions of the ServiceAccount, admission webhooks, quotas of the namespace.',
  InternalError: 'Report it with the log lines of its reconcileID.',
} as const satisfies Record<Exclude<Reason, Calm>, string>;

/** Reasons of failures. */
export const failureReasons: readonly string[] = Object.keys(remedies);

/** Undefined where there is nothing to remedy. */
export function remedyOf(reason: string): string | undefined {
  return Object.entries(remedies).find(([one]) => one === reason)?.[1];
}
