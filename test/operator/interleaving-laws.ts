/**
 * The laws of the interleaving campaign, checked on what Kubernetes and Glance hold.
 *
 * Invariant: it reads only, except that the resource is deleted in the end.
 */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { findCondition } from '../../src/api/conditions.ts';
import type { GlanceImage } from '../../src/api/glanceimage.ts';
import { ownerOf, ownerProperty } from '../../src/image/model/identity.ts';
import { type ImageRecord, imageRecordSchema } from '../env/project.ts';
import { eventually } from '../env/wait.ts';
import { digestOf } from './digest.ts';
import type { Declared } from './interleaving-script.ts';
import { bodies, claimsReady, foreignBody, imageNameOf, isCurrent, type Subject } from './interleaving-subject.ts';

/**
 * What is wrong with the claim of this resource to be Ready, if it makes one: its image has to be active, with the data that is
 * declared in the generation of the status.
 */
export async function falseClaim(subject: Subject, resource: GlanceImage): Promise<string | undefined> {
  const { imageID } = resource.status;
  const declared = subject.declaredIn(resource);
  if (!claimsReady(resource) || imageID === undefined || declared === undefined) return undefined;
  if (resource.metadata.deletionTimestamp !== undefined) return undefined;
  const answer = await subject.world.project.image('GET', `/v2/images/${imageID}`);
  const problem =
    answer.status === 404 ? `image ${imageID} is gone` : dataProblem(answer.as(imageRecordSchema), declared);
  if (problem === undefined || subject.deleted.has(imageID)) return undefined;
  const now = await subject.get();
  const isSame = now?.metadata.resourceVersion === resource.metadata.resourceVersion;
  return isSame ? `Ready=True for generation ${resource.status.observedGeneration}, but ${problem}` : undefined;
}

/** By Glance's own hash. */
function dataProblem(image: ImageRecord, { body, diskFormat }: Declared): string | undefined {
  const bytes = bodies[body] ?? assert.fail();
  if (image.status !== 'active') return `image ${image.id} is ${image.status}`;
  if (`sha512:${image.os_hash_value}` !== digestOf(bytes, 'sha512')) return `image ${image.id} has other data`;
  return image.disk_format === diskFormat ? undefined : `image ${image.id} has the format ${image.disk_format}`;
}

export async function assertEnd(subject: Subject, nudge: string): Promise<void> {
  const resource = await subject.world.until(
    subject.name,
    'Ready in the end',
    (one) => claimsReady(one) && isCurrent(one) && one.status.lastHandledReconcileAt === nudge && !isSuspended(one),
  );
  const { imageID = assert.fail('Ready without an image') } = resource.status;
  const { declared } = subject;
  const { bytes } = (await subject.world.project.image('GET', `/v2/images/${imageID}/file`)).ok();
  assert.equal(
    digestOf(bytes, declared.algorithm),
    digestOf(bodies[declared.body] ?? assert.fail(), declared.algorithm),
  );
  const image = await subject.world.project.getImage(imageID);
  assert.deepEqual(recordOf(image), {
    name: imageNameOf(subject.name, declared),
    disk_format: declared.diskFormat,
    visibility: declared.visibility,
    protected: declared.protected,
    os_hidden: declared.hidden,
    tags: [`tag-${declared.tags}`],
    properties: [String(declared.properties), 'x', undefined],
    [ownerProperty]: ownerOf(subject.world.namespace, subject.name, resource.metadata.uid),
  });
  if (subject.found !== undefined) assert.equal(imageID, subject.found, 'after a lost status another image is used');
  await assertOneImage(subject);
  await assertForeignUntouched(subject);
}

function isSuspended({ status }: GlanceImage): boolean {
  return findCondition(status.conditions, 'Ready')?.reason === 'Suspended';
}

function recordOf(image: ImageRecord) {
  const { name, disk_format, visibility, os_hidden, tags, n } = image;
  return {
    name,
    disk_format,
    visibility,
    protected: image.protected,
    os_hidden,
    tags,
    properties: [n, image[`only_${n}`], image['foreign']],
    [ownerProperty]: image[ownerProperty],
  };
}

/** A drift check may have to come first. */
async function assertOneImage(subject: Subject): Promise<void> {
  let problems: string[] = [];
  await eventually(
    async () => {
      problems = await leftovers(subject);
      return problems.length === 0;
    },
    () => problems.join('\n'),
  );
}

async function leftovers(subject: Subject): Promise<string[]> {
  const resource = (await subject.get()) ?? assert.fail('the resource is gone');
  const images = await subject.marked();
  const known = new Set(resource.status.revisions?.map(({ imageID }) => imageID));
  const orphans = images.filter(({ id }) => !known.has(id)).map(({ id }) => `image ${id} is an orphan`);
  const named = images.filter(({ name }) => name === imageNameOf(subject.name, subject.declared));
  const visible = images.filter(({ status, os_hidden }) => status === 'active' && !os_hidden);
  return [
    ...orphans,
    ...(named.length === 1 ? [] : [`${named.length} images bear the declared name`]),
    ...visible.flatMap((image) => dataProblem(image, subject.declared) ?? []),
  ];
}

async function assertForeignUntouched({ squatted }: Subject): Promise<void> {
  for (const { project, record } of squatted) {
    const now = await project.getImage(record.id);
    assert.ok(isDeepStrictEqual(now, record), `foreign image ${record.id} was changed: ${JSON.stringify(now)}`);
    const { bytes } = (await project.image('GET', `/v2/images/${record.id}/file`)).ok();
    assert.ok(bytes.equals(foreignBody), `the data of foreign image ${record.id} was changed`);
  }
}

/** The resource is gone, and so is each of its images. */
export async function assertGone(subject: Subject): Promise<void> {
  await subject.world.gone(subject.name);
  const left = (await subject.marked()).map(({ id }) => id);
  assert.deepEqual(left, [], 'images are left after the deletion');
  await assertForeignUntouched(subject);
}
