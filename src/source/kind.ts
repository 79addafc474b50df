/**
 * What the operator knows about a source, whatever its kind. Each kind is one file in kinds/, which implements what is here;
 * registry.ts lists the kinds. The schema of a kind in the API is in src/api/sources/, because `api` imports no other folder.
 *
 * Invariant: a planned source is plain JSON without secrets; equal ones mean the same bytes.
 */
import * as z from 'zod';
import type { CloudSpec, SecretRef } from '../api/fields.ts';
import type { ImageClient } from '../glance/client/index.ts';
import type { EgressPolicy } from '../http/egress.ts';
import type { Trust } from '../http/trust.ts';
import type { Clock, Random } from '../lib/clock.ts';
import type { CloudFiles } from '../openstack/clouds.ts';
import type { SessionPool } from '../openstack/pool.ts';
import type { Digest } from './digest.ts';
import type { AllDownloads } from './parallel/downloads.ts';
import type { Source, SourceLimits } from './source.ts';

const text = z.string().min(1);
/** Fields of plans. References are to the namespace of the plan. */
export const planned = {
  text,
  secretRef: z.strictObject({ name: text }),
  cloud: {
    secretRef: z.strictObject({ name: text }),
    name: text,
    region: text.optional(),
    serviceAccountName: text.optional(),
  },
};

/** What the values of a Secret are for. `cloud`: a clouds.yaml and its certificates. `keys`: public keys that may sign. */
export type SecretUse = 'headers' | 'ca' | 'cloud' | 'keys';

export interface SecretNeed {
  use: SecretUse;
  /** Where it is, if not in a Secret. */
  in?: 'ConfigMap';
  ref: SecretRef;
  /** The field that names the Secret, for messages. */
  field: string;
  /** The cloud of its clouds.yaml that is used. */
  cloud?: string;
  /** The URL that the values are sent to. A Secret of headers without it is rejected. */
  destination?: string;
  /** Of `cloud`: the ServiceAccount whose tokens it uses. */
  serviceAccountName?: string | undefined;
}

/** What the Secrets of a source hold. */
export interface SourceSecrets {
  headers?: Record<string, string>;
  /** CA certificates in PEM. */
  ca?: string;
  cloud?: CloudFiles;
  /** Files of public keys. */
  keys?: readonly Uint8Array[];
}

/** What a declaration says about the data. */
export interface DeclaredData<Plan> {
  source: Plan;
  /** `<algorithm>:<hex>`; undefined where the source has a digest itself. */
  digest: string | undefined;
  digestOf: 'Served' | 'Image';
  decompress: 'Auto' | 'None';
  /** The file of an archive that is the image. Undefined: its only file. */
  member?: string | undefined;
  /** The image is the disk that the file, a qcow2 image, describes. */
  convert?: 'Raw' | undefined;
}

/** What a declaration may refer to outside of its source. */
export interface DeclaredContext {
  /** The cloud of the image to fill. */
  cloud: CloudSpec;
}

/** The Secret to use instead, if any. `cloud` is the name of the cloud whose credentials are needed. */
export type ReplaceSecret = (use: SecretUse, cloud?: string) => SecretRef | undefined;

export interface OpenContext {
  secrets: SourceSecrets;
  /** Whether a digest is declared, which would detect bytes of another version of the file. */
  hasDigest: boolean;
  egress: EgressPolicy;
  /** The certificates of the installation. */
  trust: Trust;
  sessions: SessionPool<{ readonly images: ImageClient }>;
  /** Disposed of after the run. */
  resources: AsyncDisposableStack;
  clock: Clock;
  random: Random;
  limits: SourceLimits;
  /** What this download shares with others. Default: nothing. */
  downloads?: AllDownloads | undefined;
  /** Aborting it closes the source and its body. */
  signal: AbortSignal;
  /** Called when the body resumes after a failure. */
  onResume: () => void;
}

export type OpenedSource = Source & {
  /** The digest that its server has on record, if there is one. */
  readonly digest?: Digest | undefined;
};

export interface PlannedSource<Plan> {
  /** The Secrets that it reads. */
  readonly secrets: readonly SecretNeed[];
  /** Where it is, for people. */
  readonly address: string;
  /** A URL that Glance can download without any Secret; undefined where there is none. */
  readonly webDownloadURL: string | undefined;
  /** Which bytes they are, in the fingerprint of a content; undefined where the declared digest says it. */
  readonly bytesID: string | undefined;
  /**
   * Where `bytesID` holds, if other bytes may have it elsewhere. Undefined for `cloud`, the cloud of the image to fill, and where a
   * digest is declared.
   */
  placeBeside(cloud: Pick<CloudSpec, 'secretRef' | 'name' | 'region'>): string | undefined;
  /** By which transfers from one host are counted. Mirrors do not count: they are the exception. */
  host(namespace: string): string;
  /** The same image in other files, to be tried in this order if the download of this one fails. `digest`: as served. */
  readonly alternatives: readonly { source: Plan; digest: string }[];
  /** The same source with other Secrets, which need no ServiceAccount. */
  withSecrets(replace: ReplaceSecret): Plan;
  /** Rejects with an OperatorError, or with the reason of the signal. */
  open(context: OpenContext): Promise<OpenedSource>;
}
