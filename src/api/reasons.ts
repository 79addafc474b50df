/**
 * Every reason that a condition or an event can carry: what it means, where it is shown, who has to act, what to do, and the command
 * to begin with.
 *
 * Invariant: the table is closed, each reason means one thing, and its text here is the documentation that users read.
 */
import { type ReasonEntry, showImage, showResource } from './reason-entry.ts';
import { cloudReasons } from './reasons-cloud.ts';
import { dataReasons } from './reasons-data.ts';
import { importReasons } from './reasons-import.ts';
import { jobReasons } from './reasons-jobs.ts';
import { publisherReasons } from './reasons-publisher.ts';

/** Reasons of progress, of completed work, and of what people should know about it. */
const progressReasons = {
  Ready: {
    meaning: 'The image exists in Glance exactly as declared.',
    shownBy: ['Ready', 'Event'],
    actor: 'operator',
  },
  RecordOnly: {
    meaning:
      'No spec.content is declared: the record of the image is as declared, and the operator neither uploads nor verifies its data. As a Warning: the image has no data yet.',
    shownBy: ['Ready', 'Warning', 'Event'],
    actor: 'user',
    remedy:
      'Nothing, if something else uploads the data to the image in `status.imageID`. Otherwise declare `spec.content`.',
    command: 'kubectl explain glanceimage.spec.content',
  },
  Available: {
    meaning: 'The image that status.imageID names is active in Glance and can be used.',
    shownBy: ['Available'],
    actor: 'operator',
  },
  NoImage: {
    meaning:
      'There is no image to use: none was completed yet, or it is not active. The condition Ready has the cause.',
    shownBy: ['Available'],
    actor: 'operator',
  },
  Progressing: {
    meaning: 'The operator is working on the image.',
    shownBy: ['Ready', 'Reconciling'],
    actor: 'operator',
  },
  ProgressingWithRetry: {
    meaning:
      'The last attempt failed; the operator retries by itself. The condition Ready shows the cause and the time.',
    shownBy: ['Reconciling'],
    actor: 'operator',
  },
  Queued: {
    meaning:
      'The transfer waits for a free slot, or for the pod of its Job. The message says for which, and what the cluster reports.',
    shownBy: ['Ready', 'Reconciling'],
    actor: 'operator',
  },
  Transferring: {
    meaning: 'The data is being uploaded to Glance.',
    shownBy: ['Ready', 'Reconciling'],
    actor: 'operator',
  },
  Importing: {
    meaning: 'Glance downloads the data, or copies it to its stores; the operator checks again.',
    shownBy: ['Ready', 'Reconciling'],
    actor: 'operator',
  },
  WaitingForGlance: {
    meaning: 'Glance is processing the data; the operator checks again.',
    shownBy: ['Ready', 'Reconciling'],
    actor: 'operator',
  },
  Verifying: {
    meaning:
      'The image has data, and nothing that is recorded shows that it is the declared data: the operator downloads the image from Glance and compares it.',
    shownBy: ['Ready', 'Reconciling'],
    actor: 'operator',
  },
  Suspended: {
    meaning:
      'spec.suspend is true: nothing is changed until it is false again. Deleting the resource still deletes its image.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy: 'Set `spec.suspend` to false.',
    command: `kubectl patch glanceimage NAME --type=merge --patch '{"spec":{"suspend":false}}'`,
  },
  DriftCorrected: {
    meaning: 'The image differed from the declaration and was corrected.',
    shownBy: ['Event'],
    actor: 'operator',
  },
  Updated: { meaning: 'A change of the declaration was applied to the image.', shownBy: ['Event'], actor: 'operator' },
  Published: {
    meaning:
      'The ConfigMap of spec.publish was written, because the image to use has changed, or the ConfigMap was changed.',
    shownBy: ['Event'],
    actor: 'operator',
  },
  Deleted: { meaning: 'The image was deleted from Glance.', shownBy: ['Event'], actor: 'operator' },
  Retained: {
    meaning:
      'The resource was deleted, and the image was kept because of its deletionPolicy. As a Warning: the image still has the mark of this cluster, because Glance could not be reached; the message says why, and what follows.',
    shownBy: ['Event'],
    actor: 'operator',
  },
  Abandoned: {
    meaning: 'The resource was released by annotation; its image may still exist.',
    shownBy: ['Event'],
    actor: 'operator',
  },
  Replaced: {
    meaning:
      'The image was gone, or its data was wrong or could not be verified, and another image takes its place. The message says why.',
    shownBy: ['Event'],
    actor: 'operator',
    remedy:
      'Nothing: the operator creates another image. If it happens again, find out which tool deletes or changes it.',
    command: showResource,
  },
  StatusShortened: {
    meaning:
      'The API server rejected the status, so only a part of it is shown. The message has the response of the API server. It does not show the state of the image.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy:
      'Declare fewer or shorter properties and tags, if the message is about the size. Otherwise report it with the message. The command shows the image.',
    command: showImage,
  },
  PropertyNotRemovable: {
    meaning:
      'The image has properties that are not declared and that Glance cannot remove: it uses their names internally, or they begin or end with white space, or property protections of the cloud keep them.',
    shownBy: ['Warning'],
    actor: 'user',
    remedy:
      'Everything else is as declared. If property protections keep them, have them removed by a user with that right. Otherwise create the image again: only a new image can be without them.',
    command: 'openstack image show --column properties ID',
  },
  FractionalProperty: {
    meaning: 'A property is declared as a fraction. If it is a version, it has lost the zeros at its end.',
    shownBy: ['Warning'],
    actor: 'user',
    remedy: 'Put the value in quotes, for example `os_version: "24.10"`.',
    command: 'kubectl get glanceimage NAME --output jsonpath={.spec.image.properties}',
  },
} as const satisfies Record<string, ReasonEntry>;

const table = {
  ...progressReasons,
  ...importReasons,
  ...cloudReasons,
  ...dataReasons,
  ...jobReasons,
  ...publisherReasons,
} as const;

export type Reason = keyof typeof table;

export const reasons: Readonly<Record<Reason, ReasonEntry>> = table;

export function isReason(text: string): text is Reason {
  return Object.hasOwn(reasons, text);
}
