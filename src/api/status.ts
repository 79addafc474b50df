/**
 * The last observations and actions of the operator. Invariant: only the size of what Glance returns is bounded, never its
 * vocabulary, so that image/sanitise.ts can make any status admissible by these bounds.
 */
import * as z from 'zod';
import { jsonMap, text, time } from './rules.ts';

const short = (description: string) => text(0, 1024).meta({ description });
const count = (description: string) => z.int().min(0).meta({ description, format: 'int64' });

const condition = z
  .object({
    type: text(0, 64).meta({ description: 'Ready, Available, Reconciling, Stalled or Warning.' }),
    status: z.enum(['True', 'False', 'Unknown']).meta({ description: 'Whether the condition holds.' }),
    reason: text(0, 64).meta({ description: 'One word from the documented list of reasons.' }),
    message: text(0, 4096).meta({ description: 'The same in a sentence: what happened, and what happens next.' }),
    observedGeneration: count('The generation of the spec that this is about.'),
    lastTransitionTime: time().meta({ description: 'When the status of this condition last changed.' }),
  })
  .meta({ description: 'One condition.' });

const seenImage = z
  .object({
    name: short('Name of the image.').optional(),
    status: short('Status of the image in Glance, for example active.'),
    visibility: short('Who may use it.').optional(),
    owner: short('Project that owns it.').optional(),
    diskFormat: short('Format of the data.').optional(),
    containerFormat: short('Container around the data.').optional(),
    size: count('Bytes of the data.').optional(),
    virtualSize: count('Bytes of the disk that the data describes.').optional(),
    checksum: short('MD5 of the data.').optional(),
    hash: z
      .object({ algorithm: short('Algorithm, for example sha512.'), value: short('Hex digits.') })
      .optional()
      .meta({ description: 'Digest of the data as Glance computed it.' }),
    minDiskGiB: count('Smallest root disk, in GiB, of a server made from it.'),
    minRAMMiB: count('Least memory, in MiB, of a server made from it.'),
    protected: z.boolean().meta({ description: 'Whether it is protected from deletion.' }),
    hidden: z.boolean().meta({ description: 'Whether it is left out of default listings.' }),
    tags: z.array(text(0, 1024)).max(1024).meta({ description: 'Tags, sorted.', 'x-kubernetes-list-type': 'atomic' }),
    properties: jsonMap(1024).meta({
      // A granular map that loses its last key by server-side apply becomes null, which is invalid:
      // https://github.com/kubernetes-sigs/structured-merge-diff/issues/305
      'x-kubernetes-map-type': 'atomic',
      description:
        'Custom properties, without the marks of the operator; JSON text is parsed where Glance means JSON. A character that cannot be shown is U+FFFD.',
    }),
    propertiesNotShown: count(
      'Number of custom properties that are not in properties, which has room for 1024 properties and 128 KiB.',
    ).optional(),
    stores: z
      .array(text(0, 255))
      .max(64)
      .optional()
      .meta({ description: 'Stores that hold the data.', 'x-kubernetes-list-type': 'atomic' }),
    createdAt: time().optional().meta({ description: 'When Glance created it.' }),
    updatedAt: time().optional().meta({ description: 'When Glance last changed it.' }),
    observedAt: time().meta({ description: 'When the operator saw it like this; not renewed while nothing changes.' }),
  })
  .meta({ description: 'The image as Glance last reported it. An outage keeps it as it was.' });

const transfer = z
  .object({
    phase: z.enum(['Queued', 'Transferring', 'Importing', 'Waiting']).meta({
      description:
        'Queued: waits for a free slot, or for the pod of its Job. Transferring: the operator uploads the data. Importing: Glance copies the data to its stores. Waiting: Glance is still processing an upload.',
    }),
    bytes: count('Bytes sent so far.'),
    totalBytes: count('Total bytes, if the source announces the size.').optional(),
    percent: z.int().min(0).max(100).optional().meta({ description: 'Share of the bytes sent, in percent.' }),
    bytesPerSecond: count('Current rate, in bytes per second.').optional(),
    startedAt: time().meta({ description: 'When this phase began.' }),
  })
  .meta({ description: 'The transfer of the data, while there is one.' });

const lastError = z
  .object({
    reason: short('One word from the documented list of reasons.'),
    message: text(0, 4096).meta({ description: 'The cause, with the message of the server.' }),
    httpStatus: z.int().min(100).max(999).optional().meta({ description: 'HTTP status of the response.' }),
    requestID: short('Request id under which the server logged it.').optional(),
    retryable: z
      .boolean()
      .meta({ description: 'Whether the operator retries by itself, without a change of the spec or the Secret.' }),
    attempts: count('Number of failed attempts in a row.'),
    at: time().meta({ description: 'When it happened.' }),
  })
  .meta({ description: 'The failure that keeps the image from being as declared.' });

