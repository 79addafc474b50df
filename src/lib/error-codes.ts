/**
 * The codes of failures, and when the operator tries again after each. An error has one of these codes, and only a server's own
 * Retry-After lengthens the time that the table gives.
 *
 * Guarantees: no failure is final; no wait is longer than `longestDelayMs`.
 */
import { backoff as backoffMs } from './backoff.ts';

/**
 * How a failure is retried:
 * `backoff`: with growing delays, because the cause may pass. None is shorter than `leastMs`, which the server requested.
 * `after`: after a fixed time, because the cause passes slowly (a quota, a file that is not published).
 * `change`: a retry does not help until the spec, the Secret or the cloud is changed. It is nevertheless retried after `lookAgainMs`.
 * `backoffThenChange`: the first `attempts` failures as by `backoff`, because the cause may pass, and later ones as by `change`.
 */
export type Retry =
  | { kind: 'backoff'; leastMs?: number }
  | { kind: 'after'; ms: number }
  | { kind: 'change'; lookAgainMs: number }
  | { kind: 'backoffThenChange'; attempts: number; lookAgainMs: number };

/** How one failure is retried, once the number of failures in a row is known. */
export type Reaction = Exclude<Retry, { kind: 'backoffThenChange' }>;

const seconds = (n: number) => n * 1_000;
const minutes = (n: number) => n * 60_000;

const backoff = { kind: 'backoff' } as const;
const after = (ms: number) => ({ kind: 'after', ms }) as const;
/** Only an edit helps, and an edit triggers an attempt. */
const change = { kind: 'change', lookAgainMs: minutes(60) } as const;
/** An edit helps, or something that is not reported to the operator: a role, a policy, a certificate. */
const changeOrAfter = (ms: number) => ({ kind: 'change', lookAgainMs: ms }) as const;
/** Only the publisher of the file can help. */
const publisher = after(minutes(5));

const table = {
  // The declaration and its Secrets
  InvalidSpec: change,
  SecretNotFound: backoff,
  SecretInvalid: change,
  CloudNotFound: change,
  CloudChanged: changeOrAfter(minutes(10)),
  ServiceAccountNotFound: backoff,
  /** The annotation of the ServiceAccount is not watched. */
  ServiceAccountRefused: backoff,
  /** A role of the operator in the cluster. */
  ServiceAccountForbidden: changeOrAfter(minutes(10)),

  // Keystone
  /** 401 of Keystone. Most are wrong passwords. An outage of LDAP and keys that are not yet on every node look the same. */
  AuthenticationFailed: { kind: 'backoffThenChange', attempts: 8, lookAgainMs: minutes(10) },
  /** Another status of Keystone, or a service that Keystone does not protect: the credentials cannot be used as they are. */
  CredentialsInvalid: changeOrAfter(minutes(10)),
  /** A service rejects a token that Keystone has just issued. */
  TokenRejected: backoff,
  IdentityUnavailable: backoff,
  EndpointNotFound: change,

  // Any service of a cloud, before its client translates the error
  ConnectionFailed: backoff,
  HttpFailure: backoff,
  MalformedResponse: backoff,

  // Glance
  GlanceUnreachable: backoff,
  GlanceUnavailable: backoff,
  Forbidden: changeOrAfter(minutes(10)),
  PropertyProtected: changeOrAfter(minutes(10)),
  MembersForbidden: changeOrAfter(minutes(10)),
  StateForbidden: changeOrAfter(minutes(10)),
  InvalidRequest: change,
  Conflict: backoff,
  /** The IDs that were tried are used up; the next attempt uses others. A cloud may say so of every ID. */
  ImageIDsUsed: backoff,
  /** A database of Glance lags behind, or there is no such image. That is clear some seconds later, however often it was tried before. */
  ImageNotKnownYet: after(seconds(5)),
  NotFound: backoff,
  ImageGone: backoff,
  ProxyRefused: changeOrAfter(minutes(10)),
  QuotaExceeded: after(minutes(5)),
  /** Seen before the download. */
  NoRoomForRevision: after(minutes(5)),
  /** Each of them is looked at again every hour. */
  RevisionsInUse: after(minutes(10)),
  /** No revision has the digest that revisions.pin names. */
  PinNotFound: changeOrAfter(minutes(10)),
  StoreNotFound: changeOrAfter(minutes(10)),
  StoreReadOnly: changeOrAfter(minutes(10)),
  ImageDownloadFailed: backoff,
  ImageCorrupted: backoff,
  ImportFailed: backoff,

  // The image
  Deactivated: changeOrAfter(minutes(10)),
  /** It may be created later. */
  ImportNotFound: after(minutes(1)),
  ImportAmbiguous: changeOrAfter(minutes(5)),
  ImportVanished: changeOrAfter(minutes(10)),
  NotAdoptable: changeOrAfter(minutes(10)),
  TooManyProperties: changeOrAfter(minutes(10)),
  /** Of an image that was taken over. Only another declaration helps. */
  ContentDiffers: change,
  TakenOver: changeOrAfter(minutes(10)),
  BeingMoved: changeOrAfter(minutes(10)),
  MarkContested: changeOrAfter(minutes(60)),
  NewerOperator: change,
  NotVerifiable: changeOrAfter(minutes(10)),
  ContentMismatch: changeOrAfter(minutes(10)),
  /** The image may have other data than was sent. It is deleted and created again. */
  UploadMismatch: backoff,

  // The data. Another download of the same file does not help; an attempt every hour finds a corrected one.
  DigestMismatch: change,
  /** The digest of a download that was resumed at another server. */
  SplicedDigestMismatch: backoff,
  FormatMismatch: change,
  /** The server sent a page of text in place of the file. */
  PageReceived: after(minutes(10)),
  UnsafeImage: change,
  VirtualSizeExceeded: change,
  MinDiskTooSmall: change,
  CompressionInvalid: change,
  CompressionCutOff: publisher,
  CompressionBomb: change,
  ArchiveInvalid: change,
  ArchiveCutOff: publisher,
  ArchiveMemberNotFound: change,

  // The source
  EgressRefused: change,
  /** By the proxy of the installation. Some directories lock an account after a few wrong passwords. */
  ProxyDenied: after(minutes(5)),
  SourceNotFound: publisher,
  SourceForbidden: publisher,
  /** The source is an image of Glance that an administrator has deactivated. */
  SourceDeactivated: publisher,
  SourceRefused: publisher,
  SourceUnreachable: backoff,
  SourceUntrusted: changeOrAfter(minutes(10)),
  SourceUnavailable: backoff,
  /** The source is an image of Glance without data so far. */
  SourceNotReady: after(minutes(1)),
  SourceSilent: backoff,
  SourceStalled: backoff,
  /** Another attempt takes as long. */
  SourceTooSlow: after(minutes(60)),
  SourceTooShort: backoff,
  SourceTooLong: change,
  SourceChanged: backoff,
  /** A URL that is not one, or has another scheme or a password. */
  SourceURLInvalid: change,
  SourceInvalid: publisher,
  EmptySource: publisher,
  /** Another server may send parts of the file. */
  ConversionNeedsRanges: change,

  // The list or index of a publisher
  DigestNotFound: publisher,
  ListOutdated: publisher,
  KeysNotFound: backoff,
  KeysForbidden: changeOrAfter(minutes(10)),
  SignatureMissing: publisher,
  SignatureInvalid: publisher,
  SignerNotAllowed: change,
  KeyExpired: change,
  KeyRevoked: change,
  WeakHash: change,

  // The operator
  DecoderMemoryInUse: backoff,
  /** A fault of this program. Only another file or another version helps. */
  TransferCrashed: after(minutes(60)),
  /** The pods of transfers. Their causes pass, or are for the installer. */
  TransferPodPending: after(minutes(5)),
  TransferPodRefused: after(minutes(5)),
  TransferImagePull: after(minutes(5)),
  TransferPodEvicted: backoff,
  TransferNodeLost: backoff,
  TransferPodDeleted: backoff,
  TransferPodCrashed: after(minutes(10)),
  TransferOutOfMemory: after(minutes(10)),
  TimedOut: backoff,
  /** The API server rejects the content of the request. */
  KubernetesRejected: change,
  KubernetesFailed: backoff,
  /** The operator has no rights on ConfigMaps there. */
  PublishForbidden: changeOrAfter(minutes(10)),
  /** The ConfigMap that is declared belongs to another owner. */
  ConfigMapNotOwned: changeOrAfter(minutes(10)),
  LeadershipLost: backoff,
  ComponentFailed: backoff,
  InternalError: backoff,

  // In the library: a session that its program has closed, and the signatures of images
  SessionClosed: changeOrAfter(minutes(10)),
  ImageSignatureInvalid: change,
  CertificateUnavailable: changeOrAfter(minutes(10)),
  KeyManagerUnavailable: backoff,
} as const satisfies Record<string, Retry>;

