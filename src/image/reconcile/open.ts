/**
 * Opens the cloud of a resource: from the session that is open, or by its Secret.
 *
 * Invariant: credentials that lead to another project than that of the images are rejected, because they would create a second
 * image and forget the first. A deletion uses the session that is open still, if the Secret is gone before the resource.
 */
import type { GlanceImage } from '../../api/glanceimage.ts';
import { addToContext } from '../../lib/context.ts';
import { type Attempt, attempt, OperatorError } from '../../lib/errors.ts';
import type { TransferState } from '../../transfer/scheduler.ts';
import type { Cloud, CloudPlace } from '../access/clouds.ts';
import { missingSecret } from '../access/resources.ts';
import { type CloudRef, cloudRefOf } from '../model/cloud-ref.ts';
import { imageIDOf } from '../model/identity.ts';
import { withImage } from '../model/memory.ts';
import type { Report } from '../model/report.ts';
import type { Pass, ReconcileContext } from './pass.ts';

/** `undefined`: it became known where the credentials lead, and the reconcile starts again in the flow of that destination. */
export interface Opened {
  cloud: Attempt<Cloud | undefined>;
  secret: Report['secret'];
}

export async function openCloud(pass: Pass, context: ReconcileContext): Promise<Opened> {
  const { resource, memory } = pass;
  addToContext({ cloud: resource.spec.cloud.name });
  const opened = knownCloud(pass, context) ?? (await readCloud(resource, context));
  const { cloud } = opened;
  if (!cloud.ok || cloud.value === undefined) return opened;
  const refusal = otherProject(memory.place, cloud.value.place);
  return refusal === undefined ? opened : { ...opened, cloud: { ok: false, error: refusal } };
}

/** Scheduled drift checks within this time share one reading of their Secret, and so does the reconcile after a transfer, which read it. */
const sharedReadingMs = 10_000;

/** A Secret that is known to be unchanged need not be read, unless the last attempt failed. */
function knownCloud({ resource, turn, news }: Pass, { resources, clouds }: ReconcileContext): Opened | undefined {
  const isDeleting = resource.metadata.deletionTimestamp !== undefined;
  // The ServiceAccount is read each time: it may be deleted, or its owner may have changed where its tokens may go.
  if (resource.status.nextAttemptTime !== undefined || resource.spec.cloud.serviceAccountName !== undefined)
    return undefined;
  const isShared = !isDeleting && (turn.kind === 'fromCache' || news.kind === 'verified');
  const version = resources.cloudVersion(resource, isShared ? sharedReadingMs : 0);
  const cloud = clouds.known(cloudRefOf(resource), version);
  return cloud && { cloud: { ok: true, value: cloud }, secret: { version: resources.secretVersions(resource) } };
}

async function readCloud(resource: GlanceImage, context: ReconcileContext): Promise<Opened> {
  const { resources, clouds, signal } = context;
  const ref = cloudRefOf(resource);
  const read = await attempt(signal, () => clouds.read(ref, signal));
  if (!read.ok) {
    const secret = { version: resources.secretVersions(resource, missingSecret) };
    return { cloud: openBefore(resource, ref, read.error, context), secret };
  }
  const secret = { version: resources.secretVersions(resource, read.value.version) };
  const cloud = await attempt(signal, () => read.value.open(signal));
  return { cloud: cloud.ok ? cloud : openBefore(resource, ref, cloud.error, context), secret };
}

/** Failures of the Secret or the ServiceAccount, not of the cloud. */
const withoutSecret: ReadonlySet<string> = new Set([
  'SecretNotFound',
  'SecretInvalid',
  'CloudNotFound',
  'ServiceAccountNotFound',
  'ServiceAccountRefused',
]);

/** `kubectl delete namespace` may delete the Secret first. */
function openBefore(
  resource: GlanceImage,
  ref: CloudRef,
  error: unknown,
  { clouds }: ReconcileContext,
): Attempt<Cloud | undefined> {
  const isSecret = error instanceof OperatorError && withoutSecret.has(error.code);
  const isDeleting = resource.metadata.deletionTimestamp !== undefined;
  const last = isDeleting && isSecret ? clouds.last(ref) : undefined;
  return last === undefined ? { ok: false, error } : { ok: true, value: last };
}

/**
 * With the first image, which a transfer fills, and where it is. The status that names both is written later, and if another cloud is
 * declared until then, the image would be forgotten.
 */
export function withHome(pass: Pass, transfer: TransferState | undefined, { clouds }: ReconcileContext): Pass {
  const { memory } = pass;
  if (transfer === undefined || memory.place !== undefined) return pass;
  const { imageID, cloud, method } = transfer.plan;
  const home = clouds.last(cloud);
  if (method === 'Verify' || imageID !== imageIDOf(memory.uid, 0) || home?.address !== cloud.address) return pass;
  const next = Math.max(memory.next, 1);
  return { ...pass, memory: { ...withImage(memory, imageID, false), next, place: home.place } };
}

/** Why the images of this memory are not in the project of these credentials; undefined if they are. */
export function otherProject(home: CloudPlace | undefined, here: CloudPlace): OperatorError | undefined {
  if (home === undefined || home.projectID === here.projectID) return undefined;
  return new OperatorError(
    `the image is in ${inWords(home)}, but the credentials are for ${inWords(here)}: restore the previous credentials; to move the ` +
      'image, delete this resource while they are in place, then create it again with the new ones',
    { code: 'CloudChanged' },
  );
}

function inWords({ projectID, region }: CloudPlace): string {
  return `project ${projectID}${region === undefined ? '' : ` in ${region}`}`;
}