/** What is recorded of a file that a publisher provides. */
export const sourceSchema = z.object({
  url: text(0, 2048).meta({ description: 'Where the file is. Absent while only its digest is known.' }).optional(),
  digest: short('The digest of the file, as its publisher lists it.'),
  version: short('The version, from the index or from the name of the file.').optional(),
  resolvedAt: time().meta({ description: 'When the operator found this digest.' }),
  signedBy: short('Fingerprint of the key that signed the list or index.').optional(),
  signedAt: time().meta({ description: 'When it was signed, by the clock of the signer.' }).optional(),
  declaration: short('Hash of the declaration that it was found for.'),
  etag: short('With firstUse: ETag of the file, which is read again when it changes.').optional(),
  lastModified: short('With firstUse: Last-Modified of the file, which is read again when it changes.').optional(),
});

export const statusSchema = z
  .object({
    observedGeneration: z
      .int()
      .min(-1)
      .optional()
      .meta({ description: 'The generation of the spec that this status is about.', format: 'int64' }),
    conditions: z
      .array(condition)
      .max(16)
      .optional()
      .meta({
        description: 'Ready, Available, and while there is work Reconciling, or Stalled when only a change can help.',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['type'],
      }),
    imageID: short(
      'ID of the image to use: it is active, and its data was verified. Absent until there is one. Without content it is the ID of the record.',
    ).optional(),
    size: short('Size of the data, for people.').optional(),
    progress: short('Progress of the transfer, for people.').optional(),
    image: seenImage.optional(),
    content: z
      .object({
        imageID: short('The image that holds it.'),
        url: text(0, 2048)
          .optional()
          .meta({ description: 'Where it came from. Absent after a roll back to an earlier revision.' }),
        digest: short('The digest that was verified.'),
        shortDigest: text(0, 12).optional().meta({ description: 'The first 12 hex digits of digest, for lists.' }),
        imageDigest: short(
          'Digest of the bytes that went into Glance, which differ from those served where they were decompressed or converted.',
        ).optional(),
        size: count('Bytes that went into Glance.').optional(),
        compression: short('What they were compressed with: gzip, zstd, xz, bzip2 or zip.').optional(),
        member: short('The file of the archive that was served, where it was one.').optional(),
        virtualSize: count('Bytes of the disk that they describe, as the operator read it.').optional(),
        warnings: z.array(text(0, 1024)).max(8).optional().meta({
          description: 'Notes on the transfer that users should know. The condition Warning repeats them.',
          'x-kubernetes-list-type': 'atomic',
        }),
      })
      .optional()
      .meta({ description: 'The data that was transferred and verified.' }),
    transfer: transfer.optional(),
    lastError: lastError.optional(),
    nextAttemptTime: time()
      .optional()
      .meta({ description: 'When the operator tries again after a failure, or goes on if it was interrupted.' }),
    cloud: z
      .object({
        projectID: short('Project that the credentials lead to.'),
        region: short('Region of the image service, if one is named.').optional(),
      })
      .optional()
      .meta({ description: 'Where the image lives.' }),
    secretVersion: short('Keyed hashes of the content of the Secrets that were used last.').optional(),
    revisions: z
      .array(
        z.object({
          number: count('Which of the IDs that follow from the uid of the resource the image has.'),
          imageID: short('ID of the image.'),
          digest: short('The declared digest of its data, once it was verified.').optional(),
          hash: short('Digest of its data as Glance computed it.').optional(),
          state: z.enum(['Pending', 'Current', 'Retired', 'InUse']).meta({
            description:
              'Pending: is filled or verified. Current: the image to use, as in imageID. Retired: replaced, and kept as spec.revisions says. ' +
              'InUse: replaced, and kept only because servers or volumes use it; the operator looks again every hour.',
          }),
          createdAt: time().meta({ description: 'When Glance created it, once the operator has looked.' }).optional(),
          retiredAt: time().meta({ description: 'When another revision replaced it.' }).optional(),
        }),
      )
      .max(64)
      .optional()
      .meta({
        description: 'The images of this resource in Glance, the oldest first. Usually there is one.',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['imageID'],
      }),
    members: z
      .array(
        z.object({
          project: short('ID of the project.'),
          status: short('pending, accepted or rejected. Only the project itself can change it.'),
        }),
      )
      .max(256)
      .optional()
      .meta({
        description: 'The members of the image to use, as last read. Only where spec.image.members is declared.',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['project'],
      }),
    source: sourceSchema.optional().meta({
      description:
        'The file of the publisher that is pinned: Ready is about this file. Absent where content declares the digest itself.',
    }),
    operation: jsonMap(64).optional().meta({
      'x-kubernetes-map-type': 'atomic',
      description: 'Memory of the operator, for itself only: its fields change from version to version.',
    }),
    lastHandledReconcileAt: short('Value of the reconcile-at annotation that was handled last.').optional(),
  })
  .default({ observedGeneration: -1 })
  .meta({ description: 'What the operator last saw and did.' });

export type GlanceImageStatus = z.output<typeof statusSchema>;
export type Condition = z.output<typeof condition>;
export type SeenImage = z.output<typeof seenImage>;
export type TransferStatus = z.output<typeof transfer>;
export type LastError = z.output<typeof lastError>;