export type ErrorCode = keyof typeof table;

export const retries: Readonly<Record<ErrorCode, Retry>> = table;

export const errorCodes: readonly ErrorCode[] = Object.keys(table).filter(isErrorCode);

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(table, text);
}

/**
 * `retryAfterMs`: the server's own Retry-After. It only lengthens a wait, so that a server which always asks for a short one causes
 * no steady load. It says nothing about failures that need a change.
 */
export function retryOf(code: ErrorCode, retryAfterMs: number | undefined): Retry {
  const retry = retries[code];
  if (retryAfterMs === undefined) return retry;
  switch (retry.kind) {
    case 'backoff':
      return { kind: 'backoff', leastMs: retryAfterMs };
    case 'after':
      return after(Math.max(retry.ms, retryAfterMs));
    case 'change':
    case 'backoffThenChange':
      return retry;
  }
}

/** `attempts`: the failures in a row, with this one. */
export function reactionTo(retry: Retry, attempts: number): Reaction {
  if (retry.kind !== 'backoffThenChange') return retry;
  return attempts <= retry.attempts ? backoff : changeOrAfter(retry.lookAgainMs);
}

/** The first wait is about this long, and each further one twice as long. */
const growth = { firstMs: seconds(1), maxMs: minutes(10) };

/** Retries are spread by ± 20 %, so that they do not reach a cloud that recovers all at the same time. */
const spread = { from: 0.8, to: 1.2 };

/** No wait before a retry is longer. */
export const longestDelayMs = minutes(60) * spread.to;

/** Milliseconds until the next attempt. `random` is in [0, 1). */
export function delayOf(reaction: Reaction, attempts: number, random: number): number {
  const factor = spread.from + (spread.to - spread.from) * random;
  switch (reaction.kind) {
    case 'backoff':
      return Math.max(backoffMs(growth, attempts - 1), reaction.leastMs ?? 0) * factor;
    case 'after':
      return reaction.ms * factor;
    case 'change':
      return reaction.lookAgainMs * factor;
  }
}
